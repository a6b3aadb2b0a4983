"""The routes: method and path, the access they need, the function that answers."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from . import collections, points
from .access import Access
from .request import Request
from .storage import Storage

Handler = Callable[[Storage, Request], Any]


@dataclass(frozen=True)
class Route:
    method: str
    path: str
    access: Access
    handler: Handler
    pattern: re.Pattern[str] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "pattern", re.compile(re.sub(r"{(\w+)}", r"(?P<\1>[^/]+)", self.path)))


ROUTES = [
    Route("GET", "/collections", Access.READ, collections.list_all),
    Route("POST", "/collections/aliases", Access.MANAGE, collections.update_aliases),
    Route("GET", "/aliases", Access.READ, collections.list_aliases),
    Route("PUT", "/collections/{collection}", Access.MANAGE, collections.create),
    Route("GET", "/collections/{collection}", Access.READ, collections.info),
    Route("DELETE", "/collections/{collection}", Access.MANAGE, collections.delete),
    Route("GET", "/collections/{collection}/exists", Access.READ, collections.exists),
    Route("GET", "/collections/{collection}/aliases", Access.READ, collections.list_aliases),
    Route("PUT", "/collections/{collection}/points", Access.MANAGE, points.upsert),
    Route("POST", "/collections/{collection}/points/delete", Access.MANAGE, points.delete),
    Route("POST", "/collections/{collection}/points/query", Access.READ, points.query),
    Route("POST", "/collections/{collection}/points/scroll", Access.READ, points.scroll),
    Route("POST", "/collections/{collection}/points/count", Access.READ, points.count),
]


def find(method: str, path: str) -> tuple[Route, dict[str, str]] | None:
    """The route of a request and the names in its path."""
    for route in ROUTES:
        match = route.pattern.fullmatch(path)
        if route.method == method and match:
            return route, match.groupdict()
    return None
