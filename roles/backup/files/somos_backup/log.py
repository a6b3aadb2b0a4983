"""Lines for the journal: each says which job, and where to."""

from __future__ import annotations

import os
import sys
import traceback

from .errors import BackupError

INFO, NOTICE, WARNING, ERROR = 6, 5, 4, 3


def say(message: str, *, job: str = "", destination: str = "", level: int = INFO) -> None:
    """One line on standard error, with a priority where systemd reads it."""
    prefix = f"<{level}>" if "JOURNAL_STREAM" in os.environ else ""
    where = (
        f"{job} → {destination}: " if job and destination else f"{job or destination}: " if job or destination else ""
    )
    for line in message.strip().splitlines() or [""]:
        print(f"{prefix}{where}{line}", file=sys.stderr, flush=True)


def told(error: Exception) -> str:
    """An error's own words; of one that nobody expected, also where it came from."""
    return str(error) if isinstance(error, BackupError) else "".join(traceback.format_exception(error)).strip()


def size(number: float) -> str:
    """Bytes as a person reads them."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if abs(number) < 1024:
            return f"{number:.0f} {unit}" if unit == "B" else f"{number:.1f} {unit}"
        number /= 1024
    return f"{number:.1f} TiB"
