"""Snapshots of a collection as files: made, named, described, listed and found again."""

from __future__ import annotations

import ctypes
import os
import shutil
import struct
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from . import archive
from .collection import Collection
from .errors import not_found
from .storage import Storage
from .telemetry import Telemetry

_LIBC = ctypes.CDLL(None)
_AT_FDCWD, _STATX_BTIME = -100, 0x800


class Snapshots:
    """What the routes of snapshots work on."""

    def __init__(self, storage: Storage, telemetry: Telemetry) -> None:
        self.storage = storage
        self.telemetry = telemetry

    def directory(self, name: str) -> Path:
        """Where the snapshots of a collection are: under its own name, by whatever alias it was asked for."""
        return self.storage.settings.snapshots_path / self.storage.get(name).name

    def create(self, name: str) -> dict[str, Any]:
        """Make a snapshot. Its name has the second in it: another one of the same second takes its place."""
        with self.telemetry.creating(name):
            (self.storage.settings.snapshots_path / name).mkdir(exist_ok=True)  # under an alias too, as the server
            collection = self.storage.get(name)
            file = f"{collection.name}-{self.storage.peer}-{timestamp()}.snapshot"
            with self.workspace(f"{file}-temp-") as work:
                packed = work / "archive"
                pack(collection, packed, work)
                return store(packed, self.storage.settings.snapshots_path / collection.name / file)

    @contextmanager
    def workspace(self, prefix: str) -> Iterator[Path]:
        with tempfile.TemporaryDirectory(prefix=prefix, dir=self.storage.settings.work_path) as path:
            yield Path(path)


def pack(collection: Collection, packed: Path, work: Path) -> None:
    """Everything of a collection in one archive, as of one moment."""
    with collection.lock:
        collection.shard.flush()
        archive.write_shard(packed, collection.directory / "0", work, prefix="0/")
        archive.write(packed, collection.directory, archive.COLLECTION_FILES)


def store(source: Path, target: Path) -> dict[str, Any]:
    """Move an archive to where it stays, its checksum beside it; neither is seen before it is whole."""
    target.parent.mkdir(parents=True, exist_ok=True)
    checksum = target.with_name(f"{target.name}.tmp")
    checksum.write_text(archive.sha256(source))
    temporary = target.with_suffix(".tmp")
    shutil.move(source, temporary)
    temporary.replace(target)
    checksum.replace(checksum_of(target))
    return describe(target)


def describe(path: Path) -> dict[str, Any]:
    described: dict[str, Any] = {"name": path.name, "creation_time": _born(path), "size": path.stat().st_size}
    if checksum_of(path).exists():  # uploaded files have none, and nobody computes it later
        described["checksum"] = checksum_of(path).read_text()
    return described


def listed(directory: Path) -> list[dict[str, Any]]:
    """In no order, and nothing that is named otherwise: an upload keeps the name that it came with."""
    if not directory.is_dir():
        return []
    return [describe(path) for path in directory.iterdir() if path.suffix == ".snapshot" and not path.is_dir()]


def find(directory: Path, name: str) -> Path:
    path = directory / name
    if Path(name).name != name or not path.is_file():
        raise not_found(f"Snapshot {name} not found")
    return path


def delete(path: Path) -> bool:
    try:
        path.unlink()
    except FileNotFoundError as error:
        raise not_found(f'Snapshot "{path}" not found') from error
    finally:
        checksum_of(path).unlink(missing_ok=True)
    return True


def checksum_of(path: Path) -> Path:
    return path.with_name(f"{path.name}.checksum")


def timestamp() -> str:
    return datetime.now(timezone.utc).strftime("%Y-%m-%d-%H-%M-%S")


def _born(path: Path) -> str | None:
    """The file's time of birth in UTC; nothing where the file system does not keep it. Python does not tell it."""
    answer = ctypes.create_string_buffer(256)
    if _LIBC.statx(_AT_FDCWD, os.fsencode(path), 0, _STATX_BTIME, answer):
        return None
    if not struct.unpack_from("I", answer)[0] & _STATX_BTIME:
        return None
    (seconds,) = struct.unpack_from("q", answer, 80)
    return datetime.fromtimestamp(seconds, timezone.utc).strftime("%Y-%m-%dT%H:%M:%S")
