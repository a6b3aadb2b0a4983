# Copyright (c) 2026, Somos Infra maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Taking snapshots and keeping the right ones. Standard library only, no Ansible.

The server names a snapshot by the second in which it was made, and the second of one name replaces the first; a
snapshot of the whole storage takes away those that collections made in its second. So runs on one host wait for each
other, and a name that is taken, or gone when it is fetched, means: once more, in another second.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import re
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path

from ._qdrant import Client, DamagedError, QdrantError, RefusedError, Snapshot
from ._qdrant_store import Contents, Manifest, Store

_ATTEMPTS = 4
_NEXT_SECOND = 1.1


@dataclass(frozen=True)
class Taken:
    """A new snapshot; *path* is None if it stayed on the server."""

    snapshot: Snapshot
    manifest: Manifest
    path: Path | None


class _TakenAwayError(Exception):
    """Somebody made a snapshot of the same name meanwhile."""


class Backup:
    """Snapshots of one server, into a *store* or, without one, left on the server."""

    def __init__(
        self,
        client: Client,
        store: Store | None,
        *,
        keep_on_server: bool,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.client = client
        self.store = store
        self.keep_on_server = keep_on_server or store is None
        self.sleep = sleep
        self._made = False

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Alone on this host with the server and the store. Waits for others."""
        with host_lock(self.client.url), self.store.locked() if self.store else contextlib.nullcontext():
            for path, collection, name in self.store.pending() if self.store else ():
                self.client.delete_snapshot(collection, name)
                path.unlink()
            yield
            if self._made:  # whoever waits for the lock must not get the name of what was made last
                self.sleep(_NEXT_SECOND)

    def take(self, collection: str | None) -> Taken:
        """A snapshot of a collection, or of the whole storage. Raises QdrantError, and leaves nothing half-made."""
        for attempt in range(1, _ATTEMPTS + 1):
            self._made = True
            try:
                return self._take(collection)
            except DamagedError:
                # Once it may be that somebody on another host replaced it. Gigabytes are not moved in vain for ever.
                if attempt > 1:
                    raise
            except _TakenAwayError as error:
                if attempt == _ATTEMPTS:
                    raise QdrantError(
                        f"{error} This happened {attempt} times: somebody else makes snapshots all the time."
                    ) from error
            self.sleep(_NEXT_SECOND)
        raise AssertionError("unreachable")

    def _take(self, collection: str | None) -> Taken:
        names = [collection] if collection else self.client.collections()
        before = self._contents(names)
        aliases = {alias: name for alias, name in self.client.aliases().items() if name in before}
        there = {snapshot.name for snapshot in self.client.snapshots(collection)}
        version = self.client.version().text
        snapshot = self.client.create_snapshot(collection)
        if snapshot.name in there:
            raise _TakenAwayError(f"A snapshot {snapshot.name} was there already.")

        def manifest(size: int, checksum: str) -> Manifest:
            return Manifest(
                kind="collection" if collection else "storage",
                snapshot=snapshot.name,
                size=size,
                checksum=checksum,
                created=(snapshot.created or datetime.now(timezone.utc)).isoformat(),
                server_version=version,
                collections={
                    name: Contents(points, self.client.count(name), config) for name, (points, config) in before.items()
                },
                aliases=aliases,
                verified=snapshot.checksum is not None,
            )

        if self.store is None:
            return Taken(snapshot, manifest(snapshot.size, snapshot.checksum or ""), None)
        return self._fetch(self.store, collection, snapshot, manifest)

    def _fetch(
        self, store: Store, collection: str | None, snapshot: Snapshot, manifest: Callable[[int, str], Manifest]
    ) -> Taken:
        pending = store.note_pending(collection, snapshot.name)
        whole = False
        try:
            try:
                received = self.client.download_snapshot(collection, snapshot, str(store.path))
            except RefusedError as error:
                if error.status == 404:
                    raise _TakenAwayError(f"{error}") from error
                raise
            try:
                described = manifest(received.size, received.checksum)
                if not store.add(described, received):
                    raise _TakenAwayError(f"{store.path} has a snapshot {snapshot.name} already.")
            finally:
                received.path.unlink(missing_ok=True)
            whole = True
        finally:
            if not (whole and self.keep_on_server):
                self._remove_copy(collection, snapshot.name, quietly=not whole)
            # A copy that could not be removed stays noted, for the next run.
            if whole or not self._there(collection, snapshot.name):
                pending.unlink(missing_ok=True)
        return Taken(snapshot, described, store.path / snapshot.name)

    def _contents(self, names: Sequence[str]) -> dict[str, tuple[int, Mapping[str, object]]]:
        contents = {}
        for name in names:
            found = self.client.collection(name)
            if found is None:
                raise QdrantError(f"{self.client.url} has no collection {name} to make a snapshot of. Check the name.")
            if found.status == "red":
                raise QdrantError(
                    f"Collection {name} on {self.client.url} is red: {found.reason}. "
                    "A snapshot of it might not be restorable. Read the server's log first."
                )
            contents[name] = (self.client.count(name), found.config)
        return contents

    def _remove_copy(self, collection: str | None, name: str, *, quietly: bool) -> None:
        with contextlib.suppress(QdrantError) if quietly else contextlib.nullcontext():
            self.client.delete_snapshot(collection, name)

    def _there(self, collection: str | None, name: str) -> bool:
        try:
            return any(snapshot.name == name for snapshot in self.client.snapshots(collection))
        except RefusedError as error:
            return error.status != 404
        except QdrantError:
            return True


def made_by_server(collection: str | None, snapshots: Sequence[Snapshot]) -> list[Snapshot]:
    """Those that bear the name the server gives: uploads, and shards' snapshots in an S3 listing, are not ours."""
    prefix = rf"{re.escape(collection)}-\d+" if collection else "full-snapshot"
    pattern = re.compile(prefix + r"-\d{4}(-\d\d){5}\.snapshot")
    return [snapshot for snapshot in snapshots if pattern.fullmatch(snapshot.name)]


def expired(
    found: Sequence[Snapshot | Manifest],
    *,
    keep_last: int | None,
    keep_for: float | None,
    now: datetime,
    coming: int = 0,
) -> list[str]:
    """The names of those of *found* (oldest first) that neither rule keeps: the newest *keep_last*, *keep_for* seconds.

    Without a rule all are kept; the newest one always is. What has no time is kept. *coming* newer ones are expected.
    """
    if keep_last is None and keep_for is None:
        return []
    older = found[: max(len(found) + coming - max(keep_last or 1, 1), 0)]
    limit = now - timedelta(seconds=keep_for or 0)
    return [_name(each) for each in older if (moment := _made(each)) is not None and moment < limit]


def newest_age(found: Sequence[Snapshot | Manifest], now: datetime) -> float | None:
    """Seconds since the newest was made, or None if there is none. One from the future does not count as new."""
    ages = [(now - moment).total_seconds() for each in found if (moment := _made(each)) is not None]
    return min((age for age in ages if age > -300), default=None)


def _name(each: Snapshot | Manifest) -> str:
    return each.snapshot if isinstance(each, Manifest) else each.name


def _made(each: Snapshot | Manifest) -> datetime | None:
    return each.time if isinstance(each, Manifest) else each.created


@contextlib.contextmanager
def host_lock(url: str) -> Iterator[None]:
    """Alone on this host with the server. Waits for others."""
    # A lock a user, so that nobody needs to write into a file of somebody else.
    digest = hashlib.sha256(url.encode()).hexdigest()[:16]
    run_lock = Path("/run/lock")
    directory = run_lock if os.access(run_lock, os.W_OK) else Path(tempfile.gettempdir())
    path = directory / f"somos-qdrant-{digest}-{os.geteuid()}.lock"
    try:
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise QdrantError(
            f"The lock {path} cannot be taken: {error.strerror}. Remove it if it is not yours."
        ) from error
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)
