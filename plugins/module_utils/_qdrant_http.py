# Copyright (c) 2026, Somos Infra maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""HTTP as Qdrant's server speaks it. Standard library only, no Ansible: the server's own programs use this file too.

What the server does, and this file allows for (read in the source of Qdrant 1.19):

- Errors are JSON (``status.error``) from most handlers, but plain text from authentication and from downloads.
- Creating and restoring a snapshot sends nothing until it is done, and no timeout exists on the server: a client that
  gives up does not stop the work. So such calls wait without a limit, and TCP keep-alive notices a dead peer.
- A refused upload is answered before its body was read, and the connection is closed under the sender.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import ssl
import time
import urllib.parse
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

_MAX_ANSWER = 64 << 20
_RETRIED_STATUS = {429, 502, 503, 504}
_HINTS = {
    401: "Check the API key: it is missing, or not one that the server knows.",
    403: "This needs the server's main API key, not the read-only one; or the server's configuration forbids it.",
    404: "Check the name; a collection's snapshots cannot be seen while the collection is absent.",
    408: "The server is busy. Try again later.",
    413: "A proxy between here and the server limits the size of a request. Talk to the server directly.",
    429: "The server limits the rate of requests. Try again later.",
    500: "Read the server's log; a full disk and a damaged snapshot both end like this.",
    502: "A proxy answers in the server's place. Look whether the server runs.",
    503: "The server is not ready. Wait until /readyz answers 200.",
    504: "A proxy gave up waiting for the server. Talk to the server directly.",
    507: "The server is out of storage or over a quota. Make room; nothing was changed.",
}


class QdrantError(Exception):
    """What failed, on what, why, and what to do next: one readable text."""


class DamagedError(QdrantError):
    """What was received is not what the server said it would be."""


class UnreachableError(QdrantError):
    """The server could not be reached or stopped talking. *sent*: it may have got the whole request and be at work."""

    def __init__(self, message: str, *, sent: bool) -> None:
        super().__init__(message)
        self.sent = sent


class RefusedError(QdrantError):
    """The server answered with an error; *status* is the HTTP status code, *words* what the server said."""

    def __init__(self, what: str, url: str, status: int, words: str, retry_after: float | None = None) -> None:
        self.status = status
        self.words = words
        self.retry_after = retry_after
        hint = _HINTS.get(status)
        said = words.rstrip(".") or http.client.responses.get(status, "no explanation")
        super().__init__(f"{what} failed: {url} answered {status}: {said}.{f' {hint}' if hint else ''}")


@dataclass(frozen=True)
class Tls:
    """How a server's certificate is checked: by a file of authorities or not at all; and a certificate of our own."""

    ca_path: str | None = None
    client_cert: str | None = None
    client_key: str | None = None
    validate_certs: bool = True

    def context(self) -> ssl.SSLContext:
        """Raises OSError (ssl.SSLError is one) for files that cannot be read."""
        context = ssl.create_default_context(cafile=self.ca_path)
        if not self.validate_certs:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        if self.client_cert:
            context.load_cert_chain(self.client_cert, self.client_key)
        return context


