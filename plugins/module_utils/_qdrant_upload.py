# Copyright (c) 2026, Somos Infra maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Snapshots to the server, at constant memory. Standard library only, no Ansible."""

from __future__ import annotations

import itertools
import re
import secrets
import select
import socket
import ssl
from collections.abc import Iterator
from typing import IO

from ._qdrant_errors import LocalError
from ._qdrant_files import CHUNK, local
from ._qdrant_http import Http


def upload(http: Http, what: str, path: str, name: str, file: IO[bytes], size: int) -> None:
    """Send *size* bytes of *file* as the form field ``snapshot``; returns when the server has restored them.

    Sent again only if the server cannot have begun. Raises LocalError if *file* cannot be read, or ends early.
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

    def send(sock: socket.socket) -> bool:
        file.seek(start)
        parts = itertools.chain([memoryview(head)], _chunks(what, file, size), [memoryview(tail)])
        return all(_send(sock, part) for part in parts)

    def once() -> None:
        with http.exchange(what, "POST", path, headers, send, patient=True) as response:
            http.result(what, response)

    http.repeat(once, repeatable=False)


def _quotable(name: str) -> str:
    """A file name that cannot end the quoted string it stands in."""
    return re.sub(r"[^\w.()+@=,-]", "_", name, flags=re.ASCII)


def _chunks(what: str, file: IO[bytes], size: int) -> Iterator[memoryview]:
    buffer = bytearray(CHUNK)
    left = size
    while left:
        view = memoryview(buffer)[: min(CHUNK, left)]
        with local(f"{what} failed: {getattr(file, 'name', 'the snapshot')}"):
            length = file.readinto(view)  # type: ignore[attr-defined]
        if not length:
            raise LocalError(f"{what} failed: the snapshot ended {left} bytes early. Was it changed meanwhile?")
        left -= length
        yield view[:length]


def _send(sock: socket.socket, view: memoryview) -> bool:
    """False if the server has answered already: it refuses the rest, and perhaps does not read it; or it is gone.

    Not ``sendall``, whose timeout is for all of it: a slow line is not a stalled one.
    """
    poll = select.poll()
    # Below TLS, bytes may be the protocol's own; there a refusal shows as a broken connection only.
    poll.register(sock, select.POLLOUT | (0 if isinstance(sock, ssl.SSLSocket) else select.POLLIN))
    while view:
        ready = poll.poll((sock.gettimeout() or 0) * 1000)
        if not ready:
            raise TimeoutError("timed out")
        if ready[0][1] & select.POLLIN:
            return False
        view = view[sock.send(view) :]
    return True
