"""Job of kind `qdrant`: a snapshot of every collection through the server's API, and the aliases."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

# The collection's own client, which role backup puts beside this program.
from somos_qdrant._qdrant import Client, Http, QdrantError
from somos_qdrant._qdrant_backup import Backup
from somos_qdrant._qdrant_store import Manifest, Store

from ..errors import BackupError, PassingError
from .base import StagedJob

ALIASES = "aliases.json"
PORT = 6333
START_LIMIT_S = 300


class _Store(Store):
    """Snapshots in *directory*, which goes with the run; notes of what is still to be removed from the server stay."""

    def __init__(self, directory: Path, notes: Path) -> None:
        super().__init__(str(directory))
        self._notes = Store(str(notes))

    def note_pending(self, collection: str | None, name: str) -> Path:
        return Path(self._notes.note_pending(collection, name))

    def pending(self) -> Iterator[tuple[Path, str | None, str]]:
        return iter(self._notes.pending())


class Qdrant(StagedJob):
    """The server at *url*, with the key in *api_key_file*; *service* is its container."""

    proof = "every collection restored into a server of its own, its points counted"

    def __init__(self, *arguments: Any, sleep: Callable[[float], None] = time.sleep) -> None:
        super().__init__(*arguments)
        self.sleep = sleep

    def room(self) -> int:
        service = self.value("service")
        self.compose.refuse_stopped(service)
        # Segments come and go meanwhile, at which du takes offence.
        measure = "du -s -B1 /qdrant/storage 2>/dev/null || true"
        said = self.compose.execute(service, "sh", "-c", measure, what="Measuring Qdrant's storage")
        return int(said.split()[0])

    def stage(self, directory: Path) -> dict[str, Any]:
        try:
            client = self._client(self.value("url"))
            client.refuse_cluster()
            backup = Backup(client, _Store(directory, self.config.state), keep_on_server=False, sleep=self.sleep)
            with backup.locked():
                taken = {name: backup.take(name) for name in sorted(client.collections())}
                aliases = client.aliases()
            for path in directory.glob(".*"):  # the store's lock and notes
                path.unlink() if path.is_file() else path.rmdir()
            (directory / ALIASES).write_text(json.dumps(aliases, indent=1, sort_keys=True) + "\n", encoding="utf-8")
            return {
                "version": client.version().text,
                "aliases": aliases,
                "collections": {
                    name: {
                        "snapshot": each.manifest.snapshot,
                        "points_before": each.manifest.collections[name].points_before,
                        "points_after": each.manifest.collections[name].points_after,
                    }
                    for name, each in taken.items()
                },
            }
        except QdrantError as error:
            raise BackupError(str(error)) from error

    def differences(self, directory: Path, facts: Mapping[str, Any]) -> list[str]:
        try:
            # A snapshot that is uploaded, and what it is unpacked to; one collection after another.
            need = 3 * max((path.stat().st_size for path in directory.glob("*.snapshot")), default=0)
            with self.compose.scratch_server(self.value("service"), need=need) as address:
                client = self._client(f"http://{address}:{PORT}")
                self._wait_for(client)
                return [
                    difference
                    for name, saved in facts["collections"].items()
                    for difference in self._tried(client, directory, name, saved["snapshot"])
                ]
        except QdrantError as error:
            raise BackupError(str(error)) from error

    def _tried(self, client: Client, directory: Path, name: str, snapshot: str) -> list[str]:
        """One collection, restored, compared, asked and removed again: the next one needs its room."""
        saved = Manifest.parse((directory / f"{snapshot}.manifest.json").read_bytes(), snapshot)
        contents = saved.collections[name]
        with (directory / snapshot).open("rb") as stream:
            client.upload_snapshot(name, snapshot, stream, saved.size, saved.checksum)
        found = client.collection(name)
        points = client.count(name) if found else 0
        wrong = [] if contents.agrees(points) else [f"{name}: {points} points, {contents.expected} expected"]
        if found and found.config.get("params") != contents.config.get("params"):
            wrong.append(f"{name}: other vectors than it was saved with")
        client.delete_collection(name)
        return wrong

    def _client(self, url: str) -> Client:
        path = Path(self.value("api_key_file"))
        try:
            return Client(Http(url, path.read_text(encoding="utf-8").strip()))
        except OSError as error:
            raise BackupError(
                f"Qdrant's key cannot be read from {path}: {error.strerror}. Run role qdrant again."
            ) from error

    def _wait_for(self, client: Client) -> None:
        for _ in range(START_LIMIT_S):
            try:
                client.collections()
                return
            except QdrantError as error:
                last = error
                self.sleep(1)
        raise PassingError(f"The scratch server of Qdrant did not come up: {last}")
