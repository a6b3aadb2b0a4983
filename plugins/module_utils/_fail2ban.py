# Copyright (c) 2026, Somos Infra maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What fail2ban says it bans, and what the kernel's sets hold."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import ip_address, ip_network
from typing import Any


def running_jails(status: str) -> list[str]:
    """The jails in the answer of `fail2ban-client status`."""
    found = re.search(r"Jail list:\s*(.*)", status)
    return [name for name in re.split(r"[,\s]+", found[1]) if name] if found else []


def addresses(text: str) -> set[str]:
    """The addresses in the answer of `fail2ban-client get JAIL banip`, which has them in lines or in one."""
    return {_plain(word) for word in text.split()}


def _plain(text: str) -> str:
    network = ip_network(text, strict=False)
    return str(network.network_address) if network.num_addresses == 1 else str(network)


@dataclass
class Table:
    """Per jail, whether its chain drops, and what is in its sets. A jail that never banned anybody has none."""

    chains: set[str] = field(default_factory=set)
    sets: dict[str, set[str]] = field(default_factory=dict)

    @classmethod
    def parse(cls, text: str) -> Table:
        """The output of `nft --json list table`; an empty one stands for a table that is not there."""
        table = cls()
        for item in json.loads(text)["nftables"] if text.strip() else []:
            if "rule" in item and any("drop" in step for step in item["rule"]["expr"]):
                table.chains.add(item["rule"]["chain"])
            elif "set" in item:
                jail = re.sub(r"-[46]$", "", item["set"]["name"])
                table.sets.setdefault(jail, set()).update(_element(one) for one in item["set"].get("elem", []))
        return table


def _element(element: Any) -> str:
    """With a counter, a timeout or a prefix, the address is wrapped."""
    if isinstance(element, Mapping):
        if "elem" in element:
            return _element(element["elem"]["val"])
        prefix = element["prefix"]
        return str(ip_network(f"{prefix['addr']}/{prefix['len']}"))
    return str(ip_address(element))


def missing(banned: Mapping[str, set[str]], table: Table) -> dict[str, list[str]]:
    """The bans of each jail that the kernel does not know."""
    found = {
        jail: sorted(ips if jail not in table.chains else ips - table.sets.get(jail, set()))
        for jail, ips in banned.items()
    }
    return {jail: ips for jail, ips in found.items() if ips}


def lines(bans: Mapping[str, Sequence[str]]) -> str:
    """For people, in a diff."""
    return "".join(f"{jail}: {address} is dropped\n" for jail, ips in sorted(bans.items()) for address in ips)
