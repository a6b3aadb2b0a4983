"""A dependency that is away is a 503 that names it, not a 500 with a traceback."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable

import httpx
import urllib3.exceptions
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from minio.error import MinioException
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, ProgrammingError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from . import settings

log = logging.getLogger(__name__)

# OSError, TimeoutError too: asyncpg passes a refused or stalled connection on as it is.
_DEPENDENCIES: dict[type[Exception], str] = {
    OSError: "database",
    DBAPIError: "database",
    PoolTimeoutError: "database",
    httpx.HTTPError: "vectors",
    MinioException: "objects",
    urllib3.exceptions.HTTPError: "objects",
}
# The database answered, and what it refused is this program's fault.
_FAULTS = (DataError, IntegrityError, ProgrammingError)


def install(app: FastAPI) -> None:
    for exception, dependency in _DEPENDENCIES.items():
        app.add_exception_handler(exception, _unavailable(dependency))


def _unavailable(dependency: str) -> Callable[[Request, Exception], Awaitable[JSONResponse]]:
    async def handler(request: Request, error: Exception) -> JSONResponse:
        if isinstance(error, _FAULTS):
            raise error
        log.error("%s %s: %s: %s", request.method, request.url.path, dependency, settings.redact(repr(error)))
        return JSONResponse({"detail": f"{dependency}: not available"}, 503, headers={"Retry-After": "5"})

    return handler
