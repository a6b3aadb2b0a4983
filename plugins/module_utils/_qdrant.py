# Copyright (c) 2026, Somos Infra maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A client for what backups need of Qdrant: collections, aliases, snapshots, both ways.

Standard library only, no Ansible: the server's own programs use this file and its neighbours too. Shapes and
behaviour follow the REST API of Qdrant 1.19, whose snapshot part is that of 1.20.
"""

from __future__ import annotations

import re
import urllib.parse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import IO, Any

from ._qdrant_http import DamagedError, Http, QdrantError, RefusedError, Tls, UnreachableError
from ._qdrant_transfer import Download, download, upload

__all__ = [
    "Client",
    "Collection",
    "DamagedError",
    "Download",
    "Http",
    "QdrantError",
    "RefusedError",
    "Snapshot",
    "Tls",
    "UnreachableError",
    "Version",
    "safe_name",
]

_TIME_IN_NAME = re.compile(r"-(\d{4}-\d\d-\d\d-\d\d-\d\d-\d\d)\.snapshot$")


@dataclass(frozen=True)
class Version:
    """A server's version, ``1.19.0`` or ``1.20.1-dev``."""

    text: str

    @property
    def release(self) -> tuple[int, int, int]:
        """Major, minor, patch. Raises QdrantError for what is no version."""
        match = re.match(r"v?(\d+)\.(\d+)(?:\.(\d+))?", self.text)
        if match is None:
            raise QdrantError(f"{self.text!r} is not a version of Qdrant.")
        major, minor, patch = match.groups()
        return int(major), int(minor), int(patch or 0)

    def restores(self, source: Version) -> bool:
        """Whether a server of this version restores snapshots of *source*: of its minor version, or the one before.

        Qdrant's documentation, 2026-08. The server itself does not look, and fails over the data, or at its next start.
        """
        return self.release[0] == source.release[0] and self.release[1] - source.release[1] in (0, 1)


@dataclass(frozen=True)
class Snapshot:
    """A snapshot on the server. *size* in bytes; *created* in UTC; *checksum* is the file's SHA-256 in hexadecimal.

    The server knows no checksum of uploaded files, and none at all where snapshots are kept in S3.
    """

    name: str
    size: int
    created: datetime | None = None
    checksum: str | None = None

    @classmethod
    def parse(cls, answer: Mapping[str, Any]) -> Snapshot:
        """From the server's description. Raises QdrantError for a name that must never become a path."""
        name = safe_name(str(answer["name"]))
        created = _time(str(answer.get("creation_time") or "")) or time_in_name(name)
        return cls(name, int(answer["size"]), created, answer.get("checksum") or None)


@dataclass(frozen=True)
class Collection:
    """What a collection is: *status* (green, yellow, grey, red) with its reason, *config* as the server gives it."""

    name: str
    status: str
    config: Mapping[str, Any]
    reason: str = "ok"


def safe_name(name: str) -> str:
    """*name*, if it is the name of a snapshot file and nothing more. Raises QdrantError for a path, or worse."""
    bad = not name.endswith(".snapshot") or name == ".snapshot" or len(name.encode()) > 255
    if bad or "/" in name or "\\" in name or any(ord(character) < 32 or ord(character) == 127 for character in name):
        raise QdrantError(f"{name!r} is not the name of a snapshot: refused, as it would become the name of a file.")
    return name


def time_in_name(name: str) -> datetime | None:
    """When a snapshot was made, by its name: the server writes UTC, to the second."""
    match = _TIME_IN_NAME.search(name)
    try:
        return datetime.strptime(f"{match[1]}+0000", "%Y-%m-%d-%H-%M-%S%z") if match else None
    except ValueError:
        return None


def _time(value: str) -> datetime | None:
    try:
        moment = datetime.fromisoformat(value.rstrip("Z"))
    except ValueError:
        return None
    return moment.astimezone(timezone.utc) if moment.tzinfo else moment.replace(tzinfo=timezone.utc)


def _path(collection: str | None, *more: str) -> str:
    parts = [*(("collections", collection) if collection else ()), *more]
    return "".join(f"/{urllib.parse.quote(part, safe='')}" for part in parts)


def _of(collection: str | None) -> str:
    return f"collection {collection}" if collection else "the whole storage"


