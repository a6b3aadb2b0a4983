# Copyright (c) 2026, Somos Infra maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a person has to know of a firewall that somebody else has a hand in."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ansible_collections.somos.infra.plugins.module_utils._ufw_docker import CHAIN
from ansible_collections.somos.infra.plugins.module_utils._ufw_rules import Rule


def warnings(
    port: int,
    extra: Rule | None,
    foreign: Sequence[str],
    holes: Sequence[str],
    kept: Sequence[str],
    rivals: Sequence[str],
) -> Iterator[str]:
    if extra:
        yield (
            f"Port {port} is kept open because this run came in there (`{extra}`), although firewall_rules would not "
            "let it in."
        )
    if foreign:
        yield (
            f"UFW has rules that this role did not write: {'; '.join(foreign)}. They stay. Declare them in "
            "firewall_rules, or name them in firewall_remove to have them removed."
        )
    if holes:
        yield (
            f"Rules of others let something in past UFW: {'; '.join(holes)}. Those in {CHAIN} are removed, as the "
            "policy stands there; the others stay, and are gone when the machine restarts."
        )
    if kept:
        yield (
            f"{CHAIN} has rules that this role did not write: {'; '.join(kept)}. They were kept, but the next reload "
            "of UFW loses them: put them into firewall_docker_rules."
        )
    for rival in rivals:
        yield (
            f"{rival} starts with the machine and loads rules of its own, over those of UFW: disable it "
            f"(`systemctl disable {rival}`)."
        )
