"""The body of a request: read as it comes, with or without a length said before."""

from __future__ import annotations

import json
from email.message import Message
from typing import IO, Any

from .errors import ApiError, malformed

# `service.max_request_size_mb` of the server, which it does not apply to uploads.
LIMIT = 32 << 20
# A body that nobody wants is read up to here, so that the connection can be used again; beyond, it is closed.
_WORTH_READING = 64 << 10


class Body:
    """Reads like a file that ends with the body."""

    def __init__(self, stream: IO[bytes], headers: Message) -> None:
        self._stream = stream
        self._chunked = "chunked" in headers.get("Transfer-Encoding", "").lower()
        self._left = 0 if self._chunked else int(headers.get("Content-Length") or 0)
        self._ended = not self._chunked and not self._left

    def read(self, size: int) -> bytes:
        """Up to so many bytes; none at the end. Raises EOFError where the client broke off."""
        if self._chunked and not self._left and not self._ended:
            self._next_chunk()
        if self._ended:
            return b""
        data = self._stream.read1(min(size, self._left))
        if not data:
            raise EOFError("the client closed the connection within its request")
        self._left -= len(data)
        if not self._left:
            if self._chunked:
                self._stream.readline()
            else:
                self._ended = True
        return data

    def _next_chunk(self) -> None:
        self._left = int(self._stream.readline().partition(b";")[0], 16)
        if not self._left:
            while self._stream.readline().strip():  # trailers
                pass
            self._ended = True

    def discard(self) -> bool:
        """Whether the rest is small and has been read away."""
        for _ in range(_WORTH_READING >> 12):
            if self._ended or (not self._chunked and self._left > _WORTH_READING):
                break
            self.read(4096)
        return self._ended

    def json(self) -> Any:
        """What the body says; an empty one says `{}`."""
        chunks, size = [], 0
        while chunk := self.read(1 << 20):
            chunks.append(chunk)
            size += len(chunk)
            if size > LIMIT:
                raise ApiError(400, f"JSON payload ({size} bytes) is larger than allowed (limit: {LIMIT} bytes).")
        try:
            return json.loads(b"".join(chunks)) if chunks else {}
        except ValueError as error:
            raise malformed("JSON body", str(error)) from error
