# Copyright (c) 2026, Somos Infra maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A file to swap to: is it whole, may it be here, is it in use?"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

MIB = 1024 * 1024
# Where copies on write, networks or memory lie under a file, the kernel refuses to swap to it, or should.
FILE_SYSTEMS = ("ext2", "ext3", "ext4", "xfs")
_SIGNATURE = b"SWAPSPACE2"
_PAGE = 4096


@dataclass(frozen=True)
class Area:
    """A line of /proc/swaps."""

    path: str
    size_kib: int
    used_kib: int


def areas(swaps: str) -> list[Area]:
    """What the server swaps to, from the text of /proc/swaps."""
    lines = (line.split() for line in swaps.splitlines()[1:])
    return [Area(fields[0], int(fields[2]), int(fields[3])) for fields in lines if len(fields) >= 4]


def file_system(mounts: str, path: str) -> str:
    """The type of the file system on which `path` lies, from the text of /proc/mounts."""
    best, kind = "", ""
    for line in mounts.splitlines():
        fields = line.split()
        point = fields[1].replace("\\040", " ")
        inside = path == point or path.startswith(point.rstrip("/") + "/")
        # Of two mounts on one point the later one covers the earlier one.
        if inside and len(point) >= len(best):
            best, kind = point, fields[2]
    return kind


def is_whole(path: Path, size_mb: int) -> bool:
    """Whether the file has the size, is closed to others, has no holes and begins as mkswap leaves it."""
    try:
        state = path.lstat()
    except FileNotFoundError:
        return False
    if state.st_size != size_mb * MIB or state.st_mode & 0o777 != 0o600 or state.st_blocks * 512 < state.st_size:
        return False
    with path.open("rb") as stream:
        stream.seek(_PAGE - len(_SIGNATURE))
        return stream.read(len(_SIGNATURE)) == _SIGNATURE


def fill(path: Path, size_mb: int) -> None:
    """Write zeros: a file that was only reserved has holes on some file systems, and swapping to one fails."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "wb") as stream:
        block = bytes(MIB)
        for _ in range(size_mb):
            stream.write(block)
        stream.flush()
        os.fsync(stream.fileno())
