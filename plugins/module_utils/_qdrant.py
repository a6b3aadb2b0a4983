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
from datetime import datetime, timezone
from typing import IO, Any

from ._qdrant_address import Tls
from ._qdrant_answers import Collection, Snapshot, Version, safe_name
from ._qdrant_download import Download, download
from ._qdrant_errors import DamagedError, LocalError, QdrantError, RefusedError, UnreachableError
from ._qdrant_http import Http
from ._qdrant_upload import upload

__all__ = [
    "Client",
    "Collection",
    "DamagedError",
    "Download",
    "Http",
    "LocalError",
    "QdrantError",
    "RefusedError",
    "Snapshot",
    "Tls",
    "UnreachableError",
    "Version",
    "safe_name",
]


def _path(collection: str | None, *more: str) -> str:
    parts = [*(("collections", collection) if collection is not None else ()), *more]
    for part in parts:
        # Dots are not quoted: the path would be that of something else.
        if part in ("", ".", "..") or re.search(r"[\ud800-\udfff]", part):
            raise QdrantError(f"{part!r} is not a name that anything on a server of Qdrant can have.")
    return "".join(f"/{urllib.parse.quote(part, safe='')}" for part in parts)


def _of(collection: str | None) -> str:
    return "the whole storage" if collection is None else f"collection {collection}"


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
        def once() -> bytes:
            with self.http.exchange("Asking for the version", "GET", "/") as response:
                return response.read(1 << 16)

        match = re.search(rb'"version"\s*:\s*"([^"]+)"', self.http.repeat(once, repeatable=True))
        if match is None:
            raise QdrantError(f"{self.url} does not say which version of Qdrant it is. Check that the URL is its own.")
        return Version(match[1].decode("utf-8", "replace"))

    def refuse_cluster(self) -> None:
        """Raises QdrantError on a cluster: each of its peers makes snapshots of its own shards only."""
        peers = self.http.call(
            "Asking whether it is a cluster",
            "GET",
            "/cluster",
            read=lambda answer: len(answer.get("peers") or {}) if answer["status"] == "enabled" else 1,
        )
        if peers > 1:
            raise QdrantError(
                f"{self.url} is one of {peers} peers of a cluster, and a snapshot holds the shards of one peer. "
                "Snapshots of clusters are not supported here."
            )

    def collections(self) -> list[str]:
        """The names of all collections, sorted."""
        names: list[str] = self.http.call(
            "Listing the collections",
            "GET",
            "/collections",
            read=lambda answer: sorted(str(each["name"]) for each in answer["collections"]),
        )
        return names

    def collection(self, name: str) -> Collection | None:
        """A collection by its name or an alias, or None if there is none."""
        try:
            found: Collection = self.http.call(
                f"Reading collection {name}",
                "GET",
                _path(name),
                read=lambda answer: Collection.parse(name, answer),
            )
        except RefusedError as error:
            if error.status == 404:
                return None
            raise
        return found

    def count(self, name: str) -> int:
        """How many points the collection holds, counted exactly."""
        points: int = self.http.call(
            f"Counting the points of collection {name}",
            "POST",
            _path(name, "points", "count"),
            {"exact": True},
            read=lambda answer: int(answer["count"]),
            repeatable=True,
            patient=True,
        )
        return points

    def create_collection(self, name: str, config: Mapping[str, Any]) -> None:
        """Make a collection that is not there."""
        self.http.call(f"Creating collection {name}", "PUT", _path(name), dict(config), patient=True)

    def delete_collection(self, name: str) -> None:
        """Remove a collection, its points and its aliases. Its snapshots stay."""
        self.http.call(f"Deleting collection {name}", "DELETE", _path(name), repeatable=True, patient=True)

    def aliases(self) -> dict[str, str]:
        """Alias → collection."""
        aliases: dict[str, str] = self.http.call(
            "Listing the aliases",
            "GET",
            "/aliases",
            read=lambda answer: {str(each["alias_name"]): str(each["collection_name"]) for each in answer["aliases"]},
        )
        return aliases

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
        found: list[Snapshot] = self.http.call(
            f"Listing the snapshots of {_of(collection)}",
            "GET",
            _path(collection, "snapshots"),
            read=lambda answer: [Snapshot.parse(each) for each in answer if "/" not in str(each["name"])],
        )
        epoch = datetime.fromtimestamp(0, timezone.utc)
        return sorted(found, key=lambda each: (each.created or epoch, each.name))

    def create_snapshot(self, collection: str | None) -> Snapshot:
        """Waits until it is made, however long. Not repeated once the server may have begun."""
        made: Snapshot = self.http.call(
            f"Creating a snapshot of {_of(collection)}",
            "POST",
            _path(collection, "snapshots") + "?wait=true",
            read=Snapshot.parse,
            patient=True,
        )
        return made

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
