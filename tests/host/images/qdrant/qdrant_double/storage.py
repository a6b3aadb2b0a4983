"""Collections and aliases, on disk in the server's own layout.

storage/collections/<name>/config.json      what the collection was created with
storage/collections/<name>/0/               its one shard, written by the engine
storage/aliases/data.json                   alias → collection
"""

from __future__ import annotations

import json
import os
import shutil
import threading
from pathlib import Path
from typing import Any

from .engine import Engine, Shard
from .errors import ApiError, bad_input, not_found
from .settings import Settings

# What a collection is created with beside its vectors: the server's defaults.
_PARAMS = {"shard_number": 1, "replication_factor": 1, "write_consistency_factor": 1, "on_disk_payload": True}
_CONFIG: dict[str, Any] = {
    "hnsw_config": {
        "m": 16,
        "ef_construct": 100,
        "full_scan_threshold": 10000,
        "max_indexing_threads": 0,
        "on_disk": False,
    },
    "optimizer_config": {
        "deleted_threshold": 0.2,
        "vacuum_min_vector_number": 1000,
        "default_segment_number": 0,
        "indexing_threshold": 10000,
        "flush_interval_sec": 5,
    },
    "wal_config": {"wal_capacity_mb": 32, "wal_segments_ahead": 0},
    "quantization_config": None,
}
_FORBIDDEN_IN_NAMES = set('<>:"/\\|?*\0\x1f')


class Storage:
    """All state of the server. `lock` is held around every request: the double need not be fast."""

    def __init__(self, settings: Settings, engine: Engine) -> None:
        self.lock = threading.RLock()
        self.snapshots_path = settings.snapshots_path
        self._engine = engine
        self._collections_path = settings.storage_path / "collections"
        self._aliases_path = settings.storage_path / "aliases" / "data.json"
        for directory in (self._collections_path, self._aliases_path.parent, self.snapshots_path):
            directory.mkdir(parents=True, exist_ok=True)
        self.aliases: dict[str, str] = json.loads(self._aliases_path.read_text()) if self._aliases_path.exists() else {}
        self._shards: dict[str, Shard] = {}
        for directory in sorted(self._collections_path.iterdir()):
            # The configuration is written last and removed first: without it, a creation or a removal was cut off.
            if (directory / "config.json").exists():
                self._shards[directory.name] = engine.load(directory / "0")
            else:
                shutil.rmtree(directory)

    def names(self) -> list[str]:
        return sorted(self._shards)

    def exists(self, name: str) -> bool:
        return self.aliases.get(name, name) in self._shards

    def resolve(self, name: str) -> str:
        """The collection behind a name, which may be an alias."""
        collection = self.aliases.get(name, name)
        if collection not in self._shards:
            raise not_found(f"Collection `{name}` doesn't exist!")
        return collection

    def shard(self, name: str) -> Shard:
        return self._shards[self.resolve(name)]

    def config(self, name: str) -> dict[str, Any]:
        return dict(json.loads((self._collections_path / self.resolve(name) / "config.json").read_text()))

    def create(self, name: str, vectors: dict[str, Any]) -> None:
        if name in self._shards:
            raise ApiError(409, f"Wrong input: Collection `{name}` already exists!")
        if name in self.aliases:
            raise bad_input(f"Can't create collection with name {name}. Alias with the same name already exists")
        if not 1 <= len(name) <= 255 or name in (".", "..") or _FORBIDDEN_IN_NAMES & set(name):
            raise ApiError(422, f"Validation error in path parameters: [name: invalid collection name {name!r}]")
        directory = self._collections_path / name
        try:
            shard = self._engine.create(directory / "0", vectors)
        except Exception:
            shutil.rmtree(directory, ignore_errors=True)
            raise
        _write(directory / "config.json", {"params": {"vectors": vectors, **_PARAMS}, **_CONFIG})
        self._shards[name] = shard

    def drop(self, name: str) -> bool:
        if name not in self._shards:
            return False
        self._shards.pop(name).close()
        (self._collections_path / name / "config.json").unlink()
        shutil.rmtree(self._collections_path / name)
        self.set_aliases({alias: target for alias, target in self.aliases.items() if target != name})
        return True

    def set_aliases(self, aliases: dict[str, str]) -> None:
        _write(self._aliases_path, aliases)
        self.aliases = aliases

    def close(self) -> None:
        for shard in self._shards.values():
            shard.close()
        self._shards.clear()


def _write(path: Path, content: dict[str, Any]) -> None:
    temporary = path.with_suffix(".tmp")
    with temporary.open("w", encoding="utf-8") as file:
        json.dump(content, file)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
