# Copyright (c) 2026, Somos Infra maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""From a snapshot and its manifest to what should be restored, and where from.

Changes nothing by itself. Standard library only, no Ansible.
"""

from __future__ import annotations

import contextlib
import functools
import urllib.parse
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from ._qdrant import Client
from ._qdrant_archive import Archive, inspect, inspect_member, member
from ._qdrant_errors import QdrantError
from ._qdrant_files import checksum_of, file_checksum, local, open_regular
from ._qdrant_plan import Wanted
from ._qdrant_store import SUFFIX, Manifest, read_manifest


@dataclass(frozen=True)
class FileSource:
    """A snapshot on this host; *opened* gives *size* bytes, readable and seekable."""

    checksum: str
    size: int
    opened: Callable[[], contextlib.AbstractContextManager[IO[bytes]]]

    def restore(self, client: Client, collection: str, upload_name: str) -> None:
        with local("The snapshot cannot be read"), self.opened() as file:
            client.upload_snapshot(collection, upload_name, file, self.size, self.checksum)


@dataclass(frozen=True)
class LocationSource:
    """A snapshot that the server fetches by itself, from a URL or its own directory."""

    location: str = field(repr=False)  # a signed URL is a secret
    checksum: str | None
    api_key: str | None = field(default=None, repr=False)

    def restore(self, client: Client, collection: str, upload_name: str) -> None:
        client.recover_snapshot(collection, self.location, self.checksum, self.api_key)


def from_file(
    path: Path,
    *,
    manifest_path: Path | None = None,
    checksum: str | None = None,
    collections: Sequence[str] | None = None,
    rename: bool = False,
) -> list[Wanted]:
    """What *path* holds: a collection, or, taken apart, a whole storage.

    *collections* names the one to restore into, or those of a storage to restore. Without *manifest_path*, a manifest
    beside the file is used if there is one. Raises QdrantError for anything that is not as the manifest says.
    """
    archive = inspect(path)
    beside = path.with_name(path.name + SUFFIX)
    if manifest_path is None and (beside.exists() or beside.is_symlink()):
        manifest_path = beside
    manifest = read_manifest(manifest_path) if manifest_path else None
    with local(f"The snapshot {path} cannot be read"):
        size, found = file_checksum(path)
    for expected, whose in ((checksum, "checksum"), (manifest and manifest.checksum, f"its manifest {manifest_path}")):
        if expected and found != expected.lower():
            raise QdrantError(
                f"The snapshot {path} is not what it should be: its SHA-256 is {found}, {whose} says {expected}. "
                "It was damaged or exchanged; take another one."
            )
    if manifest and manifest.kind != archive.kind:
        raise QdrantError(f"The snapshot {path} is one of a {archive.kind}, its manifest is of a {manifest.kind}.")
    if archive.kind == "storage":
        return _members(path, archive, manifest, collections)
    source = FileSource(found, size, functools.partial(open_regular, path))
    target = _target(str(path), manifest, collections, rename)
    return [_wanted(target, source, archive.config, manifest)]


def from_location(
    location: str,
    *,
    manifest_path: Path | None = None,
    checksum: str | None = None,
    api_key: str | None = None,
    collections: Sequence[str] | None = None,
    rename: bool = False,
) -> list[Wanted]:
    """What the server should fetch by itself. Raises QdrantError without a checksum: nobody would notice damage."""
    parts = urllib.parse.SplitResult("", "", "", "", "")
    with contextlib.suppress(ValueError):
        parts = urllib.parse.urlsplit(location)
    if parts.scheme not in ("http", "https", "file") or not parts.path:
        raise QdrantError("location is not a URL with http, https or file that the server could read a snapshot from.")
    manifest = read_manifest(manifest_path) if manifest_path else None
    if manifest and manifest.kind == "storage":
        raise QdrantError(
            f"The manifest {manifest_path} is of a whole storage, which a server restores at its start only. "
            "Fetch the snapshot and name it in src: it will be taken apart."
        )
    agreed = (checksum or (manifest.checksum if manifest else "")).lower()
    if not agreed:
        raise QdrantError("checksum is missing, and there is no manifest that has it: damage would go unnoticed.")
    if manifest and agreed != manifest.checksum:
        raise QdrantError(f"checksum is {agreed}, but the manifest {manifest_path} says {manifest.checksum}.")
    source = LocationSource(location, agreed, api_key)
    name = f"{parts.path.rpartition('/')[2]} from {parts.hostname or 'the server itself'}"
    target = _target(name, manifest, collections, rename)
    return [_wanted(target, source, {}, manifest)]


def _wanted(
    target: str, source: FileSource | LocationSource, config: Mapping[str, Any], manifest: Manifest | None
) -> Wanted:
    if manifest is None or manifest.collection is None:
        return Wanted(target, source, config=config)
    contents = manifest.collections[manifest.collection]
    # Under another name it is a copy: the aliases stay with the original.
    aliases = {alias: of for alias, of in manifest.aliases.items() if of == target}
    return Wanted(target, source, contents, config or contents.config, aliases, manifest.server_version)


def _members(
    path: Path, archive: Archive, manifest: Manifest | None, collections: Sequence[str] | None
) -> list[Wanted]:
    if manifest and (lost := sorted(set(manifest.collections) - set(archive.members))):
        raise QdrantError(f"The snapshot {path} does not hold {', '.join(lost)}, which its manifest says it does.")
    chosen = sorted(archive.members) if collections is None else list(dict.fromkeys(collections))
    if missing := [name for name in chosen if name not in archive.members]:
        raise QdrantError(
            f"The snapshot {path} does not hold {', '.join(missing)}. It holds {', '.join(sorted(archive.members))}."
        )
    wanted = []
    for collection in chosen:
        name = archive.members[collection]
        config = inspect_member(path, name).config
        with local(f"The snapshot {path} cannot be read"), member(path, name) as file:
            size, checksum = checksum_of(file)
        source = FileSource(checksum, size, functools.partial(member, path, name))
        # What the server wrote into the snapshot is of its moment; the manifest is of the one before.
        contents = manifest.collections.get(collection) if manifest else None
        aliases = {alias: of for alias, of in archive.aliases.items() if of == collection}
        version = manifest.server_version if manifest else None
        wanted.append(Wanted(collection, source, contents, config, aliases, version))
    return wanted


def _target(what: str, manifest: Manifest | None, collections: Sequence[str] | None, rename: bool) -> str:
    recorded = manifest.collection if manifest else None
    if collections is not None and len(collections) != 1:
        raise QdrantError(f"collections names {len(collections)} collections; the snapshot {what} holds one.")
    target = collections[0] if collections else recorded
    if target is None:
        raise QdrantError(f"The snapshot {what} has no manifest, and alone it does not say which collection it is of.")
    if recorded is not None and target != recorded and not rename:
        raise QdrantError(
            f"The snapshot {what} is of collection {recorded}, not of {target}. "
            "Set rename to true if a copy under another name is what you want."
        )
    return target
