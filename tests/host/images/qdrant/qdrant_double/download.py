"""A file as an answer, as the server's web framework gives it: in part or whole, and never read into memory."""

from __future__ import annotations

import gzip
import re
from datetime import datetime, timezone
from email.message import Message
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import BinaryIO

_CHUNK = 1 << 20


def send(handler: BaseHTTPRequestHandler, path: Path, most: int | None = None) -> None:
    """With `most`, the answer breaks off after so many bytes of its body, without a word in its head."""
    with path.open("rb") as file:
        status = path.stat()
        size = status.st_size
        modified = datetime.fromtimestamp(int(status.st_mtime), timezone.utc)
        etag = f'"{status.st_ino:x}:{size:x}:{status.st_mtime_ns // 10**9:x}:{status.st_mtime_ns % 10**9:x}"'
        headers = {
            "Content-Type": "application/octet-stream",
            "Content-Disposition": f'attachment; filename="{path.name}"',
            "Accept-Ranges": "bytes",
            "Last-Modified": format_datetime(modified, usegmt=True),
            "ETag": etag,
        }
        wanted = handler.headers.get("Range")
        if wanted is None and most is None and _compressed(handler.headers):
            return _send_compressed(handler, file, headers)
        start, end = 0, size
        if wanted is not None:
            span = _range(wanted, size)
            if span is None:
                return _head(handler, 416, {**headers, "Content-Range": f"bytes */{size}"}, 0)
            start, end = span
            headers["Content-Range"] = f"bytes {start}-{end - 1}/{size}"
            if "Accept-Encoding" in handler.headers:
                headers["Content-Encoding"] = "identity"
        if handler.headers.get("If-Match", etag) not in (etag, "*"):
            return _head(handler, 412, headers, 0)
        if handler.headers.get("If-None-Match") in (etag, "*"):
            return _head(handler, 304, headers, None)
        # A range that happens to be the whole file is answered with 200.
        _head(handler, 200 if (start, end) == (0, size) else 206, headers, end - start)
        handler.wfile.flush()
        count = end - start if most is None else min(end - start, most)
        if count:  # none would mean all
            handler.connection.sendfile(file, start, count)
    return None


def _head(handler: BaseHTTPRequestHandler, status: int, headers: dict[str, str], length: int | None) -> None:
    handler.send_response(status)
    for name, value in headers.items():
        handler.send_header(name, value)
    if length is not None:
        handler.send_header("Content-Length", str(length))
    handler.end_headers()


def _range(wanted: str, size: int) -> tuple[int, int] | None:
    """Start and end of the first part that is asked for."""
    match = re.match(r"bytes=(\d*)-(\d*)", wanted)
    if match is None or match.groups() == ("", ""):
        return None
    first, last = match.groups()
    if not first:
        return (max(0, size - int(last)), size) if int(last) else None
    start, end = int(first), min(size, int(last) + 1) if last else size
    return (start, end) if start < end else None


def _compressed(headers: Message) -> bool:
    """Whoever does not ask for `identity` gets what it says that it takes, and then no length."""
    offered = headers.get("Accept-Encoding", "identity").replace(" ", "").split(",")
    return any(each.partition(";")[0] in ("gzip", "*") and not each.endswith(";q=0") for each in offered)


def _send_compressed(handler: BaseHTTPRequestHandler, file: BinaryIO, headers: dict[str, str]) -> None:
    _head(handler, 200, {**headers, "Content-Encoding": "gzip", "Transfer-Encoding": "chunked"}, None)

    class Chunked:
        def write(self, data: bytes) -> int:
            if data:
                handler.wfile.write(b"%x\r\n%b\r\n" % (len(data), data))
            return len(data)

        def flush(self) -> None:
            handler.wfile.flush()

    with gzip.GzipFile(fileobj=Chunked(), mode="wb", compresslevel=1) as packed:
        while data := file.read(_CHUNK):
            packed.write(data)
    handler.wfile.write(b"0\r\n\r\n")
