"""Prometheus metrics of the HTTP requests, summed over gunicorn's processes."""

from __future__ import annotations

import os
import time
from typing import Any

from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_REQUESTS = Counter("http_requests_total", "HTTP requests answered.", ["method", "path", "status"])
_DURATION = Histogram("http_request_duration_seconds", "Time to the end of the answer.", ["method", "path"])

_METHODS = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}
# Asked by machines every few seconds: counted, they would thin out the share of errors that people see.
_NOT_COUNTED = {"/live", "/metrics"}


class MetricsMiddleware:
    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] in _NOT_COUNTED:
            await self._app(scope, receive, send)
            return
        status = 500
        started = time.perf_counter()

        async def remember_status(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, remember_status)
        finally:
            # The route's template, never the path itself: ids and scanners' guesses must not become label values.
            route: Any = scope.get("route")
            path = getattr(route, "path", "unmatched")
            method = scope["method"] if scope["method"] in _METHODS else "OTHER"
            _REQUESTS.labels(method, path, str(status)).inc()
            _DURATION.labels(method, path).observe(time.perf_counter() - started)


def exposition() -> tuple[bytes, str]:
    registry = REGISTRY
    if "PROMETHEUS_MULTIPROC_DIR" in os.environ:
        registry = CollectorRegistry()
        MultiProcessCollector(registry)
    return generate_latest(registry), CONTENT_TYPE_LATEST
