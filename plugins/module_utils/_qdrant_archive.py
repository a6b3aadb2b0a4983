# Copyright (c) 2026, Somos Infra maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is inside a snapshot file: judged before a server is trusted with it. Standard library only, no Ansible.

A collection's snapshot is a tar: ``config.json``, and for each shard a directory with ``shard_config.json`` and its
segments, each a tar again. A snapshot of the whole storage is a tar of those; its ``config.json`` names them and holds
the aliases (Qdrant 1.19, lib/collection and src/snapshots). Only headers are read: gigabytes take a moment.
"""

from __future__ import annotations

import contextlib
import io
import json
import re
import tarfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from ._qdrant import QdrantError, safe_name
from ._qdrant_transfer import open_regular

_CONFIG = "config.json"
_MAX_CONFIG = 16 << 20
_SHARD = re.compile(r"\d+/shard_config\.json")
_SEGMENT = re.compile(r"\d+/segments/[^/]+\.tar")
_KINDS = (tarfile.REGTYPE, tarfile.AREGTYPE, tarfile.DIRTYPE, tarfile.GNUTYPE_SPARSE)


@dataclass(frozen=True)
class Archive:
    """A snapshot's table of contents.

    *config* is a collection's configuration, empty for the whole storage; *members* is, for the whole storage,
    collection → name of its snapshot inside, and *aliases* alias → collection.
    """

    kind: str
    config: Mapping[str, Any] = field(default_factory=dict)
    members: Mapping[str, str] = field(default_factory=dict)
    aliases: Mapping[str, str] = field(default_factory=dict)


def inspect(path: Path) -> Archive:
    """Raises QdrantError for a file that no server would restore, or that a server should not be asked to."""
    try:
        with open_regular(path) as file:
            return _inspect(file, str(path))
    except OSError as error:
        raise QdrantError(f"The snapshot {path} cannot be read: {error.strerror or error}.") from error


def inspect_member(path: Path, name: str) -> Archive:
    """As :func:`inspect`, of a collection's snapshot inside that of a whole storage."""
    with member(path, name) as file:
        return _inspect(file, f"{path}: {name}")


@contextlib.contextmanager
def member(path: Path, name: str) -> Iterator[IO[bytes]]:
    """A collection's snapshot inside that of a whole storage, readable and seekable in place."""
    with open_regular(path) as file, tarfile.open(fileobj=file, mode="r:") as tar:
        for info in tar:
            inner = tar.extractfile(info) if info.isreg() and _name(info, str(path)) == name else None
            if inner is not None:
                yield inner
                return
    raise QdrantError(f"The snapshot {path} names {name} but does not hold it.")


def _inspect(file: IO[bytes], place: str) -> Archive:
    names: set[str] = set()
    config: Any = None
    try:
        _whole(file, place)
        with tarfile.open(fileobj=file, mode="r:") as tar:
            for info in tar:
                name = _name(info, place)
                names.add(name)
                if name == _CONFIG:
                    config = _config(tar.extractfile(info), info.size, place)
                elif _SEGMENT.fullmatch(name):
                    _segment(tar.extractfile(info), f"{place}: {name}")
    except (tarfile.TarError, EOFError) as error:
        raise QdrantError(f"The snapshot {place} is damaged or no snapshot at all: {error}.") from error
    if not isinstance(config, dict):
        raise QdrantError(f"{place} is no snapshot of Qdrant: it has no {_CONFIG}.")
    if "collections_mapping" in config:
        return _storage(config, names, place)
    if not any(_SHARD.fullmatch(name) for name in names):
        raise QdrantError(f"The snapshot {place} holds no shard: it is damaged, or was made by another program.")
    return Archive("collection", config)


def _storage(config: Mapping[str, Any], names: set[str], place: str) -> Archive:
    mapping, aliases = config["collections_mapping"], config.get("collections_aliases", {})
    for table in (mapping, aliases):
        if not isinstance(table, dict) or not all(isinstance(value, str) for value in table.values()):
            raise QdrantError(f"The snapshot {place} is damaged: its {_CONFIG} does not say what it holds.")
    for collection, name in mapping.items():
        if safe_name(name) not in names:
            raise QdrantError(f"The snapshot {place} names {name} for collection {collection} but does not hold it.")
    for alias, collection in aliases.items():
        if collection not in mapping:
            raise QdrantError(f"The snapshot {place} has an alias {alias} of collection {collection}, which it lacks.")
    return Archive("storage", members=dict(mapping), aliases=dict(aliases))


def _name(info: tarfile.TarInfo, place: str) -> str:
    name = info.name.removeprefix("./")
    if info.type not in _KINDS:
        raise QdrantError(f"The snapshot {place} is refused: {info.name!r} in it is neither a file nor a directory.")
    if name.startswith("/") or ".." in name.split("/"):
        raise QdrantError(f"The snapshot {place} is refused: {info.name!r} in it points outside.")
    return name


def _config(file: IO[bytes] | None, size: int, place: str) -> Any:
    if file is None or size > _MAX_CONFIG:
        raise QdrantError(f"The snapshot {place} is refused: its {_CONFIG} is {size} bytes long.")
    try:
        return json.loads(file.read())
    except ValueError as error:
        raise QdrantError(f"The snapshot {place} is damaged: its {_CONFIG} is no JSON: {error}.") from error


def _segment(file: IO[bytes] | None, place: str) -> None:
    if file is None:
        raise QdrantError(f"{place} is no file.")
    _whole(file, place)
    with tarfile.open(fileobj=file, mode="r:") as tar:
        for info in tar:
            _name(info, place)


def _whole(file: IO[bytes], place: str) -> None:
    """A tar ends in two blocks of zeros; one that was cut at the end of a file in it would seem complete otherwise."""
    length = file.seek(0, io.SEEK_END)
    file.seek(max(0, length - 1024))
    end = file.read(1024)
    file.seek(0)
    if len(end) < 1024 or any(end):
        raise QdrantError(f"The snapshot {place} is cut off or no snapshot at all: it does not end as one does.")
