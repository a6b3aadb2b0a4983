# Copyright (c) 2026, Somos Infra maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A directory of snapshots, each beside a manifest that says what is in it. Standard library only, no Ansible.

``NAME.snapshot`` and ``NAME.snapshot.manifest.json``. A snapshot alone cannot be judged: the server's version and the
aliases are nowhere in it, and how many points it should bring back is known only at the time it is made.
The manifest is written first: what is cut off leaves a manifest without a snapshot, which is told as ``missing``.
"""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import hashlib
import json
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from ._qdrant_answers import Version, safe_name
from ._qdrant_download import Download
from ._qdrant_errors import QdrantError
from ._qdrant_files import PART, local, open_regular, sync_directory, write_file

SUFFIX = ".manifest.json"
_PENDING = ".pending"
_CHECKSUM = re.compile(r"[0-9a-f]{64}")
_FORMAT = 1
_MAX_MANIFEST = 64 << 20


@dataclass(frozen=True)
class Contents:
    """One collection in a snapshot. The points, counted exactly, before and after the snapshot was made."""

    points_before: int
    points_after: int
    config: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def parse(cls, values: Mapping[str, Any]) -> Contents:
        """Raises ValueError, TypeError or AttributeError for what is none."""
        contents = cls(**values)
        if not (_number(contents.points_before) and _number(contents.points_after)):
            raise ValueError("its numbers of points are none")
        if not isinstance(contents.config, dict):
            raise TypeError("a configuration in it is none")
        return contents

    def agrees(self, points: int) -> bool:
        """Whether a restored collection may have that many points: anything between, if it was written to meanwhile."""
        return min(self.points_before, self.points_after) <= points <= max(self.points_before, self.points_after)

    @property
    def expected(self) -> str:
        low, high = sorted((self.points_before, self.points_after))
        return str(low) if low == high else f"{low} to {high}"


@dataclass(frozen=True)
class Manifest:
    """What a snapshot is. *kind* is ``collection`` or ``storage``; *size* in bytes; *checksum* SHA-256; *created* UTC.

    *verified* says that the server's own checksum was compared with what was received.
    """

    kind: str
    snapshot: str
    size: int
    checksum: str
    created: str
    server_version: str
    collections: Mapping[str, Contents]
    aliases: Mapping[str, str]
    verified: bool = True

    @property
    def collection(self) -> str | None:
        """The one collection, or None for the whole storage."""
        return next(iter(self.collections)) if self.kind == "collection" else None

    @property
    def time(self) -> datetime:
        return datetime.fromisoformat(self.created)

    def dump(self) -> str:
        return json.dumps({"format": _FORMAT, **dataclasses.asdict(self)}, indent=2, sort_keys=True) + "\n"

    @classmethod
    def parse(cls, text: str | bytes, place: str) -> Manifest:
        """Raises QdrantError for what is no manifest, or one that names what it must not."""
        try:
            values = json.loads(text)
            if values.pop("format") != _FORMAT:
                raise ValueError("its format is that of another version of this collection")
            collections = {name: Contents.parse(each) for name, each in values.pop("collections").items()}
            manifest = cls(collections=collections, **values)
            safe_name(manifest.snapshot)
            Version(manifest.server_version).release  # noqa: B018 - raises
            if manifest.time.tzinfo is None or not _CHECKSUM.fullmatch(manifest.checksum) or not _number(manifest.size):
                raise ValueError("its time, size or checksum is none")
            one = len(collections) == 1
            stray = set(manifest.aliases.values()) - set(collections)
            if manifest.kind not in ("collection", "storage") or (manifest.kind == "collection" and not one) or stray:
                raise ValueError("its collections and aliases do not fit together")
        except (QdrantError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise QdrantError(f"{place} is not a manifest of a snapshot: {str(error).rstrip('.')}.") from error
        return manifest


def _number(value: object) -> bool:
    return type(value) is int and value >= 0


def read_manifest(path: Path) -> Manifest:
    """Raises QdrantError if it cannot be read, is a link, or is no manifest."""
    with local(f"The manifest {path} cannot be read"), open_regular(path) as file:
        return Manifest.parse(file.read(_MAX_MANIFEST), str(path))


class Store:
    """The directory. Everything that writes holds :meth:`locked`."""

    def __init__(self, directory: str) -> None:
        self.path = Path(directory)

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Alone with the directory, which is made if it is missing (mode 0700). What a killed run left, goes."""
        with local(f"The directory {self.path} cannot be used"):
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            handle = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            with local(f"The directory {self.path} cannot be cleared of what a run left"):
                for leftover in self.path.glob(f".*{PART}"):
                    leftover.unlink(missing_ok=True)
            yield
        finally:
            os.close(handle)

    def manifests(self) -> list[Manifest]:
        """Of every snapshot that is there in its full size, oldest first. What is no manifest is not looked at."""
        found = [manifest for manifest, state in self.judged() if state == "complete"]
        return sorted(found, key=lambda manifest: (manifest.time, manifest.snapshot))

    def judged(self) -> list[tuple[Manifest, str]]:
        """Every manifest with the state of its snapshot: ``complete``, ``missing`` or ``damaged`` (another size)."""
        judged = []
        for path in sorted(self.path.glob(f"*.snapshot{SUFFIX}")) if self.path.is_dir() else []:
            with contextlib.suppress(QdrantError):
                manifest = read_manifest(path)
                if path.name == manifest.snapshot + SUFFIX:
                    judged.append((manifest, self._state(manifest)))
        return judged

    def _state(self, manifest: Manifest) -> str:
        file = self.path / manifest.snapshot
        if file.is_symlink() or not file.exists():
            return "missing"
        return "complete" if file.is_file() and file.stat().st_size == manifest.size else "damaged"

    def add(self, manifest: Manifest, received: Download) -> bool:
        """Keep a download under its name, with its manifest. False, and nothing changes, if the name is taken."""
        target = self.path / manifest.snapshot
        with local(f"The snapshot {target} cannot be kept"):
            if target.exists() or target.is_symlink():
                return False
            beside = self.path / f"{manifest.snapshot}{SUFFIX}"
            write_file(beside, manifest.dump())
            try:
                received.keep_as(target)
            except OSError:
                beside.unlink(missing_ok=True)
                raise
        return True

    def remove(self, name: str) -> None:
        """Remove a snapshot, then its manifest."""
        with local(f"The snapshot {name} in {self.path} cannot be removed"):
            (self.path / safe_name(name)).unlink(missing_ok=True)
            (self.path / f"{name}{SUFFIX}").unlink(missing_ok=True)
            sync_directory(self.path)

    def holds(self, name: str) -> bool:
        """Whether there is a snapshot of that name, or what is left of one."""
        return any((self.path / file).exists() for file in (safe_name(name), f"{name}{SUFFIX}"))

    def note_pending(self, collection: str | None, name: str) -> Path:
        """Remember that the server holds a copy which is to go, for the run after one that is killed."""
        # Not the name itself: with what is added, it could become too long for a file system.
        path = self.path / f".{hashlib.sha256(name.encode()).hexdigest()[:32]}{_PENDING}"
        with local(f"{path} cannot be written"):
            write_file(path, json.dumps({"collection": collection, "name": name}))
        return path

    def pending(self) -> Iterator[tuple[Path, str | None, str]]:
        """What killed runs left on the server."""
        for path in sorted(self.path.glob(f".*{_PENDING}")):
            try:
                with open_regular(path) as file:
                    note = json.loads(file.read(1 << 16))
                collection, name = note["collection"], safe_name(str(note["name"]))
            except (OSError, ValueError, KeyError, TypeError, QdrantError):
                path.unlink(missing_ok=True)
            else:
                yield path, None if collection is None else str(collection), name
