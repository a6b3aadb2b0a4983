"""The place where a backup is put together: empty before, gone afterwards, with room looked for first."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from .errors import BackupError
from .log import size
from .process import RESERVE


@contextlib.contextmanager
def emptied(directory: Path) -> Iterator[Path]:
    """*directory*, private and empty; gone afterwards. An error of the file system becomes a BackupError."""
    remove(directory)
    try:
        directory.mkdir(mode=0o700, parents=True)
        yield directory
    except OSError as error:
        words = f"{error.strerror} on {error.filename or directory}."
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            words += f" Free space below {directory.parent}, or have backup_state_directory name a larger disk."
        raise BackupError(words) from error
    finally:
        remove(directory)


def remove(directory: Path) -> None:
    """Raises BackupError if it stays."""
    shutil.rmtree(directory, ignore_errors=True)
    if directory.exists():
        raise BackupError(f"{directory} cannot be removed. Remove it by hand.")


def open_up(directory: Path) -> None:
    """Let the users of containers read *directory*, which is mounted there; what is above it lets nobody else in."""
    for parent, _, names in os.walk(directory):
        Path(parent).chmod(0o755)
        for path in (Path(parent) / name for name in names):
            if not path.is_symlink():
                path.chmod(0o644)


def refuse_without_room(directory: Path, need: int) -> None:
    """Raises BackupError unless *need* bytes and a reserve are free where *directory* is."""
    free = shutil.disk_usage(directory).free
    if free < need + RESERVE:
        raise BackupError(
            f"{size(need)} and a reserve of {size(RESERVE)} are needed in {directory}, {size(max(free, 0))} are free. "
            "Free space there, or have backup_state_directory name a larger disk."
        )
