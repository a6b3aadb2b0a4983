# Copyright (c) 2026, Somos Infra maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Rules of UFW: what is wanted, what its files hold, and which commands lie between."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import Any

# The comment by which a rule of ours is known, in `ufw status` too. Any other rule is somebody else's.
MARK = "somos: "
ANYBODY = ("0.0.0.0/0", "::/0")
MULTIPORT_LIMIT = 15  # of iptables


class RuleError(ValueError):
    """What is asked for makes no sense; the message is for the person who wrote the variable."""


@dataclass(frozen=True)
class Rule:
    """One rule of one address family, as a line `### tuple ###` of UFW's files has it."""

    action: str
    proto: str
    port: str
    destination: str
    source: str
    direction: str
    comment: str = ""

    @property
    def key(self) -> tuple[str, ...]:
        """What makes two rules the same one to UFW: it replaces action and comment when it is told again."""
        return (self.proto, self.port, self.destination, self.source, self.direction)

    @property
    def v6(self) -> bool:
        return ":" in self.source or ":" in self.destination

    @property
    def ours(self) -> bool:
        return self.comment.startswith(MARK)

    @property
    def words(self) -> list[str]:
        """The rule in UFW's own words, without its comment: one wording for both families where it is for both."""
        words = [self.action]
        way, _, interface = self.direction.partition("_")
        words += [way] if way == "out" or interface else []
        words += ["on", interface] if interface else []
        words += ["proto", self.proto] if self.proto != "any" else []
        everywhere = self.source in ANYBODY and self.destination in ANYBODY
        if everywhere and interface:
            return words
        words += ["from", "any" if self.source in ANYBODY else self.source]
        words += ["to", "any" if self.destination in ANYBODY else self.destination]
        return words + (["port", self.port] if self.port != "any" else [])

    def command(self) -> list[str]:
        return [*self.words, "comment", self.comment]

    def __str__(self) -> str:
        family = " (IPv6)" if self.v6 else ""
        return f"{' '.join(self.words)}{family}" + (f"  # {self.comment}" if self.comment else "")


def network(text: Any, where: str) -> IPv4Network | IPv6Network:
    """An address or network as a person writes it; host bits do not matter."""
    try:
        return ip_network(str(text).strip(), strict=False)
    except ValueError as error:
        raise RuleError(
            f"{where} names {str(text)!r}, which is no IPv4 or IPv6 address or network (203.0.113.0/24)"
        ) from error


def networks(rule: Mapping[str, Any], key: str) -> list[IPv4Network | IPv6Network]:
    """The networks of a rule, each once; none stands for everybody."""
    given = rule.get(key)
    if given is None:
        return []
    where = f"{key} of the firewall rule {rule['name']!r}"
    if not given:
        raise RuleError(f"{where} is empty: leave {key} out to mean everybody, or leave the rule out to mean nobody")
    return list(dict.fromkeys(network(item, where) for item in given))


def wanted(rules: Sequence[Mapping[str, Any]], outgoing: Sequence[Mapping[str, Any]]) -> list[Rule]:
    """The rules that UFW is to hold, for both families, in their order and each once."""
    found = [*loopback(), *_incoming(rules), *_outgoing(outgoing)]
    return list({rule.key: rule for rule in found}.values())


def loopback() -> list[Rule]:
    """Loopback is open, and nobody outside pretends to be it. UFW's own files say the same; auditors look here."""
    for_both = []
    for everywhere, local in zip(ANYBODY, ("127.0.0.0/8", "::1"), strict=True):
        for_both += [
            Rule("allow", "any", "any", everywhere, everywhere, "in_lo", f"{MARK}loopback"),
            Rule("allow", "any", "any", everywhere, everywhere, "out_lo", f"{MARK}loopback"),
            Rule("deny", "any", "any", everywhere, local, "in", f"{MARK}not from loopback"),
        ]
    return for_both


def _incoming(rules: Sequence[Mapping[str, Any]]) -> list[Rule]:
    found = []
    # A long list of networks that is the same for several ports takes one rule a network, not one a network and port.
    shared: dict[tuple[str, tuple[Any, ...]], list[Mapping[str, Any]]] = {}
    for rule in rules:
        sources = tuple(networks(rule, "from"))
        if sources:
            shared.setdefault((rule["proto"], sources), []).append(rule)
            continue
        comment = MARK + _said(rule["name"])
        found += [Rule("allow", rule["proto"], str(rule["port"]), any_, any_, "in", comment) for any_ in ANYBODY]
    for (proto, sources), group in shared.items():
        for start in range(0, len(group), MULTIPORT_LIMIT):
            part = group[start : start + MULTIPORT_LIMIT]
            ports = ",".join(str(port) for port in sorted({int(rule["port"]) for rule in part}))
            comment = MARK + ", ".join(dict.fromkeys(_said(rule["name"]) for rule in part))
            for source in sources:
                found.append(Rule("allow", proto, ports, ANYBODY[source.version == 6], _text(source), "in", comment))
    return found


