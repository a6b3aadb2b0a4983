# Copyright (c) 2026, Somos Infra maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Snapshots on the wire, both ways, at constant memory. Standard library only, no Ansible.

A download is received and written by one thread and hashed by another, for a SHA-256 takes as long as the network does,
and the interpreter's lock is free while either works.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import http.client
import os
import queue
import re
import secrets
import select
import shutil
import socket
import ssl
import stat
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, BinaryIO

from ._qdrant_http import DamagedError, Http, QdrantError, RefusedError, UnreachableError

CHUNK = 1 << 20
_BUFFERS = 4
PART = ".part"
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

    def __init__(self, http: Http, what: str, path: str, size: int, file: BinaryIO) -> None:
        self.http, self.what, self.path, self.size, self.file = http, what, path, size, file
        self.hasher = _Hasher()
        self.done = 0
        self.tag: str | None = None

    def run(self) -> str:
        """Receive all; returns the checksum. Goes on as long as each new connection brings something."""
        try:
            self._receive_all()
        finally:
            checksum = self.hasher.hexdigest()
        return checksum

    def _receive_all(self) -> None:
        failures = 0
        while True:
            before = self.done
            try:
                return self._receive()
            except (UnreachableError, RefusedError) as error:
                if isinstance(error, RefusedError) and error.status not in (429, 502, 503, 504):
                    raise
                failures = 1 if self.done > before else failures + 1
                if failures >= self.http.attempts:
                    raise
                self.http.sleep(min(2.0 ** (failures - 1), 30.0))

    def _receive(self) -> None:
        headers = {}
        if self.done:
            headers["Range"] = f"bytes={self.done}-"
            if self.tag:  # else another snapshot that got the same name would be glued to the half of this one
                headers["If-Range"] = self.tag
        with self.http.exchange(self.what, "GET", self.path, headers) as response:
            if self.done and not self._continues(response):
                self._start_again()
            self.tag = response.getheader("ETag") or self.tag
            self._read(response)
        if self.done != self.size:
            problem = f"{self.what} failed: {self.done} bytes came of the {self.size} that the server lists."
            if self.done < self.size:
                raise UnreachableError(problem, sent=True)
            raise DamagedError(f"{problem} It was replaced while it was read; make another one.")

    def _read(self, response: http.client.HTTPResponse) -> None:
        while self.done <= self.size:
            buffer = self.hasher.buffer()
            length = response.readinto(buffer)
            with _local(self.what, self.file.name):
                _write(self.file, memoryview(buffer)[:length])
            self.done += length
            self.hasher.give(buffer, length)
            if not length:
                return

    def _continues(self, response: http.client.HTTPResponse) -> bool:
        match = _RANGE.fullmatch(response.getheader("Content-Range") or "")
        return response.status == 206 and match is not None and int(match[1]) == self.done

    def _start_again(self) -> None:
        self.hasher.hexdigest()
        self.hasher = _Hasher()
        self.file.seek(0)
        self.file.truncate()
        self.done = 0


def download(http: Http, what: str, path: str, directory: str, name: str, size: int, checksum: str | None) -> Download:
    """Receive *size* bytes into a new file in *directory*, on disk when this returns, of mode 0600.

    A connection that breaks is taken up where it broke. *checksum* (SHA-256) is compared if the server knows one.
    Raises QdrantError if it is not what came, and leaves no file behind.
    """
    free = shutil.disk_usage(directory).free
    if free < size:
        raise QdrantError(
            f"{what} failed: it takes {size} bytes, and {directory} has room for {free}. Make room, or use another."
        )
    # Not the whole name: with what is added, it could become too long for a file system.
    with _local(what, directory):
        handle, temporary = tempfile.mkstemp(prefix=f".{name[:64]}.", suffix=PART, dir=directory)
    try:
        with open(handle, "wb", buffering=0) as file:  # noqa: PTH123 - a descriptor
            received = _Fetch(http, what, path, size, file).run()
            if checksum and received != checksum.lower():
                raise DamagedError(
                    f"{what} failed: its SHA-256 is {received}, the server's is {checksum}. "
                    "It was damaged on the way or on the server's disk, or replaced while it was read."
                )
            with _local(what, temporary):
                os.fsync(file.fileno())
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    return Download(Path(temporary), size, received)


def upload(http: Http, what: str, path: str, name: str, file: IO[bytes], size: int) -> None:
    """Send *size* bytes of *file* as the form field ``snapshot``; returns when the server has restored them.

    Sent again only if the server cannot have begun. Raises QdrantError if *file* ends early.
    """
    boundary = secrets.token_hex(16)
    head = (
        f'--{boundary}\r\nContent-Disposition: form-data; name="snapshot"; filename="{_quotable(name)}"\r\n'
        "Content-Type: application/octet-stream\r\n\r\n"
    ).encode()
    tail = f"\r\n--{boundary}--\r\n".encode()
    headers = {
        "Content-Type": f"multipart/form-data; boundary={boundary}",
        "Content-Length": str(len(head) + size + len(tail)),
    }
    start = file.tell()

    def send(sock: socket.socket) -> None:
        file.seek(start)
        sock.sendall(head)
        for chunk in _chunks(what, file, size):
            if _answered(sock):
                return  # refused already; the answer says why
            sock.sendall(chunk)
        sock.sendall(tail)

    def once() -> None:
        with http.exchange(what, "POST", path, headers, send, patient=True) as response:
            response.read(1 << 20)

    http.repeat(once, repeatable=False)


def file_checksum(path: Path) -> tuple[int, str]:
    """Size in bytes and SHA-256 of a regular file, which is not followed if it is a link. Raises OSError."""
    digest = hashlib.sha256()
    size = 0
    with open_regular(path) as file:
        for chunk in iter(lambda: file.read(CHUNK), b""):
            digest.update(chunk)
            size += len(chunk)
    return size, digest.hexdigest()


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


def sync_directory(path: Path) -> None:
    """Make the names in a directory survive a power cut. Raises OSError."""
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _quotable(name: str) -> str:
    """A file name that cannot end the quoted string it stands in."""
    return re.sub(r"[^\w.()+@=,-]", "_", name, flags=re.ASCII)


def _chunks(what: str, file: IO[bytes], size: int) -> Iterator[memoryview]:
    buffer = bytearray(CHUNK)
    left = size
    while left:
        view = memoryview(buffer)[: min(CHUNK, left)]
        with _local(what, getattr(file, "name", "the snapshot")):
            length = file.readinto(view)  # type: ignore[attr-defined]
        if not length:
            raise QdrantError(f"{what} failed: the snapshot ended {left} bytes early. Was it changed meanwhile?")
        left -= length
        yield view[:length]


def _answered(sock: socket.socket) -> bool:
    # Below TLS, bytes may be the protocol's own; there a refusal shows as a broken connection only.
    return not isinstance(sock, ssl.SSLSocket) and bool(select.select([sock], [], [], 0)[0])


def _write(file: BinaryIO, view: memoryview) -> None:
    while view:
        view = view[file.write(view) :]


@contextlib.contextmanager
def _local(what: str, place: str) -> Iterator[None]:
    """Trouble with a local file must not look like trouble with the network."""
    try:
        yield
    except OSError as error:
        raise QdrantError(f"{what} failed: {place}: {error.strerror or error}.") from error
