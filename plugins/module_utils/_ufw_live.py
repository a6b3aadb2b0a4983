# Copyright (c) 2026, Somos Infra maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the kernel filters by now, compared with what UFW would load from its files."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from ansible_collections.somos.infra.plugins.module_utils._ufw_docker import CHAIN, LIST_CHAIN

_OWN = re.compile(rf"(ufw6?-[a-z-]+|{LIST_CHAIN}\d+)$")
_OURS = re.compile(r'--comment "?somos"?( |$)')
_BUILT_IN = ("INPUT", "FORWARD", "OUTPUT")
_HOOK = f"-A FORWARD -j {CHAIN}"


@dataclass
class Table:
    """The output of `iptables -S`: policies, and the rules of each chain in their order."""

    policies: dict[str, str] = field(default_factory=dict)
    chains: dict[str, list[str]] = field(default_factory=dict)

    @classmethod
    def parse(cls, text: str) -> Table:
        table = cls()
        for line in text.splitlines():
            kind, _, rest = line.partition(" ")
            chain, _, value = rest.partition(" ")
            if kind == "-P":
                table.policies[chain] = value
                table.chains.setdefault(chain, [])
            elif kind == "-N":
                table.chains.setdefault(chain, [])
            elif kind == "-A":
                table.chains.setdefault(chain, []).append(line)
        return table


@dataclass(frozen=True)
class Drift:
    """How the kernel differs from the files, as lines to show, and what others have put there."""

    before: list[str]
    after: list[str]
    # Rules of others in DOCKER-USER that only take away: they are kept. A reload of UFW would lose them.
    kept: list[str]
    # Rules of others that let something in past this policy.
    holes: list[str]
    unhooked: bool
    stale_chains: list[str]

    @property
    def found(self) -> bool:
        return bool(self.before or self.after)


def compare(live: Table, expected: Table) -> Drift:
    """`expected` is what a fresh network namespace holds after UFW has started in it from the same files."""
    before: list[str] = []
    after: list[str] = []
    for chain in _BUILT_IN:
        has, wants = live.policies.get(chain, ""), expected.policies.get(chain, "")
        if has != wants:
            before.append(f"-P {chain} {has}")
            after.append(f"-P {chain} {wants}")
        jumps = [rule for rule in live.chains.get(chain, []) if _OWN.search(rule)]
        _differing(jumps, [rule for rule in expected.chains.get(chain, []) if _OWN.search(rule)], before, after)
    for chain in sorted(name for name in expected.chains if _OWN.match(name)):
        _differing(live.chains.get(chain, []), expected.chains[chain], before, after)
    kept, holes, own = _docker_user(live.chains.get(CHAIN, []))
    _differing(own, expected.chains.get(CHAIN, []), before, after)
    unhooked = _unhooked(live)
    if unhooked:
        after.append(_HOOK)
    inputs = live.chains.get("INPUT", [])
    holes += [rule for rule in inputs if rule.endswith("-j ACCEPT") and not _OWN.search(rule)]
    stale = [name for name in live.chains if name.startswith(LIST_CHAIN) and name not in expected.chains]
    return Drift(before, after, kept, holes, unhooked, stale)


def foreign_in_docker_user(live: Table) -> list[str]:
    """The rules of others that a reload of UFW has to give back."""
    return _docker_user(live.chains.get(CHAIN, []))[0]


def _docker_user(live: Sequence[str]) -> tuple[list[str], list[str], list[str]]:
    """Rules of others that take away, those that let in, and what is left: it should be what is expected."""
    rules = list(live)
    # Docker appends a RETURN of its own at the end; behind our last DROP it means nothing.
    while rules and rules[-1] == f"-A {CHAIN} -j RETURN":
        rules.pop()
    others = [rule for rule in rules if not _OURS.search(rule)]
    holes = [rule for rule in others if re.search(r"-j (ACCEPT|RETURN)\b", rule)]
    kept = [rule for rule in others if rule not in holes]
    return kept, holes, [rule for rule in rules if rule not in kept]


def _unhooked(live: Table) -> bool:
    """Docker runs, and something forwards before DOCKER-USER is asked."""
    if "DOCKER" not in live.chains:
        return False
    forward = live.chains.get("FORWARD", [])
    if _HOOK not in forward:
        return True
    # Docker puts its isolation of networks first when it restarts; it lets nothing in, it only drops.
    return any(re.search(r"-j (ACCEPT|DOCKER(?!-ISOLATION)\S*)$", rule) for rule in forward[: forward.index(_HOOK)])


def _differing(has: Sequence[str], wants: Sequence[str], before: list[str], after: list[str]) -> None:
    if list(has) == list(wants):
        return
    gone = [rule for rule in has if rule not in wants]
    missing = [rule for rule in wants if rule not in has]
    # The same rules in another order: the order is all there is to show.
    before += gone if gone or missing else has
    after += missing if gone or missing else wants
