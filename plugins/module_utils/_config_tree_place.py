# Copyright (c) 2026, Somos Infra maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Files below one directory, read and replaced without ever following a symbolic link."""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from ansible_collections.somos.infra.plugins.module_utils._config_tree import CHUNK, Readable, Refusal

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_NOFOLLOW = os.O_NOFOLLOW | os.O_CLOEXEC
_ABSENT = (FileNotFoundError, NotADirectoryError)


class Place:
    """A directory and what is below it, by relative path.

    Each path is walked from the directory's own descriptor, one component at a time and never through a link: the
    directories may belong to a container's user, who could swap one for a link while root is writing.
    """

    def __init__(self, root: str, durable: bool = True) -> None:
        self.root = root
        self._durable = durable

    def show(self, path: str) -> str:
        return str(Path(self.root, path))

    @contextlib.contextmanager
    def _holder(self, path: str) -> Iterator[tuple[int, str]]:
        """Give the descriptor of the directory that holds a path, and the path's last component."""
        *above, base = path.split("/")
        descriptor = os.open(self.root, _DIRECTORY)
        try:
            for depth, part in enumerate(above, 1):
                try:
                    below = os.open(part, _DIRECTORY | _NOFOLLOW, dir_fd=descriptor)
                except NotADirectoryError:
                    here = "/".join(above[:depth])
                    if stat.S_ISLNK(os.stat(part, dir_fd=descriptor, follow_symlinks=False).st_mode):
                        raise Refusal(self._through_link(here)) from None
                    raise
                os.close(descriptor)
                descriptor = below
            yield descriptor, base
        finally:
            os.close(descriptor)

    def _through_link(self, path: str) -> str:
        return f"{self.show(path)} is a symbolic link, and config_tree does not go through links: remove it first."

    def status(self, path: str) -> os.stat_result | None:
        """Return what is at a path, the link itself if it is one; None if nothing is."""
        try:
            with self._holder(path) as (holder, base):
                return os.stat(base, dir_fd=holder, follow_symlinks=False)
        except _ABSENT:
            return None

    def expect(self, path: str, wanted: str) -> os.stat_result | None:
        """Return the status of a wanted "regular file" or "directory", None if it is absent; refuse anything else."""
        status = self.status(path)
        if status is None:
            return None
        if stat.S_ISLNK(status.st_mode):
            raise Refusal(self._through_link(path))
        if not (stat.S_ISDIR if wanted == "directory" else stat.S_ISREG)(status.st_mode):
            raise Refusal(f"{self.show(path)} is in the way: it is not a {wanted}.")
        return status

    def open(self, path: str) -> BinaryIO:
        with self._holder(path) as (holder, base):
            # O_NONBLOCK: should a pipe have taken the file's place, do not wait for a writer.
            return os.fdopen(os.open(base, os.O_RDONLY | os.O_NONBLOCK | _NOFOLLOW, dir_fd=holder), "rb")

    def exists(self) -> bool:
        """Say whether the directory itself is there; refuse anything else in its place."""
        root = Path(self.root)
        if root.is_dir():
            return True
        if root.is_symlink() or root.exists():
            raise Refusal(f"{self.root} is in the way: it is not a directory.")
        return False

    def names(self, path: str) -> set[str] | None:
        """Return the names in a directory, the one itself if the path is empty; None if it is not there."""
        try:
            if not path:
                return {item.name for item in Path(self.root).iterdir()}
            with self._holder(path) as (holder, base):
                descriptor = os.open(base, _DIRECTORY | _NOFOLLOW, dir_fd=holder)
        except _ABSENT:
            return None
        try:
            return {item.name for item in os.scandir(descriptor)}
        finally:
            os.close(descriptor)

    def write(self, path: str, content: Readable, uid: int | None, gid: int | None, mode: int) -> None:
        """Replace a file by one with this content, owner and mode, in one step that a kill cannot halve."""
        with self._holder(path) as (holder, base):
            spare = _spare(base)
            _discard(holder, spare)
            descriptor = os.open(spare, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _NOFOLLOW, 0o600, dir_fd=holder)
            try:
                with os.fdopen(descriptor, "wb") as stream:
                    shutil.copyfileobj(content, stream, CHUNK)
                    stream.flush()
                    _give(descriptor, uid, gid, mode)
                    if self._durable:
                        os.fsync(descriptor)
                os.replace(spare, base, src_dir_fd=holder, dst_dir_fd=holder)
            except BaseException:
                _discard(holder, spare)
                raise

    def make_directory(self, path: str, uid: int | None, gid: int | None, mode: int) -> None:
        """Create a directory that has its owner and mode from the moment it has its name.

        The empty path is the directory itself; the ones above it are created plainly where they are missing.
        """
        if not path:
            root = Path(self.root)
            root.parent.mkdir(parents=True, exist_ok=True)
            Place(str(root.parent)).make_directory(root.name, uid, gid, mode)
            return
        with self._holder(path) as (holder, base):
            spare = _spare(base)
            _discard(holder, spare)
            os.mkdir(spare, 0o700, dir_fd=holder)
            descriptor = os.open(spare, _DIRECTORY | _NOFOLLOW, dir_fd=holder)
            try:
                _give(descriptor, uid, gid, mode)
            finally:
                os.close(descriptor)
            os.rename(spare, base, src_dir_fd=holder, dst_dir_fd=holder)

    def give(self, path: str, uid: int | None, gid: int | None, mode: int) -> None:
        """Correct owner and mode of what is there."""
        with self._holder(path) as (holder, base):
            descriptor = os.open(base, os.O_RDONLY | os.O_NONBLOCK | _NOFOLLOW, dir_fd=holder)
        try:
            _give(descriptor, uid, gid, mode)
        finally:
            os.close(descriptor)

    def remove(self, path: str) -> None:
        """Remove a file or an empty directory, the one itself if the path is empty."""
        if not path:
            Path(self.root).rmdir()
            return
        with self._holder(path) as (holder, base):
            _discard(holder, base)

    def tidy(self, path: str) -> None:
        """Remove what an interrupted write of this path has left beside it."""
        if not path:
            root = Path(self.root)
            if root.name:
                Place(str(root.parent)).tidy(root.name)
            return
        with contextlib.suppress(*_ABSENT, Refusal), self._holder(path) as (holder, base):
            _discard(holder, _spare(base))

    def sync(self, path: str) -> None:
        """Make the names in the directory that holds a path survive a power cut."""
        with self._holder(path) as (holder, _base):
            os.fsync(holder)


def _spare(base: str) -> str:
    """Name the file that a write of this one goes to first: always the same, so that the next run finds a leftover."""
    return f".{base}.somos-new"


def _discard(holder: int, name: str) -> None:
    try:
        os.unlink(name, dir_fd=holder)
    except IsADirectoryError:
        os.rmdir(name, dir_fd=holder)
    except FileNotFoundError:
        pass


def _give(descriptor: int, uid: int | None, gid: int | None, mode: int) -> None:
    """Set owner and mode, each only where it differs: an ordinary user may not even repeat an owner it has not got."""
    status = os.fstat(descriptor)
    if (uid is not None and uid != status.st_uid) or (gid is not None and gid != status.st_gid):
        os.fchown(descriptor, -1 if uid is None else uid, -1 if gid is None else gid)
        status = os.fstat(descriptor)  # a change of owner drops the setuid and setgid bits
    if stat.S_IMODE(status.st_mode) != mode:
        os.fchmod(descriptor, mode)
