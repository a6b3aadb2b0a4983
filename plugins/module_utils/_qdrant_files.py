# Copyright (c) 2026, Somos Infra maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Files of snapshots on this host. Standard library only, no Ansible."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, BinaryIO

from ._qdrant_errors import LocalError

CHUNK = 1 << 20
PART = ".part"


@contextlib.contextmanager
def local(what: str) -> Iterator[None]:
    """Raises LocalError, *what* and the reason, for an OSError: it must not look like trouble with the network."""
    try:
        yield
    except OSError as error:
        raise LocalError(f"{what}: {error.strerror or error}.") from error


def open_regular(path: Path) -> BinaryIO:
    """Open a regular file for reading. Raises OSError for a link, a directory, a device, a pipe."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise OSError(errno.ELOOP, "it is a symbolic link, which is not followed") from error
        raise
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise OSError(errno.EINVAL, "it is not a regular file")
    return open(handle, "rb")  # noqa: PTH123 - a descriptor, handed to the caller


def checksum_of(file: IO[bytes]) -> tuple[int, str]:
    """Size in bytes and SHA-256 of what is left to read. Raises OSError."""
    digest, size = hashlib.sha256(), 0
    for chunk in iter(lambda: file.read(CHUNK), b""):
        digest.update(chunk)
        size += len(chunk)
    return size, digest.hexdigest()


def file_checksum(path: Path) -> tuple[int, str]:
    """Size in bytes and SHA-256 of a regular file, which is not followed if it is a link. Raises OSError."""
    with open_regular(path) as file:
        return checksum_of(file)


def sync_directory(path: Path) -> None:
    """Make the names in a directory survive a power cut. Raises OSError."""
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_file(path: Path, text: str) -> None:
    """Atomically, mode 0600, on disk when this returns; nothing is left of what fails. Raises OSError."""
    # Not its name: with what is added, it could become too long for a file system.
    handle, temporary = tempfile.mkstemp(prefix=".text.", suffix=PART, dir=path.parent)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        Path(temporary).replace(path)
        sync_directory(path.parent)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
