"""HTTP: reads requests, asks for the key, frames the answers as the server frames them."""

from __future__ import annotations

import json
import sys
import threading
import time
import traceback
import urllib.parse
from collections.abc import Callable
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from . import VERSION, api, download, multipart
from .access import Access, granted, require
from .body import Body
from .errors import ApiError, RefusedByEngineError, bad_input, service_error
from .node import Node
from .request import Request
from .routes import Kind, Route, Work

# Answered without a key and without looking at the data.
_PROBES = {
    "/healthz": "healthz check passed",
    "/livez": "healthz check passed",
    "/readyz": "all shards are ready",
}


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, node: Node) -> None:
        self.node = node
        super().__init__((node.settings.host, node.settings.http_port), Handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exc_info()[1], (ConnectionError, EOFError)):
            super().handle_error(request, client_address)


class Handler(BaseHTTPRequestHandler):
    server: Server
    protocol_version = "HTTP/1.1"
    # The head and the body of a small answer leave in one packet.
    wbufsize = 1 << 16

    def do_GET(self) -> None:
        self._started = time.monotonic()
        self._body = Body(self.rfile, self.headers)
        try:
            self._answer()
        except ApiError as error:
            self._refuse(error)

    do_PUT = do_POST = do_DELETE = do_PATCH = do_HEAD = do_OPTIONS = do_GET  # noqa: N815

    def send_response(self, code: int, message: str | None = None) -> None:
        """Without a word about who serves, as the server."""
        self.send_response_only(code, message)
        self.send_header("Date", self.date_time_string())

    def log_message(self, *args: Any) -> None:
        """Requests are not logged: health checks would drown what matters."""

    def _answer(self) -> None:
        node = self.server.node
        url = urllib.parse.urlsplit(self.path)
        path = url.path.rstrip("/") or "/"
        if self.command == "GET" and path in _PROBES:
            return self._text(200, _PROBES[path])
        if self.command == "GET" and path == "/":
            return self._json(200, {"title": "qdrant - vector search engine", "version": VERSION})
        given = granted(node.settings, self.headers)
        if self.command == "GET" and path == "/metrics":
            return self._text(200, _metrics(node))
        found = api.find(self.command, path)
        if found is None:
            return self._text(404, "")
        route, names = found
        if route.kind is Kind.UPLOAD:
            _as_text(lambda: require(given, route.access))
        request = Request(
            names={name: urllib.parse.unquote(value) for name, value in names.items()},
            query=dict(urllib.parse.parse_qsl(url.query, keep_blank_values=True)),
            body=None if route.kind in (Kind.UPLOAD, Kind.FILE) else self._body.json(),
            upload=self._upload() if route.kind is Kind.UPLOAD else None,
        )
        return self._run(route, given, request)

    def _upload(self) -> Any:
        return multipart.receive(self._body, self.headers, "snapshot", self.server.node.settings.upload_path)

    def _run(self, route: Route, given: Access, request: Request) -> None:
        node = self.server.node

        def call() -> Any:
            require(given, route.access)
            return route.handler(node, request)

        if route.kind is Kind.FILE:
            return download.send(self, _as_text(lambda: _guarded(call)))
        if route.kind is Kind.ANSWER:
            return self._ok(_guarded(call))
        return self._work(route, given, request)

    def _work(self, route: Route, given: Access, request: Request) -> None:
        with ExitStack() as stack:
            stack.callback(request.forget_upload)
            wait = request.flag("wait", default=True)
            work: Work = route.handler(self.server.node, request)

            def do(pending: ExitStack) -> Any:
                with pending:
                    require(given, route.access)
                    return work()

            pending = stack.pop_all()
            if wait:
                return self._ok(_guarded(lambda: do(pending)))
            threading.Thread(target=_in_the_background, args=(lambda: do(pending),)).start()
            return self._json(202, {"status": "accepted", "time": self._elapsed()})

    def _elapsed(self) -> float:
        return time.monotonic() - self._started

    def _ok(self, result: Any) -> None:
        self._json(200, {"result": result, "status": "ok", "time": self._elapsed()})

    def _refuse(self, error: ApiError) -> None:
        if error.plain:
            return self._text(error.status, error.message)
        return self._json(error.status, {"status": {"error": error.message}, "time": self._elapsed()})

    def _json(self, status: int, content: Any) -> None:
        self._send(status, "application/json", json.dumps(content).encode())

    def _text(self, status: int, content: str) -> None:
        self._send(status, "text/plain; charset=utf-8", content.encode())

    def _send(self, status: int, content_type: str, content: bytes) -> None:
        if not self._body.discard():
            self.close_connection = True
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(content)))
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)


def _guarded(work: Work) -> Any:
    """Whatever goes wrong, the client is answered."""
    try:
        return work()
    except ApiError:
        raise
    except RefusedByEngineError as error:
        raise bad_input(str(error)) from error
    except Exception as error:
        traceback.print_exc()
        raise service_error(repr(error)) from error


def _as_text(work: Callable[[], Any]) -> Any:
    try:
        return work()
    except ApiError as error:
        raise error.as_text() from error


def _in_the_background(work: Work) -> None:
    """Nobody waits: what goes wrong is only in the log."""
    try:
        _guarded(work)
    except ApiError as error:
        print(f"Error processing request: {error.message}", file=sys.stderr, flush=True)


def _metrics(node: Node) -> str:
    names = node.storage.names()
    lines = [f'app_info{{name="qdrant",version="{VERSION}"}} 1', f"collections_total {len(names)}"]
    for collection in node.storage.all():
        count = _guarded(lambda collection=collection: collection.shard.info().points_count)
        lines.append(f'collection_points{{id="{collection.name}"}} {count}')
    return "\n".join(lines + node.telemetry.metrics()) + "\n"
