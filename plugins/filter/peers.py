# Copyright (c) 2026, Somos Infra maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filter peers: documented in peers.yml beside this file."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from ipaddress import AddressValueError, IPv4Address
from typing import Any

from ansible.errors import AnsibleFilterError

VARIABLE = "somos_private_address"
LOOPBACK = "127.0.0.1"


def peers(
    placement: Mapping[str, str],
    groups: Mapping[str, Sequence[str]],
    hostvars: Mapping[str, Mapping[str, Any]],
    inventory_hostname: str,
) -> dict[str, dict[str, Any]]:
    hosts = {str(service): _hosts(service, group, groups) for service, group in placement.items()}
    alone = len({host for members in hosts.values() for host in members}) <= 1
    publish = [LOOPBACK] if alone else [LOOPBACK, _private_address(inventory_hostname, hostvars)]

    def address(service: str, host: str) -> str:
        # A container of the same Compose project is reached by its name, over the project's own network.
        return service if host == inventory_hostname else _private_address(host, hostvars)

    return {
        service: {
            "address": address(service, members[0]),
            "addresses": [address(service, host) for host in members],
            "local": members[0] == inventory_hostname,
            "publish": list(publish),
        }
        for service, members in hosts.items()
    }


def _hosts(service: str, group: str, groups: Mapping[str, Sequence[str]]) -> list[str]:
    members = [str(host) for host in groups.get(group, [])]
    if not members:
        raise AnsibleFilterError(
            f"peers: service {service} is placed in the inventory group {group}, which has no host: add one to the "
            f"group, or place {service} in one of: {', '.join(sorted(name for name in groups if groups[name]))}"
        )
    return members


def _private_address(host: str, hostvars: Mapping[str, Mapping[str, Any]]) -> str:
    value = hostvars[host].get(VARIABLE) if host in hostvars else None
    subject = f"peers: {VARIABLE} of host {host}"
    fix = f"set {VARIABLE} of {host} to the IPv4 address by which the other servers reach it on the private network"
    if value is None:
        raise AnsibleFilterError(f"{subject} is missing, but some services run on other hosts: {fix}")
    try:
        address = IPv4Address(str(value))
    except AddressValueError as error:
        raise AnsibleFilterError(f"{subject} is {str(value)!r}, not an IPv4 address: {fix}") from error
    # Databases publish their ports there: never on all interfaces, never where the Internet could knock.
    if address.is_unspecified or address.is_loopback or address.is_multicast or address.is_global:
        raise AnsibleFilterError(f"{subject} is {address}, which is not a private address: {fix}")
    return str(address)


class FilterModule:
    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"peers": peers}
