"""HTTP: reads requests, asks for the key, frames the answers as the server frames them."""

from __future__ import annotations

import json
import time
import traceback
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from . import VERSION, api
from .access import Access, require
from .errors import ApiError, RefusedByEngineError, bad_input
from .request import Request
from .settings import Settings
from .storage import Storage

# Answered without a key and without looking at the data.
_PROBES = {
    "/healthz": "healthz check passed",
    "/livez": "healthz check passed",
    "/readyz": "all shards are ready",
}


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, settings: Settings, storage: Storage) -> None:
        self.settings = settings
        self.storage = storage
        super().__init__((settings.host, settings.http_port), Handler)


class Handler(BaseHTTPRequestHandler):
    server: Server
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        started = time.monotonic()
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        try:
            self._answer(body, started)
        except RefusedByEngineError as error:
            self._refuse(bad_input(str(error)), started)
        except ApiError as error:
            self._refuse(error, started)
        except Exception as error:  # a request must never end the connection without an answer
            traceback.print_exc()
            self._refuse(ApiError(500, f"Service internal error: {error!r}"), started)

    do_PUT = do_POST = do_DELETE = do_GET  # noqa: N815

    def log_message(self, *args: Any) -> None:
        """Requests are not logged: health checks would drown what matters."""

    def _answer(self, body: bytes, started: float) -> None:
        url = urllib.parse.urlsplit(self.path)
        path = url.path.rstrip("/") or "/"
        if self.command == "GET" and path in _PROBES:
            return self._text(200, _PROBES[path])
        if self.command == "GET" and path == "/":
            return self._json(200, {"title": "qdrant - vector search engine", "version": VERSION, "commit": None})
        if self.command == "GET" and path == "/metrics":
            require(self.server.settings, self.headers, Access.READ)
            return self._text(200, self._metrics())
        found = api.find(self.command, path)
        if found is None:
            require(self.server.settings, self.headers, Access.READ)
            return self._text(404, "")
        route, names = found
        require(self.server.settings, self.headers, route.access)
        request = Request(
            names={name: urllib.parse.unquote(value) for name, value in names.items()},
            query=dict(urllib.parse.parse_qsl(url.query)),
            body=_parsed(body),
        )
        with self.server.storage.lock:
            result = route.handler(self.server.storage, request)
        return self._json(200, {"result": result, "status": "ok", "time": time.monotonic() - started})

    def _refuse(self, error: ApiError, started: float) -> None:
        if error.plain:
            return self._text(error.status, error.message)
        return self._json(error.status, {"status": {"error": error.message}, "time": time.monotonic() - started})

    def _metrics(self) -> str:
        with self.server.storage.lock:
            points = {name: self.server.storage.shard(name).info().points_count for name in self.server.storage.names()}
        lines = [f'app_info{{name="qdrant",version="{VERSION}"}} 1', f"collections_total {len(points)}"]
        lines += [f'collection_points{{id="{name}"}} {count}' for name, count in points.items()]
        return "\n".join(lines) + "\n"

    def _json(self, status: int, content: Any) -> None:
        self._send(status, "application/json", json.dumps(content).encode())

    def _text(self, status: int, content: str) -> None:
        self._send(status, "text/plain; charset=utf-8", content.encode())

    def _send(self, status: int, content_type: str, content: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


def _parsed(body: bytes) -> Any:
    try:
        return json.loads(body) if body else {}
    except ValueError as error:
        raise ApiError(400, f"Format error in JSON body: {error}") from error
