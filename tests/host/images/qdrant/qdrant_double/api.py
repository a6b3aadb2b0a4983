"""The table of routes."""

from __future__ import annotations

from . import collections, points, service, shards, snapshots_api
from .access import Access
from .routes import Kind, Route

_READ, _MANAGE = Access.READ, Access.MANAGE

ROUTES = [
    Route("GET", "/metrics", _READ, service.metrics, Kind.TEXT),
    Route("GET", "/telemetry", _READ, service.telemetry),
    Route("GET", "/cluster", _READ, service.cluster),
    Route("GET", "/collections/{collection}/cluster", _READ, service.collection_cluster),
    Route("POST", "/collections/{collection}/cluster", _MANAGE, service.update_collection_cluster),
    Route("GET", "/collections", _READ, collections.list_all),
    Route("POST", "/collections/aliases", _MANAGE, collections.update_aliases),
    Route("GET", "/aliases", _READ, collections.list_aliases),
    Route("PUT", "/collections/{collection}", _MANAGE, collections.create),
    Route("GET", "/collections/{collection}", _READ, collections.info),
    Route("DELETE", "/collections/{collection}", _MANAGE, collections.delete),
    Route("GET", "/collections/{collection}/exists", _READ, collections.exists),
    Route("GET", "/collections/{collection}/aliases", _READ, collections.list_aliases),
    Route("PUT", "/collections/{collection}/index", _MANAGE, collections.create_index),
    Route("DELETE", "/collections/{collection}/index/{field}", _MANAGE, collections.delete_index),
    Route("PUT", "/collections/{collection}/points", _MANAGE, points.upsert),
    Route("POST", "/collections/{collection}/points", _READ, points.retrieve),
    Route("GET", "/collections/{collection}/points/{id}", _READ, points.get),
    Route("POST", "/collections/{collection}/points/delete", _MANAGE, points.delete),
    Route("POST", "/collections/{collection}/points/query", _READ, points.query),
    Route("POST", "/collections/{collection}/points/scroll", _READ, points.scroll),
    Route("POST", "/collections/{collection}/points/count", _READ, points.count),
    Route("GET", "/collections/{collection}/snapshots", _READ, snapshots_api.listed),
    Route("POST", "/collections/{collection}/snapshots", _MANAGE, snapshots_api.create, Kind.WORK),
    Route("POST", "/collections/{collection}/snapshots/upload", _MANAGE, snapshots_api.upload, Kind.UPLOAD),
    Route("PUT", "/collections/{collection}/snapshots/recover", _MANAGE, snapshots_api.recover, Kind.WORK),
    Route("GET", "/collections/{collection}/snapshots/{snapshot}", _READ, snapshots_api.download, Kind.FILE),
    Route("DELETE", "/collections/{collection}/snapshots/{snapshot}", _MANAGE, snapshots_api.delete, Kind.WORK),
    Route("GET", "/collections/{collection}/shards/{shard}/snapshots", _READ, shards.listed),
    Route("POST", "/collections/{collection}/shards/{shard}/snapshots", _MANAGE, shards.create, Kind.WORK),
    Route("POST", "/collections/{collection}/shards/{shard}/snapshots/upload", _MANAGE, shards.upload, Kind.UPLOAD),
    Route("PUT", "/collections/{collection}/shards/{shard}/snapshots/recover", _MANAGE, shards.recover, Kind.WORK),
    Route("GET", "/collections/{collection}/shards/{shard}/snapshots/{snapshot}", _READ, shards.download, Kind.FILE),
    Route("DELETE", "/collections/{collection}/shards/{shard}/snapshots/{snapshot}", _MANAGE, shards.delete, Kind.WORK),
    Route("GET", "/snapshots", _READ, snapshots_api.listed_full),
    Route("POST", "/snapshots", _MANAGE, snapshots_api.create_full, Kind.WORK),
    Route("GET", "/snapshots/{snapshot}", _READ, snapshots_api.download_full, Kind.FILE),
    Route("DELETE", "/snapshots/{snapshot}", _MANAGE, snapshots_api.delete_full, Kind.WORK),
]


def find(method: str, path: str) -> tuple[Route, dict[str, str]] | None:
    """The route of a request and the names in its path."""
    for route in ROUTES:
        match = route.pattern.fullmatch(path)
        if route.method == method and match:
            return route, match.groupdict()
    return None
