"""What the server tells of itself: health, metrics, telemetry, and that it is alone."""

from __future__ import annotations

from typing import Any

from . import VERSION
from .errors import ApiError, RefusedByEngineError
from .node import Node
from .request import Request

# Answered without a key and without looking at the data.
PROBES = {
    "/healthz": "healthz check passed",
    "/livez": "healthz check passed",
    "/readyz": "all shards are ready",
}


def version() -> dict[str, str]:
    return {"title": "qdrant - vector search engine", "version": VERSION}


def metrics(node: Node, request: Request) -> str:
    """In Prometheus' text format, a part of what the server has."""
    collections = node.storage.all()
    lines = [f'app_info{{name="qdrant",version="{VERSION}"}} 1', f"collections_total {len(collections)}"]
    for collection in collections:
        try:
            count = collection.shard.info().points_count
        except (ApiError, RefusedByEngineError):  # broken, or removed meanwhile
            continue
        lines.append(f'collection_points{{id="{collection.name}"}} {count}')
    return "\n".join(lines + node.telemetry.metrics()) + "\n"


def telemetry(node: Node, request: Request) -> Any:
    detailed = request.query.get("details_level", "0") != "0"
    collections: dict[str, Any] = {"number_of_collections": len(node.storage.names())}
    return {
        "id": node.telemetry.id,
        "app": {"name": "qdrant", "version": VERSION, "startup": node.telemetry.started},
        "collections": collections | ({"snapshots": node.telemetry.snapshots()} if detailed else {}),
    }


def cluster(node: Node, request: Request) -> Any:
    return {"status": "disabled"}


def collection_cluster(node: Node, request: Request) -> Any:
    collection = node.storage.get(request.collection)
    shard = {"shard_id": 0, "points_count": collection.shard.info().points_count, "state": "Active"}
    return {
        "peer_id": node.storage.peer,
        "shard_count": 1,
        "local_shards": [shard],
        "remote_shards": [],
        "shard_transfers": [],
    }


def update_collection_cluster(node: Node, request: Request) -> Any:
    raise ApiError(405, "Qdrant is running in standalone mode")
