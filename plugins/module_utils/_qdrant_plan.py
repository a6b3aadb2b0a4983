# Copyright (c) 2026, Somos Infra maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a restore would do, and all that speaks against it. Changes nothing. Standard library only, no Ansible."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ._qdrant import Client
from ._qdrant_answers import Version
from ._qdrant_errors import QdrantError, RefusedError
from ._qdrant_record import Record
from ._qdrant_restore import Source, Step
from ._qdrant_store import Contents


@dataclass(frozen=True)
class Wanted:
    """One collection that should be as in its snapshot. None and empty stand for what nobody recorded."""

    collection: str
    source: Source
    contents: Contents | None = None
    config: Mapping[str, Any] = field(default_factory=dict)
    aliases: Mapping[str, str] = field(default_factory=dict)
    server_version: str | None = None


@dataclass(frozen=True)
class Rules:
    """*replace*: points may be replaced; *force*: do again what was done; *aliases*: ``missing``, ``all``, ``none``."""

    replace: bool = False
    force: bool = False
    any_version: bool = False
    aliases: str = "missing"


@dataclass(frozen=True)
class Plan:
    steps: Sequence[Step]
    unchanged: Sequence[str]
    warnings: Sequence[str]


def plan(client: Client, record: Record, wanted: Sequence[Wanted], rules: Rules) -> Plan:
    """Raises QdrantError at the first thing that forbids the restore: nothing has been changed by then."""
    client.refuse_cluster()
    server = client.version()
    collections, aliases = client.collections(), client.aliases()
    taken = {*collections, *(each.collection for each in wanted)}
    steps, unchanged, warnings = [], [], []
    for each in wanted:
        _check_name(client, each.collection, aliases)
        replaces = _points(client, record, each, rules) if each.collection in collections else None
        if not rules.force and _is_done(record, each, replaces):
            unchanged.append(each.collection)
            continue
        _check_version(each, server, rules)
        if replaces is not None:
            _check_replacement(client, record, each, replaces, rules)
        if each.contents is None:
            warnings.append(
                f"Collection {each.collection}: without a manifest nobody can tell which version its snapshot is of, "
                "how many points it should bring back, and which aliases it had."
            )
        chosen, notes = _aliases(each, aliases, taken, rules)
        warnings += notes
        steps.append(Step(each.collection, each.source, each.contents, replaces, chosen))
    return Plan(steps, unchanged, warnings)


def _points(client: Client, record: Record, wanted: Wanted, rules: Rules) -> int:
    """How many there are; a collection that is broken, perhaps by a restore that failed, counts as empty."""
    try:
        return client.count(wanted.collection)
    except RefusedError as error:
        if error.status != 500:
            raise
        if not rules.replace and not record.begun_with(wanted.collection, wanted.source.checksum):
            raise QdrantError(
                f"{error} What collection {wanted.collection} holds cannot be seen, and the restore would replace it. "
                "Set replace to true if that is what you want."
            ) from error
        return 0


def _is_done(record: Record, wanted: Wanted, points: int | None) -> bool:
    # A collection that lost everything since is not what was restored, whatever the record says.
    lost = points is None or (points == 0 and wanted.contents is not None and wanted.contents.points_after > 0)
    checksum = wanted.source.checksum
    return checksum is not None and record.restored(wanted.collection) == checksum and not lost


def _check_name(client: Client, collection: str, aliases: Mapping[str, str]) -> None:
    if collection in aliases:
        # The server would follow the alias, and overwrite what is behind it.
        raise QdrantError(
            f"{collection} is an alias of {aliases[collection]} on {client.url}: restoring a collection of that name "
            f"would overwrite {aliases[collection]}. Remove the alias first, or restore under another name."
        )


def _check_version(wanted: Wanted, server: Version, rules: Rules) -> None:
    if wanted.server_version is None or rules.any_version:
        return
    if not server.restores(Version(wanted.server_version)):
        raise QdrantError(
            f"The snapshot of collection {wanted.collection} is of Qdrant {wanted.server_version}, the server is "
            f"{server.text}. Qdrant restores into the same or the next minor version only. Start a server of "
            f"{wanted.server_version} and upgrade it minor by minor, or set allow_version_mismatch if you know better."
        )


def _check_replacement(client: Client, record: Record, wanted: Wanted, points: int, rules: Rules) -> None:
    name = wanted.collection
    if points and not rules.replace and not record.begun_with(name, wanted.source.checksum):
        raise QdrantError(
            f"Collection {name} on {client.url} holds {points} points, which the restore would replace. "
            "Set replace to true if that is what you want."
        )
    existing = None
    with contextlib.suppress(RefusedError):  # a broken one does not say what it is
        existing = client.collection(name)
    if existing is None or not wanted.config:
        return
    there, coming = _shape(existing.config), _shape(wanted.config)
    if there != coming:
        raise QdrantError(
            f"Collection {name} on {client.url} is made differently from its snapshot, and the server does not change "
            f"that: {there} there, {coming} in the snapshot. Delete the collection, or restore under another name."
        )


def _shape(config: Mapping[str, Any]) -> dict[str, Any]:
    """What the server compares, without what it fills in by itself: sizes, distances, the number of shards."""
    try:
        params = config.get("params") or {}
        vectors = params.get("vectors") or {}
        named = {"": vectors} if isinstance(vectors.get("size"), int) else vectors
        shape: dict[str, Any] = {
            f"vector {name}".rstrip(): f"{vector.get('size')} {vector.get('distance')}"
            for name, vector in sorted(named.items())
        }
        shape["sparse vectors"] = sorted(params.get("sparse_vectors") or {})
        shape["shards"] = params.get("shard_number", 1)
    except (AttributeError, TypeError) as error:
        raise QdrantError(f"The configuration of a collection cannot be read: {error}.") from error
    return shape


def _aliases(
    wanted: Wanted, existing: Mapping[str, str], taken: set[str], rules: Rules
) -> tuple[dict[str, str], list[str]]:
    chosen: dict[str, str] = {}
    warnings: list[str] = []
    if rules.aliases == "none":
        return chosen, warnings
    for alias in sorted(wanted.aliases):
        target = existing.get(alias)
        if alias in taken:
            raise QdrantError(
                f"Collection {wanted.collection} had an alias {alias}, and a collection of that name exists, or "
                "is restored too. Rename or delete that collection, or set restore_aliases to none."
            )
        if target in (None, wanted.collection) or rules.aliases == "all":
            if target != wanted.collection:
                chosen[alias] = wanted.collection
        else:
            warnings.append(
                f"Alias {alias} stays with collection {target}; in the snapshot it belonged to {wanted.collection}. "
                "Set restore_aliases to all to move it."
            )
    return chosen, warnings
