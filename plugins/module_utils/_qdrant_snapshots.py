# Copyright (c) 2026, Somos Infra maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the module qdrant_snapshot does. Private to this collection."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from typing import Any

from ansible_collections.somos.infra.plugins.module_utils._qdrant import Client, QdrantError, Snapshot, safe_name
from ansible_collections.somos.infra.plugins.module_utils._qdrant_backup import (
    Backup,
    Taken,
    expired,
    made_by_server,
    newest_age,
)
from ansible_collections.somos.infra.plugins.module_utils._qdrant_module import seconds
from ansible_collections.somos.infra.plugins.module_utils._qdrant_store import Manifest, Store


class Snapshots:
    """One run of the module: *params* are its options. The result grows as the run goes, so that a failure shows it."""

    def __init__(self, client: Client, params: Mapping[str, Any], *, check_mode: bool) -> None:
        self.client = client
        self.params = params
        self.check_mode = check_mode
        self.store = Store(params["dest"]) if params["dest"] else None
        self.max_age = seconds("max_age", params["max_age"])
        self.keep_for = seconds("keep_for", params["keep_for"])
        self.keep_last = params["keep_last"]
        if self.keep_last is not None and self.keep_last < 1:
            raise QdrantError(f"keep_last is {self.keep_last}; expected 1 or more: the newest snapshot always stays.")
        if params["storage"] and params["collections"]:
            raise QdrantError("storage and collections exclude each other: a snapshot of the storage has them all.")
        self.result: dict[str, Any] = {}

    def remember_in(self, result: dict[str, Any]) -> None:
        """Keep the result there, from now on."""
        self.result = result
        result.update(changed=False, removed=[])

    def present(self) -> None:
        """Make what is due, then prune. Raises QdrantError."""
        self.client.refuse_cluster()
        targets = self._targets()
        self.result["snapshots"] = []
        before = self._names(targets)
        if self.check_mode:
            for target in self._due(targets):
                self.result["snapshots"].append({"collection": target})
            self._prune(targets)
        else:
            backup = Backup(self.client, self.store, keep_on_server=self.params["keep_on_server"])
            with backup.locked():
                for target in self._due(targets):
                    self.result["snapshots"].append(_described(target, backup.take(target)))
                    self.result["changed"] = True
                self._prune(targets)
        made = [each.get("name", f"a new snapshot of {each['collection']}") for each in self.result["snapshots"]]
        self._conclude(before, made)

    def absent(self) -> None:
        """Delete the named snapshots. Raises QdrantError."""
        names = [safe_name(name) for name in self.params["names"]]
        if self.store:
            there = [name for name in names if self.store.holds(name)]
            before = sorted(manifest.snapshot for manifest, _ in self.store.judged())
        else:
            target = self._one_target()
            before = [snapshot.name for snapshot in self.client.snapshots(target)]
            there = [name for name in names if name in before]
        for name in there:
            if not self.check_mode:
                self.store.remove(name) if self.store else self.client.delete_snapshot(target, name)
            self.result["removed"].append(name)
        self._conclude(sorted({*before, *there}), [])

    def _targets(self) -> list[str | None]:
        if self.params["storage"]:
            return [None]
        collections = self.client.collections()
        aliases = self.client.aliases()
        named = self.params["collections"]
        wanted = collections if named is None else [aliases.get(name, name) for name in named]
        if missing := [name for name in wanted if name not in collections]:
            there = ", ".join(collections) or "no collection at all"
            raise QdrantError(f"{self.client.url} has no collection {', '.join(missing)}. It has {there}.")
        return list(dict.fromkeys(wanted))

    def _one_target(self) -> str | None:
        if self.params["storage"]:
            return None
        named = self.params["collections"] or []
        if len(named) != 1:
            raise QdrantError(f"collections names {len(named)} collections; to delete snapshots, name exactly one.")
        name: str = named[0]
        return name

    def _found(self, target: str | None) -> Sequence[Snapshot | Manifest]:
        """Snapshots of a target where this run keeps them, oldest first."""
        if self.store is None:
            return made_by_server(target, self.client.snapshots(target))
        kind = "storage" if target is None else "collection"
        return [each for each in self.store.manifests() if each.kind == kind and each.collection == target]

    def _names(self, targets: Sequence[str | None]) -> list[str]:
        return sorted(_name(each) for target in targets for each in self._found(target))

    def _due(self, targets: Sequence[str | None]) -> list[str | None]:
        if self.max_age is None:
            return list(targets)
        ages = {target: newest_age(self._found(target), _now()) for target in targets}
        return [target for target, age in ages.items() if age is None or age >= self.max_age]

    def _prune(self, targets: Sequence[str | None]) -> None:
        for target in targets:
            for old in self._expired(target, self._found(target)):
                if not self.check_mode:
                    self.store.remove(old) if self.store else self.client.delete_snapshot(target, old)
                self.result["removed"].append(old)
            if self.store and self.params["keep_on_server"]:
                copies = made_by_server(target, self.client.snapshots(target))
                for old in self._expired(target, copies):
                    if not self.check_mode:
                        self.client.delete_snapshot(target, old)

    def _expired(self, target: str | None, found: Sequence[Snapshot | Manifest]) -> list[str]:
        coming = int(self.check_mode and {"collection": target} in self.result["snapshots"])
        return expired(found, keep_last=self.keep_last, keep_for=self.keep_for, now=_now(), coming=coming)

    def _conclude(self, before: Sequence[str], made: Sequence[str]) -> None:
        removed = self.result["removed"]
        self.result["changed"] = bool(made or removed)
        after = [name for name in before if name not in removed] + list(made)
        self.result["diff"] = {"before": {"snapshots": list(before)}, "after": {"snapshots": after}}


def _described(target: str | None, taken: Taken) -> dict[str, Any]:
    return {
        "collection": target,
        "name": taken.snapshot.name,
        "path": str(taken.path) if taken.path else None,
        "size": taken.manifest.size,
        "checksum": taken.manifest.checksum or None,
        "verified": taken.manifest.verified,
        "points": {name: contents.points_after for name, contents in taken.manifest.collections.items()},
    }


def _name(each: Snapshot | Manifest) -> str:
    return each.snapshot if isinstance(each, Manifest) else each.name


def _now() -> datetime:
    return datetime.now(timezone.utc)
