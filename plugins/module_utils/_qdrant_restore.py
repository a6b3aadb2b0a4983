# Copyright (c) 2026, Somos Infra maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Putting one collection back. Standard library only, no Ansible.

The server replaces a collection's points shard by shard, and one that fails half-way is left broken. So points that are
replaced have a snapshot of their own first, from which they are put back if the restore fails.
"""

from __future__ import annotations

import contextlib
import secrets
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Protocol

from ._qdrant import Client, QdrantError, RefusedError, UnreachableError
from ._qdrant_record import Record
from ._qdrant_store import Contents

_UPLOAD = "somos-restore-"
# Said before the server touches anything; whatever else it answers may have come half-way through.
_BEFORE_ANYTHING = {401, 403, 404, 413, 422, 429, 503, 507}


class Source(Protocol):
    """Where a collection comes from. *checksum* is the SHA-256 of its snapshot, None if nobody knows it."""

    @property
    def checksum(self) -> str | None: ...

    def restore(self, client: Client, collection: str, upload_name: str) -> None:
        """Have the server restore *collection*. Raises QdrantError."""


@dataclass(frozen=True)
class FileSource:
    """A snapshot on this host; *opened* gives *size* bytes, readable and seekable."""

    checksum: str
    size: int
    opened: Callable[[], contextlib.AbstractContextManager[IO[bytes]]]

    def restore(self, client: Client, collection: str, upload_name: str) -> None:
        with self.opened() as file:
            client.upload_snapshot(collection, upload_name, file, self.size, self.checksum)


@dataclass(frozen=True)
class LocationSource:
    """A snapshot that the server fetches by itself, from a URL or its own directory."""

    location: str
    checksum: str | None
    api_key: str | None = field(default=None, repr=False)

    def restore(self, client: Client, collection: str, upload_name: str) -> None:
        client.recover_snapshot(collection, self.location, self.checksum, self.api_key)


@dataclass(frozen=True)
class Step:
    """One collection to restore. *replaces* is the number of points there now, None for no collection; *contents* is
    what should be there afterwards.
    """

    collection: str
    source: Source
    contents: Contents | None
    replaces: int | None
    aliases: Mapping[str, str] = field(default_factory=dict)


class Restore:
    """Runs steps against one server. *wait_timeout* (seconds) bounds the wait for a restored collection to be green."""

    def __init__(
        self,
        client: Client,
        record: Record,
        *,
        safety: bool = True,
        wait_timeout: float = 3600.0,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.client = client
        self.record = record
        self.safety = safety
        self.wait_timeout = wait_timeout
        self.sleep = sleep
        self.clock = clock

    def run(self, step: Step) -> int:
        """Restore, wait, compare, and set aliases last; returns the number of points. Raises QdrantError."""
        name = step.collection
        if step.replaces is not None:
            self._remove_uploads(name)
        safety = self._secure(step)
        self.record.begin(name, step.source.checksum, safety)
        try:
            step.source.restore(self.client, name, f"{_UPLOAD}{secrets.token_hex(8)}.snapshot")
            points = self._settled(step)
        except UnreachableError as error:
            if error.sent:
                raise QdrantError(
                    f"{error} The server may still be restoring collection {name}: look at its log, and run this again "
                    f"when it is done.{self._kept(safety)}"
                ) from error
            raise QdrantError(f"{error} {self._untouched(step, safety)}") from error
        except QdrantError as error:
            if isinstance(error, RefusedError) and self._nothing_happened(error):
                raise QdrantError(f"{error} {self._untouched(step, safety)}") from error
            raise QdrantError(f"{error} {self._undone(step, safety)}") from error
        finally:
            self._remove_uploads(name)
        self.client.change_aliases(step.aliases)
        if safety:
            self.client.delete_snapshot(name, safety)
        self.record.finish(name, step.source.checksum)
        return points

    @staticmethod
    def _nothing_happened(error: RefusedError) -> bool:
        # The checksum and the collection's configuration are compared before anything is replaced: 400.
        return error.status in _BEFORE_ANYTHING or error.status == 400

    def _secure(self, step: Step) -> str | None:
        name = step.collection
        if step.replaces is None or not self.safety:
            return None
        if self.record.begun(name):  # and cut off: what stands there now may be half of something
            left = self.record.safety(name)
            if left is None or any(snapshot.name == left for snapshot in self.client.snapshots(name)):
                return left
        return self.client.create_snapshot(name).name

    def _settled(self, step: Step) -> int:
        """Wait until the collection is green, and compare what it holds."""
        deadline = self.clock() + self.wait_timeout
        pause = 0.1
        while True:
            found = self.client.collection(step.collection)
            if found is None:
                raise QdrantError(
                    f"Collection {step.collection} is not there after its restore. Read the server's log."
                )
            if found.status == "green":
                break
            if found.status == "red" or self.clock() > deadline:
                raise QdrantError(
                    f"Collection {step.collection} is {found.status} after its restore"
                    f"{'' if found.status == 'red' else f', for {self.wait_timeout:g} s'}: {found.reason}."
                )
            self.sleep(pause)
            pause = min(pause * 2, 10.0)
        points = self.client.count(step.collection)
        if step.contents and not step.contents.agrees(points):
            raise QdrantError(
                f"Collection {step.collection} holds {points} points after its restore; "
                f"its manifest says {step.contents.expected}."
            )
        return points

    def _untouched(self, step: Step, safety: str | None) -> str:
        with contextlib.suppress(QdrantError):
            if safety:
                self.client.delete_snapshot(step.collection, safety)
            self.record.forget(step.collection)
        return "Nothing was replaced."

    def _undone(self, step: Step, safety: str | None) -> str:
        """Put back what was there. Returns what became of it, for the person who reads the error."""
        name = step.collection
        try:
            if safety:
                self._put_back(name, safety)
                self.client.delete_snapshot(name, safety)
                self.record.forget(name)
                return f"What collection {name} held before ({step.replaces} points) was put back."
            if step.replaces is not None:
                return f"Collection {name} is as the failed restore left it."
            return self._removed_again(name)
        except QdrantError as error:
            return f"Undoing it failed too: {error}{self._kept(safety)}"

    def _removed_again(self, name: str) -> str:
        if self.client.collection(name) is None:
            # The upload lies there all the same, and nobody gets at the snapshots of a collection that is absent.
            self.client.create_collection(name, {"vectors": {"size": 1, "distance": "Dot"}})
        with contextlib.suppress(RefusedError):  # a broken one cannot be counted
            if points := self.client.count(name):
                # Most of a collection may be worth more than none of it, to whoever has nothing else.
                return f"The {points} points that came stay, without their aliases."
        self._remove_uploads(name)
        self.client.delete_collection(name)
        self.record.forget(name)
        return f"Collection {name} is absent, as it was before."

    def _put_back(self, name: str, safety: str) -> None:
        snapshot = next(each for each in self.client.snapshots(name) if each.name == safety)
        with tempfile.TemporaryDirectory(prefix=".undo.", dir=self.record.directory()) as directory:
            received = self.client.download_snapshot(name, snapshot, directory)
            with received.path.open("rb") as file:
                upload_name = f"{_UPLOAD}{secrets.token_hex(8)}.snapshot"
                self.client.upload_snapshot(name, upload_name, file, received.size, received.checksum)

    def _kept(self, safety: str | None) -> str:
        return f" What the collection held before is in its snapshot {safety} on the server." if safety else ""

    def _remove_uploads(self, collection: str) -> None:
        """The server keeps an uploaded file among the snapshots, also when it could not restore it."""
        with contextlib.suppress(QdrantError):
            for snapshot in self.client.snapshots(collection):
                if snapshot.name.startswith(_UPLOAD):
                    self.client.delete_snapshot(collection, snapshot.name)


@contextlib.contextmanager
def opened(path: Path) -> Iterator[IO[bytes]]:
    """A file, as a source wants it."""
    with path.open("rb") as file:
        yield file
