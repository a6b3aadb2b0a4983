# Copyright (c) 2026, Somos Infra maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The block of after.rules and after6.rules that holds the ports published by Docker to the firewall's rules.

Docker rewrites the destination of such packets before they reach the filter, and they are forwarded, so UFW's own rules
never see them. DOCKER-USER does. The port that the visitor asked for is still known to connection tracking.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from ipaddress import IPv4Network, IPv6Network
from typing import Any

from ansible_collections.somos.infra.plugins.module_utils._ufw_rules import RuleError, networks

CHAIN = "DOCKER-USER"
LIST_CHAIN = "SOMOS-FROM-"
BEGIN = "# BEGIN somos.infra: ports that Docker publishes. Edits are undone."
END = "# END somos.infra"
# Every rule of ours in that chain carries it, so that those of others can be told from them, now and after a change.
COMMENT = "-m comment --comment somos"

Networks = tuple[IPv4Network | IPv6Network, ...]


def block(
    rules: Sequence[Mapping[str, Any]],
    version: int,
    bridges: Sequence[str] = (),
    isolated: Sequence[str] = (),
    extra: Sequence[str] = (),
) -> str:
    """The block for IPv4 or IPv6, markers included.

    It fails closed: what comes from anywhere but a container, and asks for a port that no rule names, is dropped,
    whatever the network interfaces are called.
    """
    ports = _by_port(rules)
    lists = {sources: f"{LIST_CHAIN}{number}" for number, sources in enumerate(_distinct(ports), 1)}
    lines = [BEGIN, "*filter", f":{CHAIN} - [0:0]", *(f":{chain} - [0:0]" for chain in lists.values())]
    for sources, chain in lists.items():
        lines += [f"-A {chain} -s {source} -j RETURN" for source in sources if source.version == version]
        lines.append(f"-A {chain} -j DROP")
    ours = f"-A {CHAIN} {COMMENT}"
    lines.append(f"{ours} -m conntrack --ctstate RELATED,ESTABLISHED -j RETURN")
    lines += [f"{ours} -i {_bridge(name)} ! -o {_bridge(name)} -j DROP" for name in isolated]
    lines += [f"{ours} -i {_bridge(name)} -j RETURN" for name in bridges]
    lines += [f"{ours} {_extra(rule)}" for rule in extra if _family(rule) in (None, version)]
    # A packet for a container's own address, sent here by a neighbour on the network, is none for a published port.
    lines.append(f"{ours} -m conntrack ! --ctstate DNAT -j DROP")
    for (proto, port), sources in ports.items():
        match = f"-p {proto} -m conntrack --ctstate NEW --ctorigdstport {port} --ctdir ORIGINAL"
        if sources:
            lines.append(f"{ours} {match} -j {lists[sources]}")
        lines.append(f"{ours} {match} -j RETURN")
    return "\n".join([*lines, f"{ours} -j DROP", "COMMIT", END]) + "\n"


def _by_port(rules: Sequence[Mapping[str, Any]]) -> dict[tuple[str, int], Networks]:
    """Who may reach each port; nobody named means everybody. Rules for the same port add up."""
    found: dict[tuple[str, int], Networks] = {}
    for rule in rules:
        key, sources = (rule["proto"], int(rule["port"])), tuple(networks(rule, "from"))
        if key in found and (not found[key] or not sources):
            found[key] = ()
        else:
            found[key] = tuple(dict.fromkeys((*found.get(key, ()), *sources)))
    return found


def _distinct(ports: Mapping[tuple[str, int], Networks]) -> list[Networks]:
    return list(dict.fromkeys(sources for sources in ports.values() if sources))


def _bridge(name: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9_.-]{1,15}\+?", name):
        raise RuleError(f"{name!r} is no name of a network interface (br-edge), nor a beginning of one (br-+)")
    return name


def _extra(rule: str) -> str:
    if "\n" in rule or not re.match(r"-\S|!\s", rule):
        raise RuleError(
            f"{rule!r} is no rule for the chain {CHAIN}: write what iptables is told after `-A {CHAIN}` "
            "(-s 203.0.113.7/32 -j DROP)"
        )
    return rule.strip()


def _family(rule: str) -> int | None:
    """The family of a rule that names an address; a rule without one is for both."""
    if re.search(r"(^|\s)(-[sd]|--source|--destination)\s+\S*:", rule):
        return 6
    return 4 if re.search(r"(^|\s)(-[sd]|--source|--destination)\s+\d+\.", rule) else None


def put(text: str, new: str) -> str:
    """The file with this block at its end, in place of any earlier one."""
    return f"{without(text).rstrip()}\n\n{new}"


def without(text: str) -> str:
    """The file without the block, even if its end was lost."""
    return re.sub(rf"\n*^{re.escape(BEGIN)}$.*?(^{re.escape(END)}$\n?|\Z)", "\n", text, flags=re.M | re.S)


def rival(text: str) -> int | None:
    """The line at which something else in the file fills the same chain: the later of two erases the other."""
    for number, line in enumerate(without(text).splitlines(), 1):
        if re.match(rf"\s*(:|-[AI]\s+){CHAIN}\b", line):
            return number
    return None
