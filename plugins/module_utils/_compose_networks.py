# Copyright (c) 2026, Somos Infra maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How the networks of a Compose project differ from its model, and the commands that make one anew.

Docker cannot change a network. Its name has to stay: a container that was made in it does not start again without one
of that name, even if it has joined another since.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from ipaddress import ip_address, ip_network
from typing import Any, NamedTuple

from ansible_collections.somos.infra.plugins.module_utils._compose import NETWORK_LABEL, PROJECT_LABEL
from ansible_collections.somos.infra.plugins.module_utils._compose_drift import join

# What `docker network create` is told here; a network with more to it is left to Compose.
_KNOWN = {"name", "driver", "driver_opts", "enable_ipv6", "ipam", "labels"}
Model = Mapping[str, Any]
Found = Iterable[Mapping[str, Any]]


class Member(NamedTuple):
    """A running container of a network, and the names by which it is known there."""

    identity: str
    aliases: tuple[str, ...]

    def joining(self, network: str) -> list[str]:
        """What Docker is told for the container to be in the network."""
        return join(network, self.identity, self.aliases)


def by_name(model: Model) -> dict[str, tuple[str, Model]]:
    """Name of each network of the model → its key in there, and what is wanted of it."""
    networks = (model.get("networks") or {}).items()
    return {str((network or {}).get("name", key)): (key, network or {}) for key, network in networks}


def differences(model: Model, networks: Found) -> dict[str, tuple[dict[str, Any], dict[str, Any]]]:
    """Networks that bear the right name and are something else: what each is and what it should be."""
    wanted = by_name(model)
    found = {}
    for network in networks:
        name = str(network["Name"])
        if (
            name not in wanted
            or wanted[name][1].keys() - _KNOWN
            or (wanted[name][1].get("ipam") or {}).keys() - {"config"}
        ):
            continue
        should, options = described(wanted[name][1]), network.get("Options") or {}
        has: dict[str, Any] = {
            "ipv6": bool(network.get("EnableIPv6")),
            "subnets": sorted(str(part["Subnet"]) for part in (network.get("IPAM") or {}).get("Config") or []),
            "options": {key: options[key] for key in should["options"] if key in options},
        }
        # Docker chooses the subnets that the model does not name.
        lacks = {ip_network(subnet) for subnet in should["subnets"]} - {ip_network(subnet) for subnet in has["subnets"]}
        if lacks or any(has[key] != should[key] for key in ("ipv6", "options")):
            found[name] = (has, {**should, "subnets": _with_ipv4(should["subnets"], has["subnets"])})
    return found


def described(network: Model) -> dict[str, Any]:
    """What the model says of a network, as far as Docker could be found to differ."""
    parts = (network.get("ipam") or {}).get("config") or []
    return {
        "ipv6": bool(network.get("enable_ipv6")),
        "subnets": sorted(str(part["subnet"]) for part in parts if part.get("subnet")),
        "options": dict(network.get("driver_opts") or {}),
    }


def _with_ipv4(wanted: list[str], has: list[str]) -> list[str]:
    """The same IPv4 network as before, unless the model names one: who knows an address finds it there again."""
    if any(ip_network(subnet).version == 4 for subnet in wanted):
        return wanted
    return [*(subnet for subnet in has if ip_network(subnet).version == 4), *wanted]


def creation(model: Model, name: str, description: Mapping[str, Any]) -> list[str]:
    """The Docker command that makes the network as Compose would, and as it is described."""
    key, network = by_name(model)[name]
    labels = {PROJECT_LABEL: model["name"], NETWORK_LABEL: key, **(network.get("labels") or {})}
    return [
        *("network", "create", "--driver", str(network.get("driver") or "bridge")),
        *(["--ipv6"] if description["ipv6"] else []),
        *(word for subnet in description["subnets"] for word in ("--subnet", subnet)),
        *(word for option in description["options"].items() for word in ("--opt", "=".join(option))),
        *(word for label in labels.items() for word in ("--label", "=".join(label))),
        name,
    ]


def members(name: str, containers: Found) -> list[Member]:
    """Who is in the network, in the order of their addresses: by that Docker gives them the same ones again."""
    found = []
    for container in containers:
        if joined := (container["NetworkSettings"]["Networks"] or {}).get(name):
            # Docker adds the first half of its id by itself.
            aliases = [alias for alias in joined.get("Aliases") or [] if not container["Id"].startswith(alias)]
            address = joined.get("IPAddress")
            found.append((int(ip_address(address)) if address else 0, Member(container["Id"], tuple(aliases))))
    return [member for _, member in sorted(found)]


def makes_a_router(model: Model, networks: Found) -> bool:
    """Whether Docker will have to switch IPv6 forwarding on for a network that is not there yet, or has none."""
    has = {str(network["Name"]) for network in networks if network.get("EnableIPv6")}
    return any(network.get("enable_ipv6") and name not in has for name, (_, network) in by_name(model).items())
