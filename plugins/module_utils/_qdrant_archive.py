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
import functools
import json
import re
import tarfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from ._qdrant_answers import safe_name
from ._qdrant_errors import LocalError, QdrantError
from ._qdrant_files import local, open_regular

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
    with local(f"The snapshot {path} cannot be read"), open_regular(path) as file:
        return _inspect(file, str(path))


def inspect_member(path: Path, name: str) -> Archive:
    """As :func:`inspect`, of a collection's snapshot inside that of a whole storage."""
    with local(f"The snapshot {path} cannot be read"), member(path, name) as file:
        archive = _inspect(file, f"{path}: {name}")
    if archive.kind != "collection":
        raise QdrantError(f"The snapshot {path} is refused: {name} in it is not one of a collection.")
    return archive


@contextlib.contextmanager
def member(path: Path, name: str) -> Iterator[IO[bytes]]:
    """A collection's snapshot inside that of a whole storage, readable and seekable in place."""
    with contextlib.ExitStack() as stack:
        try:
            with local(f"The snapshot {path} cannot be read"):
                file = stack.enter_context(open_regular(path))
                tar = stack.enter_context(tarfile.open(fileobj=file, mode="r:"))
                found = next((each for each in tar if _name(each, str(path)) == name), None)
                inner = tar.extractfile(found) if found else None
        except tarfile.TarError as error:
            raise LocalError(f"The snapshot {path} is damaged: {error}.") from error
        if inner is None:
            raise LocalError(f"The snapshot {path} names {name} but does not hold it.")
        yield inner


def _inspect(file: IO[bytes], place: str) -> Archive:
    names: set[str] = set()
    config: Any = None
    for info, member_of in _members(file, place):
        name = _name(info, place)
        names.add(name)
        if name == _CONFIG:
            config = _config(member_of(), info.size, place)
        elif _SEGMENT.fullmatch(name):
            _segment(member_of(), f"{place}: {name}")
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
    if info.size < 0 or name.startswith("/") or ".." in name.split("/"):
        raise QdrantError(f"The snapshot {place} is refused: {info.name!r} in it points outside.")
    return name


def _config(file: IO[bytes] | None, size: int, place: str) -> Any:
    if file is None or size > _MAX_CONFIG:
        raise QdrantError(f"The snapshot {place} is refused: its {_CONFIG} is {size} bytes long.")
    try:
        return json.loads(file.read())
    except (ValueError, RecursionError, tarfile.TarError) as error:
        raise QdrantError(f"The snapshot {place} is damaged: its {_CONFIG} cannot be read: {error}.") from error


def _segment(file: IO[bytes] | None, place: str) -> None:
    if file is None:
        raise QdrantError(f"The snapshot {place} is damaged: this is no file.")
    for info, _content in _members(file, place):
        _name(info, place)


def _members(file: IO[bytes], place: str) -> Iterator[tuple[tarfile.TarInfo, Callable[[], IO[bytes] | None]]]:
    """What is in a tar, each with its content. Raises QdrantError where it is damaged or cut off.

    Python takes a broken header, and the end of the file, for the end of the tar. That is two blocks of zeros.
    """
    try:
        with tarfile.open(fileobj=file, mode="r:") as tar:
            for info in tar:
                yield info, functools.partial(tar.extractfile, info)
            file.seek(tar.offset)
            end = file.read(2 * tarfile.BLOCKSIZE)
    except (tarfile.TarError, EOFError, ValueError, OverflowError, RecursionError) as error:
        raise QdrantError(f"The snapshot {place} is damaged or no snapshot at all: {error}.") from error
    if end != bytes(2 * tarfile.BLOCKSIZE):
        raise QdrantError(f"The snapshot {place} is damaged or cut off: it breaks off at byte {tar.offset}.")
