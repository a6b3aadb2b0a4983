"""All state of the server on disk, in its own layout.

storage/collections/<name>/    one collection each, see collection.py
storage/aliases/data.json      alias → collection
storage/raft_state.json        who this server is: its id is in the names of snapshots
storage/tmp/                   archives in the making, emptied at start
snapshots/<name>/              snapshots of a collection, which outlive it
snapshots/                     snapshots of everything
"""

from __future__ import annotations

import json
import random
import shutil
import threading
from typing import Any

from .collection import Collection, new_config, write_json
from .errors import ApiError, bad_input, invalid, not_found
from .settings import Settings

_FORBIDDEN_IN_NAMES = set('<>:"/\\|?*\0\x1f')


class Storage:
    """`lock` is held while the lists of collections and aliases are read or changed, never while a collection works."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.lock = threading.RLock()
        for directory in (settings.work_path, settings.upload_path):
            shutil.rmtree(directory, ignore_errors=True)
            directory.mkdir(parents=True)
        for directory in (settings.collections_path, settings.snapshots_path):
            directory.mkdir(parents=True, exist_ok=True)
        self.peer = peer_id(settings)
        self.aliases = read_aliases(settings)
        self._collections: dict[str, Collection] = {}
        for directory in sorted(settings.collections_path.iterdir()):
            if (directory / "config.json").exists():
                self._collections[directory.name] = Collection.load(directory)
            else:  # its creation or removal was cut off
                shutil.rmtree(directory)

    def names(self) -> list[str]:
        return sorted(self._collections)

    def all(self) -> list[Collection]:
        with self.lock:
            return list(self._collections.values())

    def exists(self, name: str) -> bool:
        with self.lock:
            return self.aliases.get(name, name) in self._collections

    def get(self, name: str) -> Collection:
        """The collection behind a name, which may be an alias."""
        with self.lock:
            collection = self._collections.get(self.aliases.get(name, name))
        if collection is None:
            raise not_found(f"Collection `{name}` doesn't exist!")
        return collection

    def create(self, name: str, vectors: dict[str, Any]) -> Collection:
        return self.create_from(name, new_config(vectors))

    def create_from(self, name: str, config: dict[str, Any]) -> Collection:
        """A collection with the configuration of another, for example of one that is in a snapshot."""
        check_new_name(name)
        with self.lock:
            if name in self._collections:
                raise ApiError(409, f"Wrong input: Collection `{name}` already exists!")
            if name in self.aliases:
                raise bad_input(f"Can't create collection with name {name}. Alias with the same name already exists")
            self._collections[name] = Collection.create(self.settings.collections_path / name, config, self.peer)
            return self._collections[name]

    def drop(self, name: str) -> bool:
        with self.lock:
            collection = self._collections.pop(name, None)
            if collection is None:
                return False
            self.set_aliases({alias: target for alias, target in self.aliases.items() if target != name})
        collection.remove()
        return True

    def set_aliases(self, aliases: dict[str, str]) -> None:
        write_aliases(self.settings, aliases)
        self.aliases = aliases

    def close(self) -> None:
        for collection in self.all():
            with collection.lock:
                collection.shard.close()


def check_new_name(name: str) -> None:
    if not 1 <= len(name) <= 255 or name in (".", "..") or _FORBIDDEN_IN_NAMES & set(name):
        raise invalid("path parameters", f"collection_name: invalid collection name {name!r}")


def peer_id(settings: Settings) -> int:
    """Drawn once for a storage."""
    path = settings.storage_path / "raft_state.json"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        write_json(path, {"this_peer_id": random.randint(1, 1 << 53)})
    return int(json.loads(path.read_text())["this_peer_id"])


def read_aliases(settings: Settings) -> dict[str, str]:
    path = settings.aliases_path
    return dict(json.loads(path.read_text())) if path.exists() else {}


def write_aliases(settings: Settings, aliases: dict[str, str]) -> None:
    settings.aliases_path.parent.mkdir(parents=True, exist_ok=True)
    write_json(settings.aliases_path, aliases)
