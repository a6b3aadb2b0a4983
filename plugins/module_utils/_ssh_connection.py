# Copyright (c) 2026, Somos Infra maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The SSH connection that this very process came in by."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")


@dataclass(frozen=True)
class Connection:
    """As the server sees it, whatever lies between: the controller's address may be translated on the way."""

    client: str
    server: str
    port: int


def connection(proc: Path = PROC, pid: int | None = None) -> Connection | None:
    """Ask this process and those above it: sudo and su drop the variable, the shell that started them has it."""
    current = os.getpid() if pid is None else pid
    while current > 1:
        try:
            environment = (proc / str(current) / "environ").read_bytes()
            status = (proc / str(current) / "stat").read_text(errors="replace")
        except OSError:
            return None
        for entry in environment.split(b"\0"):
            if entry.startswith(b"SSH_CONNECTION="):
                words = entry.decode(errors="replace").partition("=")[2].split()
                if len(words) == 4 and words[3].isdigit():
                    return Connection(words[0], words[2], int(words[3]))
        # The name in brackets may hold anything, brackets and blanks too.
        current = int(status.rpartition(")")[2].split()[1])
    return None
