"""A file out of a `multipart/form-data` body, written to disk as it comes: no more of it than a chunk is in memory."""

from __future__ import annotations

import tempfile
from email.message import Message
from email.parser import BytesHeaderParser
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from .body import Body
from .errors import ApiError
from .request import Upload

_CHUNK = 1 << 20


def receive(body: Body, headers: Message, field: str, directory: Path) -> Upload:
    """The first file of that field. Everything is read to the end, as other fields may follow."""
    parts = _Parts(body, _boundary(headers))
    upload = None
    while (part := parts.next()) is not None:
        name, filename = part.get_param("name", header="content-disposition"), part.get_filename()
        with tempfile.NamedTemporaryFile(dir=directory, delete=False) as file:
            path = Path(file.name)
            try:
                parts.copy(file)
            except BaseException:
                path.unlink()
                raise
        if name != field or upload is not None:
            path.unlink()
        else:
            upload = Upload(path, PurePosixPath(filename).name or None if filename else None)
    if upload is None:
        raise _refusal(f"Field with name `{field}` is required")
    return upload


def _boundary(headers: Message) -> bytes:
    if headers.get("Content-Type") is None:
        raise _refusal("Could not find Content-Type header")
    if headers.get_content_type() != "multipart/form-data":
        raise _refusal("Could not parse Content-Type header")
    boundary = headers.get_param("boundary")
    if not isinstance(boundary, str) or not boundary:
        raise _refusal("Multipart boundary is not found")
    return boundary.encode()


class _Parts:
    def __init__(self, body: Body, boundary: bytes) -> None:
        self._body = body
        self._between = b"\r\n--" + boundary
        # The first boundary stands at the very start, without the line end that goes before the others.
        self._buffer = b"\r\n"

    def next(self) -> Message | None:
        """The header of the next part, or nothing after the last one."""
        self.copy(None)  # up to the boundary, where the last call of copy() stopped if there was one
        while len(self._buffer) < len(self._between) + 2:
            self._more()
        rest = self._buffer[len(self._between) :]
        if rest.startswith(b"--"):
            while self._body.read(_CHUNK):
                pass
            return None
        while b"\r\n\r\n" not in self._buffer:
            self._more()
        head, _, self._buffer = self._buffer[len(self._between) :].partition(b"\r\n\r\n")
        return BytesHeaderParser().parsebytes(head.lstrip())

    def copy(self, target: BinaryIO | None) -> None:
        """What lies before the next boundary, to a file or nowhere."""
        while (found := self._buffer.find(self._between)) < 0:
            # A boundary may be cut in two.
            sure = max(0, len(self._buffer) - len(self._between))
            if target:
                target.write(memoryview(self._buffer)[:sure])
            self._buffer = self._buffer[sure:]
            self._more()
        if target:
            target.write(self._buffer[:found])
        self._buffer = self._buffer[found:]

    def _more(self) -> None:
        data = self._body.read(_CHUNK)
        if not data:
            raise _refusal("Multipart stream is incomplete")
        self._buffer += data


def _refusal(message: str) -> ApiError:
    return ApiError(400, message, plain=True)
