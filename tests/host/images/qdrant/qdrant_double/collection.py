"""One collection: its directory in the server's own layout, and its one shard.

config.json               what it was created with, and its uuid
version.info              of the collection's format
shard_key_mapping.json    empty: sharding by keys needs a cluster
payload_index.json        which payload fields have an index
shard_0.initializing      while the shard is replaced: a shard that was left half replaced is not loaded
0/                        the shard: the engine's files, and what the server keeps beside them
"""

from __future__ import annotations

import json
import shutil
import threading
import uuid
from pathlib import Path
from typing import Any

from . import edge
from .archive import SHARD_FILES
from .errors import ApiError, RefusedByEngineError, refused_by_engine, service_error

# Of the server's collection crate; the same from 1.15 to 1.19.
_FORMAT = "0.4.2"
# The server's words for what a broken shard is asked.
_BROKEN_ACTIONS = {
    "upsert": "Update Points",
    "delete": "Update Points",
    "nearest": "query",
    "scroll": "Scroll",
    "info": "Get Info",
}
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
        "max_segment_size": None,
        "memmap_threshold": None,
        "indexing_threshold": 10000,
        "flush_interval_sec": 5,
        "max_optimization_threads": None,
    },
    "wal_config": {"wal_capacity_mb": 32, "wal_segments_ahead": 0, "wal_retain_closed": 1},
    "quantization_config": None,
}


class Collection:
    """`lock` is held by whatever changes the shard or needs it to stand still; readers need none."""

    def __init__(self, directory: Path, shard: edge.EdgeShard | BrokenShard) -> None:
        self.name = directory.name
        self.directory = directory
        self.shard = shard
        self.lock = threading.RLock()

    @classmethod
    def create(cls, directory: Path, config: dict[str, Any], peer: int) -> Collection:
        shard_path = directory / "0"
        try:
            shard = edge.create(shard_path, config["params"]["vectors"])
        except Exception:
            shutil.rmtree(directory, ignore_errors=True)
            raise
        write_json(shard_path / "replica_state.json", replica_state(peer))
        write_json(shard_path / "shard_config.json", {"type": "ReplicaSet"})
        (directory / "version.info").write_text(_FORMAT)
        write_json(directory / "shard_key_mapping.json", [])
        write_json(directory / "payload_index.json", {"schema": {}})
        # Written last and removed first: without it, a creation or a removal was cut off.
        write_json(directory / "config.json", config)
        return cls(directory, shard)

    @classmethod
    def load(cls, directory: Path) -> Collection:
        if _flag(directory).exists():
            return cls(directory, BrokenShard("Dirty shard - shard is not fully initialized"))
        return cls(directory, edge.load(directory / "0"))

    @property
    def config(self) -> dict[str, Any]:
        return dict(json.loads((self.directory / "config.json").read_text()))

    @property
    def schema(self) -> dict[str, Any]:
        """Payload field → its index."""
        return dict(json.loads((self.directory / "payload_index.json").read_text())["schema"])

    @schema.setter
    def schema(self, schema: dict[str, Any]) -> None:
        write_json(self.directory / "payload_index.json", {"schema": schema})

    def replace_shard(self, unpacked: Path) -> None:
        """Put an unpacked shard in the place of the present one. What cannot be loaded leaves a broken shard behind."""
        with self.lock:
            _flag(self.directory).touch()
            self.shard.close()
            shard_path = self.directory / "0"
            _clear(shard_path)
            for path in unpacked.iterdir():
                if path.name not in SHARD_FILES:
                    shutil.move(path, shard_path / path.name)
            try:
                self.shard = edge.load(shard_path)
                self._complete_indexes()
            except RefusedByEngineError as error:
                self.shard = BrokenShard("Failed to restore local replica")
                _clear(shard_path)
                raise refused_by_engine(error) from error
            _flag(self.directory).unlink()

    def _complete_indexes(self) -> None:
        """A shard from elsewhere may lack indexes that the collection has; those that it has beyond are kept."""
        present = self.shard.info().indexes
        for field, schema in self.schema.items():
            if field not in present:
                self.shard.create_index(field, schema)

    def remove(self) -> None:
        with self.lock:
            self.shard.close()
            (self.directory / "config.json").unlink()
            shutil.rmtree(self.directory)


class BrokenShard:
    """Stands where a shard could not be loaded, and says so whatever it is asked: the server's "dummy shard"."""

    def __init__(self, reason: str) -> None:
        self._reason = reason

    def flush(self) -> None:
        """Nothing is kept in memory."""

    def close(self) -> None:
        """Nothing is open."""

    def __getattr__(self, action: str) -> Any:
        def refuse(*args: Any, **options: Any) -> ApiError:
            raise service_error(f"Failed to {_BROKEN_ACTIONS.get(action, action)},  {self._reason}")

        return refuse


def new_config(vectors: dict[str, Any]) -> dict[str, Any]:
    return {"params": {"vectors": vectors, **_PARAMS}, **_CONFIG, "uuid": str(uuid.uuid4())}


def replica_state(peer: int) -> dict[str, Any]:
    return {"is_local": True, "this_peer_id": peer, "peers": {str(peer): "Active"}}


def write_json(path: Path, content: Any) -> None:
    """Whole or not at all, also where the process is killed; what a power cut leaves is not the double's concern."""
    temporary = path.with_suffix(".tmp")
    temporary.write_text(json.dumps(content), encoding="utf-8")
    temporary.replace(path)


def _flag(directory: Path) -> Path:
    return directory / "shard_0.initializing"


def _clear(shard_path: Path) -> None:
    for path in shard_path.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
        elif path.name not in SHARD_FILES:
            path.unlink()