class Http:
    """Requests to one server. One connection a request: calls are rare and long, and an idle one would be closed.

    *timeout* (seconds) bounds connecting, each ordinary answer, and every pause within a transfer.
    *attempts* bounds how often a request that may be repeated is sent.
    """

    def __init__(
        self,
        url: str,
        api_key: str | None = None,
        *,
        tls: Tls | None = None,
        timeout: float = 60.0,
        attempts: int = 5,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        parts = urllib.parse.urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
            raise QdrantError(f"{url} is not the URL of a server; expected something like http://127.0.0.1:6333.")
        if parts.username or parts.password:
            raise QdrantError("The URL of the server contains credentials. Qdrant knows none; use the API key instead.")
        self.url = url.rstrip("/")
        self.timeout = timeout
        self.attempts = attempts
        self.sleep = sleep
        self._host, self._port, self._prefix = parts.hostname, parts.port or 6333, parts.path.rstrip("/")
        self._headers = {"Accept-Encoding": "identity", "Connection": "close", "User-Agent": "somos.infra"}
        if api_key:
            self._headers["api-key"] = api_key
        try:
            self._context = (tls or Tls()).context() if parts.scheme == "https" else None
        except OSError as error:
            raise QdrantError(f"The TLS options for {url} cannot be used: {error}.") from error

    def call(
        self,
        what: str,
        method: str,
        path: str,
        body: Any = None,
        *,
        patient: bool = False,
        repeatable: bool | None = None,
    ) -> Any:
        """The ``result`` of the server's answer. *patient* waits for it without a limit.

        A request is repeated, with growing pauses, if it is *repeatable* (default: GET) or certainly was not received.
        Raises UnreachableError, RefusedError, and QdrantError for an answer that is not Qdrant's.
        """
        content = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/json"} if content is not None else {}
        repeatable = method == "GET" if repeatable is None else repeatable

        def once() -> Any:
            with self.exchange(what, method, path, headers, content, patient=patient) as response:
                return _result(what, self.url, response.read(_MAX_ANSWER))

        return self.repeat(once, repeatable=repeatable)

    def repeat(self, once: Callable[[], Any], *, repeatable: bool) -> Any:
        """Call *once* until it succeeds, fails for good, or *attempts* are used up. Pauses 1, 2, 4, 8, … 30 seconds."""
        for attempt in range(1, self.attempts + 1):
            pause = min(2.0 ** (attempt - 1), 30.0)
            try:
                return once()
            except UnreachableError as error:
                if attempt == self.attempts or (error.sent and not repeatable):
                    raise
            except RefusedError as error:
                # 429 and 503 are said before anything is done; a proxy's 502 and 504 leave open whether it was.
                certain = error.status in (429, 503)
                if attempt == self.attempts or error.status not in _RETRIED_STATUS or not (repeatable or certain):
                    raise
                pause = min(error.retry_after or pause, 300.0)
            self.sleep(pause)
        raise AssertionError("unreachable")

    @contextlib.contextmanager
    def exchange(
        self,
        what: str,
        method: str,
        path: str,
        headers: dict[str, str] | None = None,
        body: bytes | Callable[[socket.socket], None] | None = None,
        *,
        patient: bool = False,
    ) -> Iterator[http.client.HTTPResponse]:
        """The server's answer with a status below 400, its body unread. *body* may be a function that sends it.

        Whatever the caller reads from the answer is read under the same translation of errors.
        """
        connection = self._connection()
        phase = "connect"
        try:
            connection.connect()
            sock = connection.sock  # the connection forgets it with the head of an answer that closes it
            _keep_alive(sock)
            refused_early = False
            phase = "send" if callable(body) else "wait"
            if callable(body):
                connection.putrequest(method, self._prefix + path, skip_accept_encoding=True)
                for name, value in {**self._headers, **(headers or {})}.items():
                    connection.putheader(name, value)
                connection.endheaders()
                try:
                    body(sock)
                except (BrokenPipeError, ConnectionResetError, ssl.SSLEOFError):
                    refused_early = True
                phase = "send" if refused_early else "wait"
            else:
                connection.request(method, self._prefix + path, body, {**self._headers, **(headers or {})})
            if patient and not refused_early:
                sock.settimeout(None)
            response = connection.getresponse()
            if response.status >= 400:
                raise RefusedError(
                    what, self.url, response.status, _words(response), _seconds(response.getheader("Retry-After"))
                )
            sock.settimeout(self.timeout)
            yield response
        except (OSError, http.client.HTTPException) as error:
            raise UnreachableError(f"{what} failed: {self._reason(error, phase)}", sent=phase == "wait") from error
        finally:
            connection.close()

    def _connection(self) -> http.client.HTTPConnection:
        if self._context is None:
            return http.client.HTTPConnection(self._host, self._port, timeout=self.timeout)
        return http.client.HTTPSConnection(self._host, self._port, timeout=self.timeout, context=self._context)

    def _reason(self, error: Exception, phase: str) -> str:
        if isinstance(error, TimeoutError):
            did = {"connect": "did not answer", "send": "stopped receiving", "wait": "stopped talking"}[phase]
            return f"{self.url} {did} for {self.timeout:g} s."
        if isinstance(error, ssl.SSLError):
            return f"no TLS connection to {self.url}: {error}."
        if phase == "connect":
            return f"{self.url} cannot be reached: {error}. Look whether the server runs and listens there."
        words = str(error) or type(error).__name__
        if phase == "send":
            return (
                f"{self.url} closed the connection while it was sent to ({words}), without a reason. "
                "It refuses the API key, is out of storage, or was stopped: read its log."
            )
        return f"{self.url} closed the connection ({words}). Read its log: it may have been stopped, or out of memory."


def _keep_alive(sock: socket.socket) -> None:
    """Notice a peer that is gone after 60 s of silence and 4 probes 15 s apart: two minutes, not for ever."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in (("TCP_KEEPIDLE", 60), ("TCP_KEEPINTVL", 15), ("TCP_KEEPCNT", 4)):
        if hasattr(socket, option):
            sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)


def _result(what: str, url: str, answer: bytes) -> Any:
    try:
        envelope = json.loads(answer)
        if envelope["status"] in ("ok", "accepted"):
            return envelope.get("result")
    except (ValueError, KeyError, TypeError):
        pass
    raise QdrantError(f"{what} failed: {url} does not answer as Qdrant does. Check that the URL is its REST port's.")


def _words(response: http.client.HTTPResponse) -> str:
    try:
        text = response.read(65536).decode("utf-8", "replace").strip()
    except (OSError, http.client.HTTPException):
        return ""
    try:
        return str(json.loads(text)["status"]["error"])
    except (ValueError, KeyError, TypeError):
        return text[:2000]


def _seconds(value: str | None) -> float | None:
    return float(value) if value and value.isdecimal() else None