def _outgoing(rules: Sequence[Mapping[str, Any]]) -> list[Rule]:
    found = []
    for rule in rules:
        targets = [_text(target) for target in networks(rule, "to")] or list(ANYBODY)
        comment = MARK + _said(rule["name"])
        for target in targets:
            source = ANYBODY[":" in target]
            found.append(Rule("allow", rule["proto"], str(rule["port"]), target, source, "out", comment))
    return found


def _text(block: IPv4Network | IPv6Network) -> str:
    """As UFW writes it: a single address without a prefix."""
    return str(block.network_address) if block.prefixlen == block.max_prefixlen else str(block)


def _said(name: str) -> str:
    """UFW takes no quotation marks in a comment."""
    return re.sub(r"[^\w .,:/@()+-]", "", name).strip()


def parse(text: str) -> list[Rule]:
    """The rules of user.rules or user6.rules."""
    found = []
    for line in text.splitlines():
        if not line.startswith("### tuple ### "):
            continue
        *fields, last = line.removeprefix("### tuple ### ").split()
        comment = ""
        if last.startswith("comment="):
            comment = bytes.fromhex(last.removeprefix("comment=")).decode("utf-8", errors="replace")
            *fields, last = fields
        # Between source and direction stand the names of application profiles, if the rule has any.
        action, proto, port, destination, _source_port, source, *_profiles = fields
        found.append(Rule(action, proto, port, destination, source, last, comment))
    return found


@dataclass(frozen=True)
class Plan:
    """The UFW commands that are missing, and the rules before and after them."""

    commands: list[list[str]]
    before: list[Rule]
    after: list[Rule]
    foreign: list[Rule]


def plan(present: Sequence[Rule], rules: Sequence[Rule]) -> Plan:
    """What is missing is added first; then those of ours that nobody asks for any more are removed."""
    keys = {rule.key for rule in rules}
    there = set(present)
    stale = [rule for rule in present if rule.ours and rule.key not in keys]
    commands = [rule.command() for rule in rules if rule not in there]
    commands += [["delete", *rule.words] for rule in stale]
    return Plan(
        commands=_each_once(commands),
        before=[rule for rule in present if rule.ours or rule.key in keys],
        after=list(rules),
        foreign=[rule for rule in present if not rule.ours and rule.key not in keys],
    )


def _each_once(commands: Iterable[list[str]]) -> list[list[str]]:
    return [list(command) for command in dict.fromkeys(tuple(command) for command in commands)]


def verdict(rules: Sequence[Rule], client: str, port: int) -> Rule | None:
    """The first rule that a TCP connection from `client` to `port` meets. The policy for the rest is no rule."""
    address = ip_address(client.partition("%")[0])
    if address.is_loopback:
        # A tunnel's end on the server itself: UFW lets the loopback interface in before it looks at any address.
        return Rule("allow", "any", "any", ANYBODY[address.version == 6], str(address), "in")
    for rule in rules:
        if rule.direction != "in" or rule.proto not in ("tcp", "any") or rule.v6 != (address.version == 6):
            continue
        if address in ip_network(rule.source, strict=False) and _covers(rule.port, port):
            return rule
    return None


def _covers(ports: str, port: int) -> bool:
    if ports == "any":
        return True
    for part in ports.split(","):
        first, _, last = part.partition(":")
        if int(first) <= port <= int(last or first):
            return True
    return False


def with_connection(rules: list[Rule], client: str | None, port: int) -> tuple[list[Rule], Rule | None]:
    """The rules, and among them one for the very connection that is in use, if none of them lets it in."""
    comment = f"{MARK}the connection in use"
    if client is None:
        sample = [verdict(rules, address, port) for address in ("192.0.2.1", "2001:db8::1")]
        if all(found and found.action == "allow" for found in sample):
            return rules, None
        extra = [Rule("allow", "tcp", str(port), any_, any_, "in", comment) for any_ in ANYBODY]
        return [*rules, *extra], extra[0]
    found = verdict(rules, client, port)
    if found and found.action == "allow":
        return rules, None
    single = client.partition("%")[0]
    named = any(rule.direction == "in" and rule.port != "any" and _covers(rule.port, port) for rule in rules)
    if named:
        # The port has a list of who may come; only the one who is here already is added to it.
        extra = [Rule("allow", "tcp", str(port), ANYBODY[":" in single], single, "in", comment)]
    else:
        extra = [Rule("allow", "tcp", str(port), any_, any_, "in", comment) for any_ in ANYBODY]
    return [*rules, *extra], replace(extra[0])
