# Copyright (c) 2026, Somos Infra maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""HTTP as Qdrant's server speaks it. Standard library only, no Ansible: the server's own programs use this file too.

What the server does, and this file allows for (read in the source of Qdrant 1.19):

- Errors are JSON (``status.error``) from most handlers, but plain text from authentication and from downloads.
- Creating and restoring a snapshot sends nothing until it is done, and no timeout exists on the server: a client that
  gives up does not stop the work. So such calls wait without a limit, and TCP keep-alive notices a dead peer.
- A refused upload is answered before its body was read, and the connection is closed under the sender.

An answer to half a request, or half an answer, is never taken for a whole one.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from typing import Any

from ._qdrant_address import Address, Tls
from ._qdrant_errors import QdrantError, RefusedError, UnreachableError

_MAX_ANSWER = 64 << 20
RETRIED_STATUS = {429, 502, 503, 504}


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
        self._address = Address.parse(url, tls or Tls())
        if not timeout > 0:
            raise QdrantError(f"timeout is {timeout:g}; expected a number of seconds above 0.")
        self.timeout = timeout
        self.attempts = attempts
        self.sleep = sleep
        self._headers = {"Accept-Encoding": "identity", "Connection": "close", "User-Agent": "somos.infra"}
        if api_key:
            if not (api_key.isascii() and api_key.isprintable()):  # what refuses it further down would show it
                raise QdrantError("The API key contains a line end, or another character that no key of Qdrant has.")
            self._headers["api-key"] = api_key

    @property
    def url(self) -> str:
        return self._address.url

    def call(
        self,
        what: str,
        method: str,
        path: str,
        body: Any = None,
        *,
        read: Callable[[Any], Any] = lambda result: result,
        patient: bool = False,
        repeatable: bool | None = None,
    ) -> Any:
        """What *read* makes of the ``result`` in the server's answer. *patient* waits for it without a limit.

        A request is repeated, with growing pauses, if it is *repeatable* (default: GET) or certainly was not received.
        Raises UnreachableError, RefusedError, and QdrantError for an answer that is not Qdrant's: one that *read*
        stumbles over.
        """
        content = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/json"} if content is not None else {}
        repeatable = method == "GET" if repeatable is None else repeatable

        def once() -> Any:
            with self.exchange(what, method, path, headers, content, patient=patient) as response:
                return self.result(what, response, read)

        return self.repeat(once, repeatable=repeatable)

    def repeat(self, once: Callable[[], Any], *, repeatable: bool) -> Any:
        """Call *once* until it succeeds, fails for good, or *attempts* are used up."""
        for attempt in range(1, self.attempts + 1):
            asked = None
            try:
                return once()
            except UnreachableError as error:
                if attempt == self.attempts or (error.sent and not repeatable):
                    raise
            except RefusedError as error:
                # 429 and 503 are said before anything is done; a proxy's 502 and 504 leave open whether it was.
                certain = error.status in (429, 503)
                if attempt == self.attempts or error.status not in RETRIED_STATUS or not (repeatable or certain):
                    raise
                asked = error.retry_after
            self.pause(attempt, asked)
        raise AssertionError("unreachable")

    def pause(self, failures: int, asked: float | None = None) -> None:
        """Before the next try: 1, 2, 4, 8, … 30 seconds after the first *failures*, or what the server *asked* for."""
        self.sleep(min(asked, 300.0) if asked else min(2.0 ** (failures - 1), 30.0))

    def result(
        self, what: str, response: http.client.HTTPResponse, read: Callable[[Any], Any] = lambda result: result
    ) -> Any:
        """See :meth:`call`. To be read within :meth:`exchange`."""
        answer = response.read(_MAX_ANSWER)
        if response.length:
            raise http.client.IncompleteRead(answer, response.length)
        try:
            envelope = json.loads(answer)
            if envelope["status"] in ("ok", "accepted"):
                return read(envelope.get("result"))
        except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError):
            pass
        raise QdrantError(
            f"{what} failed: {self.url} does not answer as Qdrant does. Check that the URL is its REST port's."
        )

    @contextlib.contextmanager
    def exchange(
        self,
        what: str,
        method: str,
        path: str,
        headers: dict[str, str] | None = None,
        body: bytes | Callable[[socket.socket], bool] | None = None,
        *,
        patient: bool = False,
    ) -> Iterator[http.client.HTTPResponse]:
        """The server's answer with a status below 300, its body unread.

        *body* may be a function that sends it, and says whether it came to its end. Whatever the caller reads from the
        answer is read under the same translation of errors.
        """
        connection = self._address.connection(self.timeout)
        phase = "connect"
        try:
            connection.connect()
            sock = connection.sock  # the connection forgets it with the head of an answer that closes it
            _keep_alive(sock)
            headers = {**self._headers, **(headers or {})}
            if callable(body):
                phase = "send"
                connection.putrequest(method, self._address.prefix + path, skip_accept_encoding=True)
                for name, value in headers.items():
                    connection.putheader(name, value)
                connection.endheaders()
                if _sent_whole(body, sock):
                    phase = "wait"
            else:
                phase = "wait"
                connection.request(method, self._address.prefix + path, body, headers)
            if patient and phase == "wait":
                sock.settimeout(None)
            response = connection.getresponse()
            sock.settimeout(self.timeout)
            if response.status >= 300:
                seconds = _seconds(response.getheader("Retry-After"))
                raise RefusedError(what, self.url, response.status, _words(response), seconds)
            if phase == "send":
                raise QdrantError(
                    f"{what} failed: {self.url} answered {response.status} before it was sent everything. "
                    "Check that the URL is the REST port of a Qdrant server."
                )
            yield response
        except (OSError, http.client.HTTPException) as error:
            if phase == "connect" and isinstance(error, ssl.SSLError) and not isinstance(error, ssl.SSLEOFError):
                raise QdrantError(f"{what} failed: {self._reason(error, phase)}") from error  # so it will stay
            raise UnreachableError(f"{what} failed: {self._reason(error, phase)}", sent=phase == "wait") from error
        finally:
            connection.close()

    def _reason(self, error: Exception, phase: str) -> str:
        if isinstance(error, TimeoutError) and error.errno is None:  # ours; with a number it is the kernel's
            did = {"connect": "did not answer", "send": "stopped receiving", "wait": "stopped talking"}[phase]
            return f"{self.url} {did} for {self.timeout:g} s."
        if isinstance(error, ssl.SSLCertVerificationError):
            return (
                f"the certificate of {self.url} is not trusted: {error.verify_message.rstrip('.')}. "
                "Check ca_path, and that the URL names the host as its certificate does."
            )
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


def _sent_whole(body: Callable[[socket.socket], bool], sock: socket.socket) -> bool:
    try:
        return body(sock)
    except (BrokenPipeError, ConnectionResetError, ssl.SSLEOFError):
        return False  # the server's reason may have arrived before


def _words(response: http.client.HTTPResponse) -> str:
    try:
        text = response.read(65536).decode("utf-8", "replace").strip()
    except (OSError, http.client.HTTPException):
        return ""
    try:
        return str(json.loads(text)["status"]["error"])
    except (ValueError, KeyError, TypeError, RecursionError):
        # A proxy's page says no more than its status does.
        return "" if "html" in response.getheader("Content-Type", "") else " ".join(text[:2000].split())


def _seconds(value: str | None) -> float | None:
    return float(value) if value and value.isdecimal() else None
