# Copyright (c) 2026, Somos Infra maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Single settings in files that belong to packages and know no drop-ins."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any


def edit(text: str, spec: Mapping[str, Any]) -> str:
    """The text with the settings, lines and words as they are wanted; everything else as it was."""
    lines = text.splitlines()
    for key, value in (spec.get("settings") or {}).items():
        # A commented setting is the place where its packager would have it; a sentence about it is none.
        name = re.escape(key)
        pattern = re.compile(rf"\s*(?:{name}(?:\s*=|\s|$)|#\s*{name}(?:\s*=\s*|\s+)\S*\s*$)")
        lines = _put(lines, pattern.match, f"{key}{spec.get('assignment') or ' '}{value}".rstrip())
    for item in spec.get("lines") or []:
        lines = _put(lines, re.compile(item["match"]).search, item["line"])
    for item in spec.get("without") or []:
        matching, word = re.compile(item["match"]), re.compile(rf"\s+{re.escape(item['word'])}(?=\s|$)")
        lines = [word.sub("", line) if matching.search(line) else line for line in lines]
    return "".join(f"{line}\n" for line in lines)


def _put(lines: list[str], matches: Callable[[str], Any], wanted: str) -> list[str]:
    """The line in the place of the active one, else of the first commented one, else at the end; and only once."""
    found = [index for index, line in enumerate(lines) if matches(line)]
    active = [index for index in found if not lines[index].lstrip().startswith("#")]
    if not found:
        return [*lines, wanted]
    place = (active or found)[0]
    superfluous = set(active[1:])
    return [wanted if index == place else line for index, line in enumerate(lines) if index not in superfluous]
