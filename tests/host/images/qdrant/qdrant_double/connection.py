"""One connection: answers framed as the server frames them, or broken off where a fault says so."""

from __future__ import annotations

import json
import os
import socket
import struct
import time
from abc import ABC, abstractmethod
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

from . import download
from .body import Body
from .errors import ApiError
from .faults import Fault

_CHUNK = 1 << 20
_CUTS = ("truncate", "stall", "reset")


class Connection(ABC, BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # The head and the body of a small answer leave in one packet.
    wbufsize = 1 << 16
    # Of the request at hand.
    request_body: Body
    fault: Fault | None = None
    started = 0.0

    def do_GET(self) -> None:
        self.started = time.monotonic()
        self.request_body = Body(self.rfile, self.headers)
        self.fault = None
        try:
            self.answer()
        except ApiError as error:
            self.refuse(error)

    do_PUT = do_POST = do_DELETE = do_PATCH = do_HEAD = do_OPTIONS = do_GET  # noqa: N815

    @abstractmethod
    def answer(self) -> None:
        """Answer the request, or raise what there is to answer instead."""

    def send_response(self, code: int, message: str | None = None) -> None:
        """Without a word about who serves, as the server."""
        self.send_response_only(code, message)
        self.send_header("Date", self.date_time_string())

    def log_message(self, *args: Any) -> None:
        """Requests are not logged: health checks would drown what matters."""

    def elapsed(self) -> float:
        return time.monotonic() - self.started

    def ok(self, result: Any) -> None:
        if self.fault and self.fault.do == "checksum":
            for described in result if isinstance(result, list) else [result]:
                described["checksum"] = "0" * 64
        self.json(200, {"result": result, "status": "ok", "time": self.elapsed()})

    def accepted(self) -> None:
        self.json(202, {"status": "accepted", "time": self.elapsed()})

    def refuse(self, error: ApiError) -> None:
        headers = {} if error.retry_after is None else {"Retry-After": str(error.retry_after)}
        if error.plain:
            return self.text(error.status, error.message, headers)
        return self.json(error.status, {"status": {"error": error.message}, "time": self.elapsed()}, headers)

    def json(self, status: int, content: Any, headers: dict[str, str] | None = None) -> None:
        self._send(status, {"Content-Type": "application/json", **(headers or {})}, json.dumps(content).encode())

    def text(self, status: int, content: str, headers: dict[str, str] | None = None) -> None:
        self._send(status, {"Content-Type": "text/plain; charset=utf-8", **(headers or {})}, content.encode())

    def file(self, path: Path) -> None:
        if self._cut_at() is not None or not self._cut():
            download.send(self, path, self._cut_at())
            self._cut()

    def _send(self, status: int, headers: dict[str, str], content: bytes) -> None:
        if self._cut_at() is None and self._cut():
            return
        if not self.request_body.discard():
            self.close_connection = True
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content[: self._cut_at()])
        self._cut()

    def _cut_at(self) -> int | None:
        """How much of the answer's body is sent at most. Nothing said: all of it, or, with a cut, not even its head."""
        return self.fault.after if self.fault and self.fault.do in _CUTS else None

    def _cut(self) -> bool:
        """Whether the connection has been broken off."""
        if not self.fault or self.fault.do not in _CUTS:
            return False
        self.break_off(self.fault)
        return True

    def cut_within_the_request(self) -> bool:
        """Whether the connection has been broken off while the client was still sending."""
        fault = self.fault
        if not fault or fault.do not in _CUTS or fault.after is None:
            return False
        self.read_away(fault.after)
        self.break_off(fault)
        return True

    def read_away(self, size: int | None) -> None:
        """So much of the request's body, or all of it."""
        left = size
        while (left is None or left > 0) and (data := self.request_body.read(min(_CHUNK, left or _CHUNK))):
            left = None if left is None else left - len(data)

    def break_off(self, fault: Fault) -> None:
        self.close_connection = True
        self.wfile.flush()
        if fault.do == "stall":
            time.sleep(fault.seconds)
        if fault.do == "reset":
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            os.close(self.connection.detach())
