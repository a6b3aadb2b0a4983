# Copyright (c) 2026, Somos Infra maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Permissions that are never wider than wanted."""

from __future__ import annotations

import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Change:
    path: Path
    before: int
    after: int


def too_wide(root: Path, limits: Mapping[str, int]) -> Iterator[Change]:
    """The files and directories whose mode exceeds the first limit that names them, by glob below `root`."""
    seen: set[Path] = set()
    for pattern, limit in limits.items():
        for path in sorted(root.glob(pattern.lstrip("/"))):
            state = path.lstat()
            # The mode of what a link leads to is not ours to decide.
            if path in seen or not (stat.S_ISREG(state.st_mode) or stat.S_ISDIR(state.st_mode)):
                continue
            seen.add(path)
            before = stat.S_IMODE(state.st_mode)
            if before & limit != before:
                yield Change(path, before, before & limit)
