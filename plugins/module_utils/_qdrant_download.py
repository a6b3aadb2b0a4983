# Copyright (c) 2026, Somos Infra maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Snapshots from the server, at constant memory. Standard library only, no Ansible.

A download is received and written by one thread and hashed by another, for a SHA-256 takes as long as the network does,
and the interpreter's lock is free while either works.
"""

from __future__ import annotations

import hashlib
import http.client
import os
import queue
import re
import shutil
import tempfile
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from ._qdrant_errors import DamagedError, LocalError, RefusedError, UnreachableError
from ._qdrant_files import CHUNK, PART, local, sync_directory
from ._qdrant_http import RETRIED_STATUS, Http

_BUFFERS = 4
_RANGE = re.compile(r"bytes (\d+)-\d+/(\d+|\*)")


@dataclass(frozen=True)
class Download:
    """A file that arrived whole, still under a temporary name, on disk. *size* in bytes, *checksum* SHA-256."""

    path: Path
    size: int
    checksum: str

    def keep_as(self, path: Path) -> None:
        """Give it its name. Raises OSError."""
        self.path.replace(path)
        sync_directory(path.parent)


class _Hasher:
    """SHA-256 of what is handed over, in a thread of its own. Buffers go round: none is written before it is hashed."""

    def __init__(self) -> None:
        self._digest = hashlib.sha256()
        self._free: queue.SimpleQueue[bytearray] = queue.SimpleQueue()
        self._full: queue.SimpleQueue[tuple[bytearray, int] | None] = queue.SimpleQueue()
        for _ in range(_BUFFERS):
            self._free.put(bytearray(CHUNK))
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    def _work(self) -> None:
        while (item := self._full.get()) is not None:
            buffer, length = item
            self._digest.update(memoryview(buffer)[:length])
            self._free.put(buffer)

    def buffer(self) -> bytearray:
        """One to fill. It has to be given back, whatever happens: there are no others."""
        return self._free.get()

    def give(self, buffer: bytearray, length: int) -> None:
        self._full.put((buffer, length))

    def hexdigest(self) -> str:
        """Ends the thread."""
        self._full.put(None)
        self._thread.join()
        return self._digest.hexdigest()


class _Fetch:
    """A download that may be cut off and go on: the state between two connections."""

    def __init__(self, http: Http, what: str, path: str, size: int, file: BinaryIO, place: str) -> None:
        self.http, self.what, self.path, self.size, self.file, self.place = http, what, path, size, file, place
        self.hasher = _Hasher()
        self.done = 0
        self.tag: str | None = None

    def run(self) -> str:
        """Receive all; returns the checksum. Goes on as long as connections get further than those before."""
        try:
            self._receive_all()
        finally:
            checksum = self.hasher.hexdigest()
        return checksum

    def _receive_all(self) -> None:
        failures = furthest = 0
        while True:
            try:
                return self._receive()
            except (UnreachableError, RefusedError) as error:
                if isinstance(error, RefusedError) and error.status not in RETRIED_STATUS:
                    raise
                failures = 1 if self.done > furthest else failures + 1
                furthest = max(self.done, furthest)
                if failures >= self.http.attempts:
                    raise
                asked = error.retry_after if isinstance(error, RefusedError) else None
                self.http.pause(failures, asked)

    def _receive(self) -> None:
        # Without a tag, another file of the same name might be glued to the half of this one: it comes whole again.
        headers = {"Range": f"bytes={self.done}-", "If-Range": self.tag} if self.done and self.tag else {}
        try:
            with self.http.exchange(self.what, "GET", self.path, headers) as response:
                self._take_up(response)
                self._read(response)
        except RefusedError as error:
            if error.status != 416:
                raise
            raise self._another(f"{self.done} bytes came, and there are no more") from error
        if self.done > self.size:
            raise self._another("more bytes come")
        if self.done < self.size:
            problem = f"{self.what} failed: {self.done} bytes came of the {self.size} that the server lists."
            raise UnreachableError(problem, sent=True)

    def _take_up(self, response: http.client.HTTPResponse) -> None:
        tag = response.getheader("ETag")
        if response.status == 206:
            match = _RANGE.fullmatch(response.getheader("Content-Range") or "")
            if match is None or int(match[1]) != self.done or tag not in (None, self.tag):
                raise self._another("the part that came is not the one that was asked for")
        elif self.done:
            self._start_again()
        self.tag = tag or self.tag

    def _read(self, response: http.client.HTTPResponse) -> None:
        length = -1
        while length and self.done <= self.size:
            buffer = self.hasher.buffer()
            length = 0
            try:
                length = response.readinto(buffer)
                with local(f"{self.what} failed: {self.place}"):
                    _write(self.file, memoryview(buffer)[:length])
            finally:
                self.hasher.give(buffer, length)
            self.done += length

    def _start_again(self) -> None:
        self.hasher.hexdigest()
        self.hasher = _Hasher()
        with local(f"{self.what} failed: {self.place}"):
            self.file.seek(0)
            self.file.truncate()
        self.done = 0
        self.tag = None

    def _another(self, why: str) -> DamagedError:
        return DamagedError(
            f"{self.what} failed: the server lists {self.size} bytes, but {why}. "
            "It was replaced while it was read; make another one."
        )


def download(http: Http, what: str, path: str, directory: str, name: str, size: int, checksum: str | None) -> Download:
    """Receive *size* bytes into a new file in *directory*, on disk when this returns, of mode 0600.

    A connection that breaks is taken up where it broke. *checksum* (SHA-256) is compared if the server knows one.
    Raises QdrantError if it is not what came, and leaves no file behind.
    """
    with local(f"{what} failed: {directory}"):
        free = shutil.disk_usage(directory).free
    if free < size:
        raise LocalError(
            f"{what} failed: it takes {size} bytes, and {directory} has room for {free}. Make room, or use another."
        )
    # Not the whole name: with what is added, it could become too long for a file system.
    with local(f"{what} failed: {directory}"):
        handle, temporary = tempfile.mkstemp(prefix=f".{name[:32]}.", suffix=PART, dir=directory)
    try:
        with open(handle, "wb", buffering=0) as file:  # noqa: PTH123 - a descriptor
            received = _Fetch(http, what, path, size, file, directory).run()
            if checksum and received != checksum.lower():
                raise DamagedError(
                    f"{what} failed: its SHA-256 is {received}, the server's is {checksum}. "
                    "It was damaged on the way or on the server's disk, or replaced while it was read."
                )
            with local(f"{what} failed: {directory}"):
                os.fsync(file.fileno())
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    return Download(Path(temporary), size, received)


def _write(file: BinaryIO, view: memoryview) -> None:
    while view:
        view = view[file.write(view) :]
