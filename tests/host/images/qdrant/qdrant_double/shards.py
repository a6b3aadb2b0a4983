"""Snapshots of one shard. Every collection has one here, and it has the number 0.

The server leaves the write-ahead log out of these; the double cannot make an empty one that goes on counting where the
full one ended, and keeps it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from . import archive, faults, recovery, snapshots
from .collection import Collection
from .errors import bad_input, forbidden, malformed, not_found, service_error
from .node import Node
from .request import Request, Upload, member, valid_checksum, valid_priority
from .routes import Work


def listed(node: Node, request: Request) -> Any:
    return snapshots.listed(_directory(node, request))


def create(node: Node, request: Request) -> Work:
    def work() -> Any:
        collection = _collection(node, request)
        file = f"{collection.name}-shard-0-{snapshots.timestamp()}.snapshot"
        with node.telemetry.creating(request.collection), node.snapshots.workspace(f"{file}-temp-") as area:
            with collection.lock:
                collection.shard.flush()
                archive.write_shard(area / "archive", collection.directory / "0", area)
            return snapshots.store(area / "archive", _directory(node, request) / file)

    return work


def download(node: Node, request: Request) -> Path:
    return snapshots.find(_directory(node, request), request.names["snapshot"])


def delete(node: Node, request: Request) -> Work:
    return lambda: snapshots.delete(snapshots.find(_directory(node, request), request.names["snapshot"]))


def upload(node: Node, request: Request) -> Work:
    checksum = valid_checksum(request.query.get("checksum"), "query parameters")
    valid_priority(request.query.get("priority"), "query parameters")

    def work() -> None:
        assert isinstance(request.upload, Upload)
        recovery.check_upload(request.upload, checksum)
        _recover(node, request, str(request.upload.path), None, None)

    return work


def recover(node: Node, request: Request) -> Work:
    if not isinstance(request.body, dict):
        raise malformed("JSON body", "expected struct ShardSnapshotRecover")
    location, checksum = str(member(request.body, "location")), request.body.get("checksum")
    valid_checksum(checksum, "JSON body")
    valid_priority(request.body.get("priority"), "JSON body")
    scheme = urlsplit(location).scheme

    def work() -> bool:
        _collection(node, request)
        if scheme in ("http", "https") and not node.settings.enable_snapshot_url_recovery:
            raise forbidden("Snapshot recovery from remote URLs is disabled in the configuration")
        if scheme not in ("", "http", "https"):
            raise bad_input(f"Invalid snapshot URL {location}: URLs with {scheme} scheme are not supported")
        source = location if scheme else str(snapshots.find(_directory(node, request), location))
        _recover(node, request, source, checksum, request.body.get("api_key"))
        return True

    return work


def _recover(node: Node, request: Request, source: str, checksum: str | None, api_key: str | None) -> None:
    collection = _collection(node, request)
    with node.telemetry.recovering(request.collection), node.snapshots.workspace(f"{collection.name}-shard-0") as work:
        unpacked = work / "unpacked"
        if source.startswith("/"):
            computed = recovery.unpack(Path(source), unpacked, checksum is not None)
        else:
            computed = recovery.download(source, unpacked, checksum is not None, api_key)
        recovery.check_fetched(computed, checksum)
        try:
            recovery.restore_shard(unpacked, node.storage.peer)
        except OSError as error:
            raise service_error(str(error)) from error
        faults.damage(unpacked)
        collection.replace_shard(unpacked)


def _directory(node: Node, request: Request) -> Path:
    return node.settings.snapshots_path / _collection(node, request).name / "shards" / "0"


def _collection(node: Node, request: Request) -> Collection:
    given = request.names["shard"]
    if not given.isdecimal():
        raise malformed("path parameters", f'can not parse "{given}" to a u32')
    collection = node.storage.get(request.collection)
    if int(given):
        raise not_found(f"shard {given} not found")
    return collection
