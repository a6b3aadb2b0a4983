# Copyright (c) 2026, Somos Infra maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The rules of a drop-in of sshd, repeated in sshd_config itself, where whoever reads that file alone looks for them.

sshd takes the first value it reads, which is that of the drop-in. Repeated, the rules hold as well when the line that
includes drop-ins is lost, as by an upgrade that brings a new sshd_config.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

BEGIN = "# BEGIN somos.infra: the rules of sshd_config.d/00-somos.conf once more. Edits are undone."
END = "# END somos.infra"
# Before a line of somebody else that contradicts them; it comes back with the end of the block.
ASIDE = "#somos# "

_LINE = re.compile(r"\s*(\w+)(?:\s*=\s*|\s+)\S")
_INCLUDE = re.compile(r"\s*Include\s", re.IGNORECASE)
_MATCH = re.compile(r"\s*Match\s", re.IGNORECASE)
# Ports and host keys add up, and a key that is named twice is offered twice. Penalties are for a server that is still
# open, too, and only what is final is repeated.
_NEVER = {"port", "hostkey", "persourcepenalties", "persourcepenaltyexemptlist"}
# Several lines of these are several values; those of others stay.
_LISTS = {"allowusers", "allowgroups", "denyusers", "denygroups", "acceptenv", "setenv", "subsystem", "include"}


def rules(dropin: str) -> list[str]:
    """The drop-in's lines that hold for everybody, as they are to be repeated; none before it is final."""
    found = []
    for line in dropin.splitlines():
        if _MATCH.match(line):
            break
        if (keyword := _keyword(line)) and keyword not in _NEVER:
            found.append(line.strip())
    return found


def repeat(text: str, wanted: Sequence[str]) -> str:
    """sshd_config with these rules after its first Include, or at its top, and with none once there are none.

    What stands in a `Match` block is never touched: the block comes before the first one. Raises nothing.
    """
    lines = _without_block(text.splitlines())
    head = next((number for number, line in enumerate(lines) if _MATCH.match(line)), len(lines))
    lines = [line.removeprefix(ASIDE) for line in lines]
    if wanted:
        keywords = {_keyword(rule) for rule in wanted} - _LISTS
        for number, line in enumerate(lines[:head]):
            if _keyword(line) in keywords:
                lines[number] = ASIDE + line
        place = next((number + 1 for number, line in enumerate(lines[:head]) if _INCLUDE.match(line)), 0)
        lines[place:place] = [BEGIN, *wanted, END]
    return "".join(f"{line}\n" for line in lines)


def _without_block(lines: list[str]) -> list[str]:
    """Also where the end of the block was lost: then up to the last of the lines that it began with."""
    if BEGIN not in lines:
        return lines
    start = lines.index(BEGIN)
    rest = lines[start + 1 :]
    end = (
        rest.index(END) + 1
        if END in rest
        else next((n for n, line in enumerate(rest) if not _keyword(line)), len(rest))
    )
    return [*lines[:start], *_without_block(rest[end:])]


def _keyword(line: str) -> str:
    found = _LINE.match(line)
    return found[1].lower() if found else ""
