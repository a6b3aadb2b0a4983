"""Snapshots of everything: made by the API, put back only when the server starts."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NoReturn

from . import archive
from .errors import ApiError, io_error
from .recovery import restore
from .settings import Settings
from .snapshots import Snapshots, store, timestamp
from .storage import peer_id, read_aliases, write_aliases


def create(snapshots: Snapshots) -> dict[str, Any]:
    """One collection after the other, not all at one moment.

    Their snapshots are moved away from where snapshots of collections are, and with them one that somebody else made in
    the same second; their checksums stay behind.
    """
    storage = snapshots.storage
    made = {collection.name: snapshots.create(collection.name)["name"] for collection in storage.all()}
    file = f"full-snapshot-{timestamp()}.snapshot"
    with snapshots.workspace(f"{file}-") as work:
        for collection, snapshot in made.items():
            try:
                shutil.move(storage.settings.snapshots_path / collection / snapshot, work / snapshot)
            except FileNotFoundError as error:
                raise io_error(f"{error.strerror} (os error 2)") from error
        aliases = {alias: collection for alias, collection in storage.aliases.items() if collection in made}
        config = {"collections_mapping": made, "collections_aliases": aliases}
        (work / "config.json").write_text(json.dumps(config, indent=2))
        archive.write(work / "archive", work, [*made.values(), "config.json"])
        return store(work / "archive", storage.settings.snapshots_path / file)


def recover_at_start(settings: Settings, everything: str | None, collections: Iterable[str], force: bool) -> None:
    """What `--storage-snapshot` or else `--snapshot` ask for. The server that cannot do it panics."""
    if everything is not None:
        _recover_everything(settings, Path(everything), force)
        return
    for argument in collections:
        path, _, name = argument.rpartition(":")
        if not path and ":" in argument:
            _panic(f"Snapshot path is missing: {argument}")
        if not path or not name:
            _panic(f"Collection name is missing: {argument}")
        if "/" in name or "\\" in name:
            _panic(f"Collection name must not contain slashes: {argument}")
        _recover_collection(settings, Path(path), name, force)


def _recover_everything(settings: Settings, path: Path, force: bool) -> None:
    # A panic leaves this directory behind, and then it is in the way of the next attempt. So it is with the server.
    unpacked = settings.temp_path or settings.storage_path / "snapshots_recovery_tmp"
    try:
        archive.unpack(path, unpacked)
        config = json.loads((unpacked / "config.json").read_text())
    except (OSError, ValueError) as error:
        _panic(f"called `Result::unwrap()` on an `Err` value: {error}")
    for name, file in config["collections_mapping"].items():
        _recover_collection(settings, unpacked / file, name, force)
    aliases = read_aliases(settings)
    for alias, collection in config.get("collections_aliases", {}).items():
        if alias in aliases and not force:
            _panic(f"Alias {alias} already exists. Use --force-snapshot to overwrite it.")
        aliases[alias] = collection
        write_aliases(settings, aliases)
    shutil.rmtree(unpacked)


def _recover_collection(settings: Settings, path: Path, name: str, force: bool) -> None:
    directory = settings.collections_path / name
    if directory.exists() and not force:
        _panic(f"Collection {name} already exists. Use --force-snapshot to overwrite it.")
    unpacked = settings.temp_path or directory.with_suffix(".tmp")
    try:
        archive.unpack(path, unpacked)
        restore(unpacked, peer_id(settings))
    except (OSError, ApiError) as error:
        _panic(f"Failed to recover snapshot {name}: {error}")
    if directory.exists():
        shutil.rmtree(directory)
    unpacked.rename(directory)


def _panic(message: str) -> NoReturn:
    print(f"Panic occurred in file src/snapshots.rs: {message}", file=sys.stderr, flush=True)
    sys.exit(101)
