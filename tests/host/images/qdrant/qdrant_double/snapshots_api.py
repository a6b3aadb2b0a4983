"""Snapshots over HTTP: what the routes ask of snapshots.py and recovery.py."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from . import full, recovery, snapshots
from .errors import forbidden, malformed
from .node import Node
from .request import Request, member, valid_checksum, valid_priority
from .routes import Work


def listed(node: Node, request: Request) -> Any:
    return snapshots.listed(node.snapshots.directory(request.collection))


def create(node: Node, request: Request) -> Work:
    name = request.collection
    return lambda: node.snapshots.create(name)


def download(node: Node, request: Request) -> Path:
    return snapshots.find(node.snapshots.directory(request.collection), request.names["snapshot"])


def delete(node: Node, request: Request) -> Work:
    name, snapshot = request.collection, request.names["snapshot"]
    return lambda: snapshots.delete(snapshots.find(node.snapshots.directory(name), snapshot))


def upload(node: Node, request: Request) -> Work:
    name, upload = request.collection, request.upload
    checksum = valid_checksum(request.query.get("checksum"), "query parameters")
    valid_priority(request.query.get("priority"), "query parameters")
    assert upload is not None
    return lambda: recovery.from_upload(node.snapshots, name, upload, checksum)


def recover(node: Node, request: Request) -> Work:
    name, body = request.collection, request.body
    if not isinstance(body, dict):
        raise malformed("JSON body", "expected struct SnapshotRecover")
    location = member(body, "location")
    checksum = valid_checksum(body.get("checksum"), "JSON body")
    valid_priority(body.get("priority"), "JSON body")
    scheme = urlsplit(str(location)).scheme
    if not scheme:
        raise malformed("JSON body", f"location: relative URL without a base: {location!r}")

    def work() -> bool:
        if not node.settings.enable_snapshot_url_recovery and scheme in ("http", "https"):
            raise forbidden("Snapshot recovery from remote URLs is disabled in the configuration")
        return recovery.from_location(node.snapshots, name, location, checksum, body.get("api_key"))

    return work


def listed_full(node: Node, request: Request) -> Any:
    return snapshots.listed(node.settings.snapshots_path)


def create_full(node: Node, request: Request) -> Work:
    return lambda: full.create(node.snapshots)


def download_full(node: Node, request: Request) -> Path:
    return snapshots.find(node.settings.snapshots_path, request.names["snapshot"])


def delete_full(node: Node, request: Request) -> Work:
    return lambda: snapshots.delete(snapshots.find(node.settings.snapshots_path, request.names["snapshot"]))
