# Copyright (c) 2026, Somos Infra maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Putting one collection back. Standard library only, no Ansible.

The server replaces a collection's points shard by shard, and one that fails half-way is left broken. So points that are
replaced have a snapshot of their own first, from which they are put back if the restore fails.
"""

from __future__ import annotations

import contextlib
import hashlib
import secrets
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from ._qdrant import Client
from ._qdrant_errors import LocalError, QdrantError, RefusedError, UnreachableError
from ._qdrant_files import local
from ._qdrant_record import Record
from ._qdrant_store import Contents

_UPLOAD = "somos-restore-"
# Said before the server touches anything: the checksum and the collection's configuration are compared first (400).
_BEFORE_ANYTHING = {301, 302, 303, 307, 308, 400, 401, 403, 404, 413, 422, 429, 503, 507}
# Said by a proxy, or by the server itself, about a restore that may well go on.
_STILL_AT_WORK = {408, 502, 504}


class Source(Protocol):
    """Where a collection comes from. *checksum* is the SHA-256 of its snapshot, None if nobody knows it."""

    @property
    def checksum(self) -> str | None: ...

    def restore(self, client: Client, collection: str, upload_name: str) -> None:
        """Have the server restore *collection*. Raises QdrantError."""


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
        self._scratch()
        resumed = self.record.begun(name)
        safety = self._secure(step)
        self.record.begin(name, step.source.checksum, safety)
        self._restore(step, safety, resumed)
        try:
            points = self._settled(step)
        except UnreachableError as error:
            raise QdrantError(
                f"{error} What the restore made of collection {name} could not be seen: look at the server's log, and "
                f"run this again.{self._kept(safety)}"
            ) from error
        except QdrantError as error:
            raise QdrantError(f"{error} {self._undone(step, safety)}") from error
        self._remove_uploads(name)
        try:
            self.client.change_aliases(step.aliases)
        except QdrantError as error:
            raise QdrantError(
                f"{error} Collection {name} is restored, with {points} points; its aliases are not. Run this again, or "
                f"set restore_aliases to none.{self._kept(safety)}"
            ) from error
        if safety:
            self.client.delete_snapshot(name, safety)
        self.record.finish(name, step.source.checksum)
        return points

    def _restore(self, step: Step, safety: str | None, resumed: bool) -> None:
        name = step.collection
        try:
            return step.source.restore(self.client, name, f"{_UPLOAD}{secrets.token_hex(8)}.snapshot")
        except QdrantError as error:
            status = error.status if isinstance(error, RefusedError) else None
            if status in _STILL_AT_WORK or (isinstance(error, UnreachableError) and error.sent):
                # What was uploaded stays for now: it may be what the server reads.
                raise QdrantError(
                    f"{error} The server may still be restoring collection {name}: look at its log, and run this again "
                    f"when it is done.{self._kept(safety)}"
                ) from error
            if status in _BEFORE_ANYTHING or isinstance(error, (UnreachableError, LocalError)):
                became = self._untouched(step, safety, resumed)
            else:
                became = self._undone(step, safety)
            raise QdrantError(f"{error} {became}") from error

    def _secure(self, step: Step) -> str | None:
        """The snapshot of what is there; the one that a run which was cut off made, if there is one."""
        name = step.collection
        if step.replaces is None or not self.safety:
            return None
        if self.record.begun(name):  # what stands there now may be half of something
            left = self.record.safety(name)
            if left is None or any(snapshot.name == left for snapshot in self.client.snapshots(name)):
                return left
        try:
            return self.client.create_snapshot(name).name
        except QdrantError as error:
            raise QdrantError(
                f"{error} Nothing was replaced, as collection {name} could not be secured first. If it is broken "
                "anyway, set safety_snapshot to false."
            ) from error

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

    def _untouched(self, step: Step, safety: str | None, resumed: bool) -> str:
        self._remove_uploads(step.collection)
        if resumed:  # the run that was cut off may have replaced something
            return f"Nothing more was replaced.{self._kept(safety)}"
        with contextlib.suppress(QdrantError):
            # In this order: a snapshot too many is better than one that is taken for that of a later state.
            self.record.forget(step.collection)
            if safety:
                self.client.delete_snapshot(step.collection, safety)
        return "Nothing was replaced."

    def _undone(self, step: Step, safety: str | None) -> str:
        """Put back what was there. Returns what became of it, for the person who reads the error."""
        name = step.collection
        try:
            if step.replaces is None:
                return self._removed_again(name)
            self._remove_uploads(name)
            if safety is None:
                return f"Collection {name} is as the failed restore left it."
            self._put_back(name, safety)
            self._remove_uploads(name)
            self.client.delete_snapshot(name, safety)
            self.record.forget(name)
            return f"What collection {name} held before ({step.replaces} points) was put back."
        except QdrantError as error:
            return f"Undoing it failed too: {error}{self._kept(safety)}"

    def _removed_again(self, name: str) -> str:
        if name not in self.client.collections():
            # The upload lies there all the same, and nobody gets at the snapshots of a collection that is absent.
            self.client.create_collection(name, {"vectors": {"size": 1, "distance": "Dot"}})
        self._remove_uploads(name)
        with contextlib.suppress(RefusedError):  # a broken one cannot be counted
            if points := self.client.count(name):
                # Most of a collection may be worth more than none of it, to whoever has nothing else.
                return f"The {points} points that came stay, without their aliases."
        self.client.delete_collection(name)
        self.record.forget(name)
        return f"Collection {name} is absent, as it was before."

    def _put_back(self, name: str, safety: str) -> None:
        snapshot = next((each for each in self.client.snapshots(name) if each.name == safety), None)
        if snapshot is None:
            raise QdrantError(f"Snapshot {safety} of collection {name} is gone from the server.")
        # Of one name for all runs, so that what a run which was killed left goes with the next one.
        scratch = self._scratch()
        with local(f"{scratch} cannot hold the snapshot"):
            scratch.mkdir(mode=0o700)
            try:
                received = self.client.download_snapshot(name, snapshot, str(scratch))
                with received.path.open("rb") as file:
                    upload_name = f"{_UPLOAD}{secrets.token_hex(8)}.snapshot"
                    self.client.upload_snapshot(name, upload_name, file, received.size, received.checksum)
            finally:
                shutil.rmtree(scratch, ignore_errors=True)

    def _scratch(self) -> Path:
        """Where a snapshot passes through, empty of what a run that was killed left there."""
        path = self.record.directory() / f".undo.{hashlib.sha256(self.client.url.encode()).hexdigest()[:16]}"
        shutil.rmtree(path, ignore_errors=True)
        return path

    def _kept(self, safety: str | None) -> str:
        return f" What the collection held before is in its snapshot {safety} on the server." if safety else ""

    def _remove_uploads(self, collection: str) -> None:
        """The server keeps an uploaded file among the snapshots, also when it could not restore it."""
        with contextlib.suppress(QdrantError):
            for snapshot in self.client.snapshots(collection):
                if snapshot.name.startswith(_UPLOAD):
                    self.client.delete_snapshot(collection, snapshot.name)
