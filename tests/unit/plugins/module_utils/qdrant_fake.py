"""A Qdrant server in memory, as the client shows it, that fails where a test wants it to."""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import IO, Any

from qdrant_script import COLLECTION, Connection, error, script

from ansible_collections.somos.infra.plugins.module_utils._qdrant import (
    Client,
    Collection,
    Download,
    Http,
    QdrantError,
    RefusedError,
    Snapshot,
    UnreachableError,
    Version,
)

__all__ = ["Connection", "Fake", "error", "fake", "lost_after", "lost_before", "refusal", "script"]

CONFIG: dict[str, Any] = dict(COLLECTION["config"])  # type: ignore[call-overload]
START = datetime(2026, 11, 24, 3, tzinfo=timezone.utc)


def refusal(status: int, words: str = "words") -> RefusedError:
    return RefusedError("It", "http://fake", status, words)


def lost_before() -> UnreachableError:
    return UnreachableError("It failed: refused.", sent=False)


def lost_after() -> UnreachableError:
    return UnreachableError("It failed: closed.", sent=True)


@dataclass
class Held:
    points: int
    status: str = "green"
    config: dict[str, Any] = field(default_factory=lambda: dict(CONFIG))
    reason: str = "ok"


class Fake(Client):
    """Collections with a number of points each; a snapshot's content is that number.

    ``fail["upload_snapshot"]`` and so on are what a method does instead, call by call: an error to raise, a function to
    call with its arguments, or None for what it does always. ``calls`` is what was asked of it.
    """

    def __init__(self, **collections: int) -> None:
        super().__init__(Http("http://fake"))
        self.held = {name: Held(points) for name, points in collections.items()}
        self.alias_table: dict[str, str] = {}
        self.files: dict[tuple[str | None, str], bytes] = {}
        self.fail: dict[str, deque[Any]] = {}
        self.calls: list[str] = []
        self.now = START
        self.server = Version("1.19.0")

    def failing(self, method: str, *outcomes: Any) -> None:
        self.fail[method] = deque(outcomes)

    def _begin(self, method: str, *arguments: Any) -> None:
        self.calls.append(" ".join([method, *(str(each) for each in arguments)]))
        outcome = queue.popleft() if (queue := self.fail.get(method)) else None
        if isinstance(outcome, Exception):
            raise outcome
        if outcome is not None:
            outcome()

    def called(self, method: str) -> list[str]:
        return [call for call in self.calls if call.startswith(method)]

    def version(self) -> Version:
        return self.server

    def refuse_cluster(self) -> None:
        self._begin("refuse_cluster")

    def collections(self) -> list[str]:
        return sorted(self.held)

    def collection(self, name: str) -> Collection | None:
        self._begin("collection", name)
        held = self.held.get(name)
        return Collection(name, held.status, held.config, held.reason) if held else None

    def count(self, name: str) -> int:
        self._begin("count", name)
        if name not in self.held:
            raise refusal(404, f"Not found: Collection `{name}` doesn't exist!")
        return self.held[name].points

    def create_collection(self, name: str, config: Any) -> None:
        self._begin("create_collection", name)
        self.held[name] = Held(0, config=dict(config))

    def delete_collection(self, name: str) -> None:
        self._begin("delete_collection", name)
        self.held.pop(name, None)

    def aliases(self) -> dict[str, str]:
        self._begin("aliases")
        return dict(self.alias_table)

    def change_aliases(self, create: Any, delete: Iterable[str] = ()) -> None:
        self._begin("change_aliases", dict(create))
        self.alias_table.update(create)

    def snapshots(self, collection: str | None) -> list[Snapshot]:
        self._begin("snapshots", collection)
        if collection is not None and collection not in self.held:
            raise refusal(404)
        return [self.describe(*key) for key in self.files if key[0] == collection]

    def describe(self, collection: str | None, name: str) -> Snapshot:
        content = self.files[collection, name]
        return Snapshot(name, len(content), self.now, hashlib.sha256(content).hexdigest())

    def create_snapshot(self, collection: str | None) -> Snapshot:
        self._begin("create_snapshot", collection)
        stamp = f"{self.now:%Y-%m-%d-%H-%M-%S}"
        name = f"{collection}-1-{stamp}.snapshot" if collection else f"full-snapshot-{stamp}.snapshot"
        content = self.held[collection].points if collection else sum(held.points for held in self.held.values())
        self.files[collection, name] = str(content).encode()
        return self.describe(collection, name)

    def delete_snapshot(self, collection: str | None, name: str) -> bool:
        self._begin("delete_snapshot", collection, name)
        return self.files.pop((collection, name), None) is not None

    def download_snapshot(self, collection: str | None, snapshot: Snapshot, directory: str) -> Download:
        self._begin("download_snapshot", collection, snapshot.name)
        if (collection, snapshot.name) not in self.files:
            raise refusal(404, f"Not found: Snapshot {snapshot.name}")
        content = self.files[collection, snapshot.name]
        path = Path(directory) / ".download.part"
        path.write_bytes(content)
        return Download(path, len(content), hashlib.sha256(content).hexdigest())

    def upload_snapshot(self, collection: str, name: str, file: IO[bytes], size: int, checksum: str) -> None:
        content = file.read()
        self.held.setdefault(collection, Held(0))
        self.files[collection, name] = content
        self._begin("upload_snapshot", collection)  # fails half-way, and keeps what was uploaded
        self.held[collection] = Held(int(content))

    def tick(self, seconds: float) -> None:
        """Sleep."""
        self.calls.append(f"sleep {seconds:g}")
        self.now += timedelta(seconds=seconds)


def fake(**collections: int) -> Fake:
    return Fake(**collections)


Outcome = QdrantError | Callable[[], None] | None
