# Copyright (c) 2026, Somos Infra maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""From a snapshot and its manifest to what should be restored. Changes nothing. Standard library only, no Ansible."""

from __future__ import annotations

import functools
import hashlib
import urllib.parse
from collections.abc import Sequence
from pathlib import Path

from ._qdrant import QdrantError
from ._qdrant_archive import Archive, inspect, inspect_member, member
from ._qdrant_plan import Wanted
from ._qdrant_restore import FileSource, LocationSource, opened
from ._qdrant_store import SUFFIX, Manifest, read_manifest
from ._qdrant_transfer import CHUNK, file_checksum


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
    size, found = _measured(path)
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
    source = FileSource(found, size, functools.partial(opened, path))
    target = _target(str(path), manifest, collections, rename)
    return [_wanted(target, source, archive, manifest, manifest.collection if manifest else None)]


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
    parts = urllib.parse.urlsplit(location)
    if parts.scheme not in ("http", "https", "file") or not parts.path:
        raise QdrantError("location is not a URL with http, https or file that the server could read a snapshot from.")
    manifest = read_manifest(manifest_path) if manifest_path else None
    if manifest and manifest.kind == "storage":
        raise QdrantError(
            f"The manifest {manifest_path} is of a whole storage, which a server restores at its start only. "
            "Fetch the snapshot and name it in src: it will be taken apart."
        )
    agreed = checksum or (manifest.checksum if manifest else None)
    if not agreed or (manifest and agreed.lower() != manifest.checksum):
        raise QdrantError("checksum is missing, or not the one in the manifest. Without it damage would go unnoticed.")
    source = LocationSource(location, agreed.lower(), api_key)
    name = f"{parts.path.rpartition('/')[2]} from {parts.hostname or 'the server itself'}"
    target = _target(name, manifest, collections, rename)
    return [_wanted(target, source, None, manifest, manifest.collection if manifest else None)]


def _wanted(
    target: str,
    source: FileSource | LocationSource,
    archive: Archive | None,
    manifest: Manifest | None,
    recorded: str | None,
) -> Wanted:
    if manifest is None or recorded is None:
        return Wanted(target, source, config=archive.config if archive else {})
    contents = manifest.collections[recorded]
    # Under another name it is a copy: the aliases stay with the original.
    aliases = {alias: target for alias, of in manifest.aliases.items() if of == recorded == target}
    return Wanted(target, source, contents, contents.config, aliases, manifest.server_version)


def _members(
    path: Path, archive: Archive, manifest: Manifest | None, collections: Sequence[str] | None
) -> list[Wanted]:
    if manifest and (set(manifest.collections) != set(archive.members) or manifest.aliases != archive.aliases):
        raise QdrantError(f"The snapshot {path} holds other collections or aliases than its manifest says.")
    chosen = sorted(archive.members) if collections is None else list(collections)
    if missing := [name for name in chosen if name not in archive.members]:
        raise QdrantError(
            f"The snapshot {path} does not hold {', '.join(missing)}. It holds {', '.join(sorted(archive.members))}."
        )
    wanted = []
    for collection in chosen:
        name = archive.members[collection]
        inner = inspect_member(path, name)
        size, checksum = _measured_member(path, name)
        source = FileSource(checksum, size, functools.partial(member, path, name))
        if manifest:
            wanted.append(_wanted(collection, source, inner, manifest, collection))
        else:
            aliases = {alias: of for alias, of in archive.aliases.items() if of == collection}
            wanted.append(Wanted(collection, source, config=inner.config, aliases=aliases))
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


def _measured(path: Path) -> tuple[int, str]:
    try:
        return file_checksum(path)
    except OSError as error:
        raise QdrantError(f"The snapshot {path} cannot be read: {error.strerror or error}.") from error


def _measured_member(path: Path, name: str) -> tuple[int, str]:
    digest, size = hashlib.sha256(), 0
    with member(path, name) as file:
        for chunk in iter(lambda: file.read(CHUNK), b""):
            digest.update(chunk)
            size += len(chunk)
    return size, digest.hexdigest()