class Client:
    """One server. Everywhere, a *collection* of None means the whole storage.

    All methods raise UnreachableError, RefusedError (the server said no) or QdrantError (what came is not right).
    """

    def __init__(self, http: Http) -> None:
        self.http = http

    @property
    def url(self) -> str:
        return self.http.url

    def version(self) -> Version:
        with self.http.exchange("Asking for the version", "GET", "/") as response:
            answer = response.read(1 << 16)
        match = re.search(rb'"version"\s*:\s*"([^"]+)"', answer)
        if match is None:
            raise QdrantError(f"{self.url} does not say which version of Qdrant it is. Check that the URL is its own.")
        return Version(match[1].decode("utf-8", "replace"))

    def refuse_cluster(self) -> None:
        """Raises QdrantError on a cluster: each of its peers makes snapshots of its own shards only."""
        answer = self.http.call("Asking whether it is a cluster", "GET", "/cluster")
        peers = answer.get("peers") or {}
        if answer.get("status") == "enabled" and len(peers) > 1:
            raise QdrantError(
                f"{self.url} is one of {len(peers)} peers of a cluster, and a snapshot holds the shards of one peer. "
                "Snapshots of clusters are not supported here."
            )

    def collections(self) -> list[str]:
        """The names of all collections, sorted."""
        answer = self.http.call("Listing the collections", "GET", "/collections")
        return sorted(str(each["name"]) for each in answer["collections"])

    def collection(self, name: str) -> Collection | None:
        """A collection by its name or an alias, or None if there is none."""
        try:
            info = self.http.call(f"Reading collection {name}", "GET", _path(name))
        except RefusedError as error:
            if error.status == 404:
                return None
            raise
        optimizer = info.get("optimizer_status", "ok")
        reason = optimizer.get("error", optimizer) if isinstance(optimizer, dict) else optimizer
        return Collection(name, str(info["status"]), info["config"], str(reason))

    def count(self, name: str) -> int:
        """How many points the collection holds, counted exactly."""
        what = f"Counting the points of collection {name}"
        path = _path(name, "points", "count")
        return int(self.http.call(what, "POST", path, {"exact": True}, repeatable=True, patient=True)["count"])

    def create_collection(self, name: str, config: Mapping[str, Any]) -> None:
        """Make a collection that is not there."""
        self.http.call(f"Creating collection {name}", "PUT", _path(name), dict(config), patient=True)

    def delete_collection(self, name: str) -> None:
        """Remove a collection, its points and its aliases. Its snapshots stay."""
        self.http.call(f"Deleting collection {name}", "DELETE", _path(name), repeatable=True, patient=True)

    def aliases(self) -> dict[str, str]:
        """Alias → collection."""
        answer = self.http.call("Listing the aliases", "GET", "/aliases")
        return {str(each["alias_name"]): str(each["collection_name"]) for each in answer["aliases"]}

    def change_aliases(self, create: Mapping[str, str], delete: Sequence[str] = ()) -> None:
        """One batch. Readers see all of it or nothing; but the server keeps what came before a refused action."""
        actions: list[dict[str, Any]] = [{"delete_alias": {"alias_name": name}} for name in delete]
        actions += [
            {"create_alias": {"alias_name": name, "collection_name": collection}} for name, collection in create.items()
        ]
        if actions:
            path = "/collections/aliases"
            self.http.call("Changing the aliases", "POST", path, {"actions": actions}, repeatable=True, patient=True)

    def snapshots(self, collection: str | None) -> list[Snapshot]:
        """Oldest first; without those of other levels, which a server that keeps snapshots in S3 lists too."""
        answer = self.http.call(f"Listing the snapshots of {_of(collection)}", "GET", _path(collection, "snapshots"))
        described = [each for each in answer if "/" not in str(each["name"])]
        epoch = datetime.fromtimestamp(0, timezone.utc)
        return sorted(map(Snapshot.parse, described), key=lambda each: (each.created or epoch, each.name))

    def create_snapshot(self, collection: str | None) -> Snapshot:
        """Waits until it is made, however long. Not repeated once the server may have begun."""
        what = f"Creating a snapshot of {_of(collection)}"
        answer = self.http.call(what, "POST", _path(collection, "snapshots") + "?wait=true", patient=True)
        return Snapshot.parse(answer)

    def delete_snapshot(self, collection: str | None, name: str) -> bool:
        """False if it was not there."""
        what = f"Deleting snapshot {name} of {_of(collection)}"
        path = _path(collection, "snapshots", safe_name(name)) + "?wait=true"
        try:
            self.http.call(what, "DELETE", path, repeatable=True, patient=True)
        except RefusedError as error:
            if error.status == 404:
                return False
            raise
        return True

    def download_snapshot(self, collection: str | None, snapshot: Snapshot, directory: str) -> Download:
        """Into *directory*, under a temporary name; see :func:`download`."""
        what = f"Downloading snapshot {snapshot.name} of {_of(collection)}"
        path = _path(collection, "snapshots", safe_name(snapshot.name))
        return download(self.http, what, path, directory, snapshot.name, snapshot.size, snapshot.checksum)

    def upload_snapshot(self, collection: str, name: str, file: IO[bytes], size: int, checksum: str) -> None:
        """Restore *collection* from *size* bytes of *file*, which the server keeps as snapshot *name*.

        The server replaces nothing before all has arrived and the SHA-256 *checksum* agrees.
        """
        query = f"?wait=true&priority=snapshot&checksum={checksum}"
        path = _path(collection, "snapshots", "upload") + query
        upload(self.http, f"Restoring collection {collection}", path, safe_name(name), file, size)

    def recover_snapshot(self, collection: str, location: str, checksum: str | None, api_key: str | None) -> None:
        """Restore *collection* from a URL, or a ``file://`` URI inside the server's own directory of snapshots."""
        body = {"location": location, "priority": "snapshot", "checksum": checksum, "api_key": api_key}
        given = {key: value for key, value in body.items() if value}
        path = _path(collection, "snapshots", "recover") + "?wait=true"
        self.http.call(f"Restoring collection {collection}", "PUT", path, given, patient=True)
