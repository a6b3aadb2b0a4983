# Copyright (c) 2026, Somos Infra maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Debian's profiles for PAM: what they ask for, and whether it is in force."""

from __future__ import annotations

import re
from collections.abc import Mapping

KINDS = ("auth", "account", "password", "session")
_MODULE = re.compile(r"\s+(?:\[[^\]]*\]|\w+)\s+(pam_\w+\.so.*)")
_PRESENT = re.compile(r"^[^#\n]*?(pam_\w+\.so[^#\n]*)", re.M)


def asks_for(profile: str) -> dict[str, set[str]]:
    """Kind → modules with their arguments, from the text of a profile."""
    found: dict[str, set[str]] = {}
    kind = ""
    for line in profile.splitlines():
        heading = re.match(r"(\w+)(?:-\w+)?:", line)
        if heading:
            kind = heading[1].lower()
        entry = _MODULE.match(line)
        if entry and kind in KINDS:
            found.setdefault(kind, set()).add(_spaced(entry[1]))
    return found


def missing(profiles: Mapping[str, str], stacks: Mapping[str, str]) -> list[str]:
    """What the profiles ask for and the stacks (the texts of /etc/pam.d/common-*) do not have."""
    lacks = []
    for profile in profiles.values():
        for kind, modules in asks_for(profile).items():
            present = {_spaced(found) for found in _PRESENT.findall(stacks[kind])}
            lacks += [f"{kind}: {module}" for module in sorted(modules - present)]
    return lacks


def _spaced(text: str) -> str:
    return " ".join(text.split())
