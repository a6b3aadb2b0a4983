"""HTTP: from a request to the route that answers it, and what happens on the way."""

from __future__ import annotations

import sys
import threading
import traceback
import urllib.parse
from collections.abc import Callable
from contextlib import ExitStack
from http.server import ThreadingHTTPServer
from typing import Any

from . import api, faults, multipart, service
from .access import Access, granted, require
from .connection import Connection
from .errors import ApiError, RefusedByEngineError, refused_by_engine, service_error
from .node import Node
from .request import Request, Upload
from .routes import Kind, Route, Work


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, node: Node) -> None:
        self.node = node
        self._background: list[threading.Thread] = []
        super().__init__((node.settings.host, node.settings.http_port), Handler)

    def in_the_background(self, work: Work) -> None:
        thread = threading.Thread(target=_unheard, args=(work,))
        self._background.append(thread)
        thread.start()

    def server_close(self) -> None:
        super().server_close()
        for thread in self._background:
            thread.join()

    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exc_info()[1], (ConnectionError, EOFError)):
            super().handle_error(request, client_address)


class Handler(Connection):
    server: Server

    def answer(self) -> None:
        node = self.server.node
        url = urllib.parse.urlsplit(self.path)
        path = url.path.rstrip("/") or "/"
        if node.settings.faults:
            if path == faults.PATH:
                return self._switch_faults()
            self.fault = node.faults.take(self.command, path)
        if self.fault and self.fault.do == "answer":
            self.read_away(self.fault.after)
            raise self.fault.refusal()
        if self.command == "GET" and path in service.PROBES:
            return self.text(200, service.PROBES[path])
        if self.command == "GET" and path == "/":
            return self.json(200, service.version())
        given = granted(node.settings, self.headers)
        found = api.find(self.command, path)
        if found is None:
            return self.text(404, "")
        route, names = found
        upload = None
        if route.kind is Kind.UPLOAD:
            _as_text(lambda: require(given, route.access))
            if self.cut_within_the_request():
                return None
            upload = self._upload()
        request = Request(
            names={name: urllib.parse.unquote(value) for name, value in names.items()},
            query=dict(urllib.parse.parse_qsl(url.query, keep_blank_values=True)),
            body=None if route.kind in (Kind.UPLOAD, Kind.FILE) else self.request_body.json(),
            upload=upload,
        )
        return self._run(route, given, request)

    def _switch_faults(self) -> None:
        coming = self.server.node.faults
        if self.command in ("PUT", "DELETE"):
            coming.replace(self.request_body.json() if self.command == "PUT" else [])
        self.json(200, coming.coming())

    def _upload(self) -> Upload:
        return multipart.receive(self.request_body, self.headers, "snapshot", self.server.node.settings.upload_path)

    def _run(self, route: Route, given: Access, request: Request) -> None:
        def call() -> Any:
            require(given, route.access)
            with faults.applied(self.fault):
                return route.handler(self.server.node, request)

        if route.kind is Kind.FILE:
            return self.file(_as_text(lambda: _guarded(call)))
        if route.kind is Kind.TEXT:
            return self.text(200, _guarded(call))
        if route.kind is Kind.ANSWER:
            return self.ok(_guarded(call))
        return self._work(route, given, request)

    def _work(self, route: Route, given: Access, request: Request) -> None:
        fault = self.fault
        with ExitStack() as stack:
            stack.callback(request.forget_upload)
            wait = request.flag("wait", default=True)
            work: Work = route.handler(self.server.node, request)
            pending = stack.pop_all()

        def do() -> Any:
            with pending, faults.applied(fault):
                require(given, route.access)
                return work()

        if wait:
            return self.ok(_guarded(do))
        self.server.in_the_background(do)
        return self.accepted()


def _guarded(work: Work) -> Any:
    """Whatever goes wrong, the client is answered."""
    try:
        return work()
    except ApiError:
        raise
    except RefusedByEngineError as error:
        raise refused_by_engine(error) from error
    except Exception as error:
        traceback.print_exc()
        raise service_error(repr(error)) from error


def _as_text(work: Callable[[], Any]) -> Any:
    try:
        return work()
    except ApiError as error:
        raise error.as_text() from error


def _unheard(work: Work) -> None:
    """Nobody waits: what goes wrong is only in the log."""
    try:
        _guarded(work)
    except ApiError as error:
        print(f"Error processing request: {error.message}", file=sys.stderr, flush=True)
