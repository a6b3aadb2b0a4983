"""What a restore would do, and what speaks against it."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
from qdrant_fake import CONFIG, Fake, refusal

from ansible_collections.somos.infra.plugins.module_utils._qdrant import QdrantError, RefusedError, Version
from ansible_collections.somos.infra.plugins.module_utils._qdrant_plan import Plan, Rules, Wanted, plan
from ansible_collections.somos.infra.plugins.module_utils._qdrant_record import Record
from ansible_collections.somos.infra.plugins.module_utils._qdrant_sources import LocationSource
from ansible_collections.somos.infra.plugins.module_utils._qdrant_store import Contents

CHECKSUM = "ab" * 32


@pytest.fixture
def record(tmp_path: Path) -> Record:
    return Record(str(tmp_path / "restored.json"), "http://fake")


def wanted(collection: str = "documents", **changes: Any) -> Wanted:
    values: dict[str, Any] = {
        "source": LocationSource("file:///x.snapshot", CHECKSUM),
        "contents": Contents(10, 10),
        "config": CONFIG,
        "aliases": {},
        "server_version": "1.19.0",
    }
    return Wanted(collection, **{**values, **changes})


def decide(server: Fake, record: Record, *what: Wanted, **rules: Any) -> Plan:
    decided = plan(server, record, what or [wanted()], Rules(**rules))
    changing = ("create", "delete", "change", "upload")
    assert not [call for call in server.calls if call.startswith(changing)], "a plan changes nothing"
    return decided


def refused(server: Fake, record: Record, *what: Wanted, **rules: Any) -> str:
    with pytest.raises(QdrantError) as caught:
        decide(server, record, *what, **rules)
    return str(caught.value)


def test_what_is_not_there_is_restored(record: Record) -> None:
    decided = decide(Fake(), record, wanted(aliases={"docs": "documents"}))
    (step,) = decided.steps
    assert (step.collection, step.replaces, step.aliases) == ("documents", None, {"docs": "documents"})
    assert step.contents == Contents(10, 10) and step.source.checksum == CHECKSUM
    assert (decided.unchanged, decided.warnings) == ([], [])


def test_an_empty_collection_may_be_replaced(record: Record) -> None:
    assert decide(Fake(documents=0), record).steps[0].replaces == 0


def test_points_have_to_be_meant_to_be_replaced(record: Record) -> None:
    message = refused(Fake(documents=3), record)
    assert "Collection documents on http://fake holds 3 points" in message and "Set replace to true" in message
    assert decide(Fake(documents=3), record, replace=True).steps[0].replaces == 3


def test_what_was_restored_is_not_restored_again(record: Record) -> None:
    record.finish("documents", CHECKSUM)
    decided = decide(Fake(documents=3), record)
    assert (decided.steps, decided.unchanged) == ([], ["documents"])
    assert decide(Fake(documents=3), record, force=True, replace=True).unchanged == []
    assert "Set replace" in refused(Fake(documents=3), record, force=True), "that is not said by force"


@pytest.mark.parametrize(
    ("server", "contents"), [(Fake(), Contents(10, 10)), (Fake(documents=0), Contents(10, 10)), (Fake(), None)]
)
def test_what_was_lost_since_is(record: Record, server: Fake, contents: Contents | None) -> None:
    record.finish("documents", CHECKSUM)
    assert len(decide(server, record, wanted(contents=contents)).steps) == 1


@pytest.mark.parametrize("contents", [Contents(0, 0), None])
def test_an_empty_collection_that_may_be_empty_is_not_lost(record: Record, contents: Contents | None) -> None:
    record.finish("documents", CHECKSUM)
    assert decide(Fake(documents=0), record, wanted(contents=contents)).unchanged == ["documents"]


def test_another_snapshot_is_another_restore(record: Record) -> None:
    record.finish("documents", "cd" * 32)
    assert "Set replace" in refused(Fake(documents=3), record)


def test_without_a_checksum_nothing_is_known_to_be_done(record: Record) -> None:
    record._change("documents", {"state": "done", "checksum": None})
    server = Fake(documents=3)
    assert len(decide(server, record, wanted(source=LocationSource("file:///x", None)), replace=True).steps) == 1


def test_a_restore_that_was_begun_goes_on_without_being_meant_again(record: Record) -> None:
    record.begin("documents", CHECKSUM, None)
    assert decide(Fake(documents=3), record).steps[0].replaces == 3
    record.begin("documents", "cd" * 32, None)
    assert "Set replace" in refused(Fake(documents=3), record), "but not that of another snapshot"


def test_an_alias_is_not_followed(record: Record) -> None:
    server = Fake(current=3)
    server.alias_table = {"documents": "current"}
    message = refused(server, record, replace=True, force=True)
    assert "documents is an alias of current" in message and "would overwrite current" in message


@pytest.mark.parametrize(("server", "snapshot"), [("1.19.0", "1.17.1"), ("1.18.0", "1.19.0"), ("2.0.0", "1.19.0")])
def test_versions_that_do_not_fit(record: Record, server: str, snapshot: str) -> None:
    one = Fake()
    one.server = Version(server)
    message = refused(one, record, wanted(server_version=snapshot))
    assert f"is of Qdrant {snapshot}, the server is {server}." in message and "allow_version_mismatch" in message
    assert len(decide(one, record, wanted(server_version=snapshot), any_version=True).steps) == 1


def test_what_nobody_recorded_is_warned_of(record: Record) -> None:
    decided = decide(Fake(), record, wanted(contents=None, server_version=None))
    assert len(decided.steps) == 1
    (warning,) = decided.warnings
    assert warning.startswith("Collection documents: without a manifest nobody can tell")


# Whether it fits what is there.


def other(**params: Any) -> dict[str, Any]:
    config = copy.deepcopy(CONFIG)
    config["params"].update(params)
    return config


@pytest.mark.parametrize(
    ("config", "told"),
    [
        (other(vectors={"size": 8, "distance": "Cosine"}), "'vector': '8 Cosine'"),
        (other(vectors={"size": 4, "distance": "Dot"}), "'vector': '4 Dot'"),
        (other(vectors={"text": {"size": 4, "distance": "Cosine"}}), "'vector text': '4 Cosine'"),
        (other(vectors={"size": {"size": 4, "distance": "Cosine"}}), "'vector size': '4 Cosine'"),
        (other(vectors={}), "'shards': 1"),
        (other(shard_number=3), "'shards': 3"),
        (other(sparse_vectors={"words": {}}), "'sparse vectors': ['words']"),
    ],
)
def test_a_collection_that_is_made_differently(record: Record, config: dict[str, Any], told: str) -> None:
    message = refused(Fake(documents=3), record, wanted(config=config), replace=True)
    assert "is made differently from its snapshot" in message and told in message.partition("there, ")[2]


@pytest.mark.parametrize("config", [{}, other(on_disk_payload=False), other(replication_factor=2)])
def test_what_the_server_does_not_compare_may_differ(record: Record, config: dict[str, Any]) -> None:
    assert len(decide(Fake(documents=3), record, wanted(config=config), replace=True).steps) == 1


@pytest.mark.parametrize("params", [[1], "x", {"vectors": [1]}, {"vectors": {"a": 3}}, {"sparse_vectors": 3}])
def test_a_configuration_that_is_none_is_no_crash(record: Record, params: Any) -> None:
    message = refused(Fake(documents=3), record, wanted(config={"params": params}), replace=True)
    assert "The configuration of a collection cannot be read" in message


# A collection that is broken.


def broken() -> Fake:
    server = Fake(documents=3)
    server.failing("count", refusal(500, "shard is dummy"))
    server.failing("collection", refusal(500, "shard is dummy"))
    return server


def test_a_collection_that_cannot_be_counted_is_not_taken_for_empty(record: Record) -> None:
    """It may well hold points: it is not replaced unless that is meant, or was begun."""
    message = refused(broken(), record)
    assert "shard is dummy" in message and "cannot be seen, and the restore would replace it" in message
    assert decide(broken(), record, replace=True).steps[0].replaces == 0
    record.begin("documents", CHECKSUM, None)
    assert decide(broken(), record).steps[0].replaces == 0


def test_other_refusals_are_told(record: Record) -> None:
    server = Fake(documents=3)
    server.failing("count", refusal(403))
    with pytest.raises(RefusedError):
        decide(server, record, replace=True)


def test_a_cluster_is_refused_first(record: Record) -> None:
    server = Fake(documents=3)
    server.failing("refuse_cluster", QdrantError("is one of 2 peers"))
    assert refused(server, record) == "is one of 2 peers"
    assert server.calls == ["refuse_cluster"]


# Aliases.


def chosen(record: Record, existing: dict[str, str], rule: str, **server: int) -> tuple[dict[str, str], list[str]]:
    one = Fake(**server)
    one.alias_table = existing
    decided = decide(one, record, wanted(aliases={"docs": "documents"}), aliases=rule)
    return dict(decided.steps[0].aliases), list(decided.warnings)


@pytest.mark.parametrize("rule", ["missing", "all"])
def test_an_alias_that_is_missing_is_set(record: Record, rule: str) -> None:
    assert chosen(record, {}, rule) == ({"docs": "documents"}, [])


@pytest.mark.parametrize("rule", ["missing", "all", "none"])
def test_an_alias_that_is_right_stays(record: Record, rule: str) -> None:
    assert chosen(record, {"docs": "documents"}, rule) == ({}, [])


def test_an_alias_that_moved_on_is_moved_back_only_if_that_is_meant(record: Record) -> None:
    aliases, warnings = chosen(record, {"docs": "newer"}, "missing", newer=1)
    assert aliases == {} and warnings[0].startswith("Alias docs stays with collection newer; in the snapshot it")
    assert chosen(record, {"docs": "newer"}, "all", newer=1) == ({"docs": "documents"}, [])
    assert chosen(record, {"docs": "newer"}, "none", newer=1) == ({}, [])


def test_an_alias_that_is_a_collection_by_now(record: Record) -> None:
    what = wanted(aliases={"docs": "documents"})
    assert "had an alias docs, and a collection of that name exists" in refused(Fake(docs=1), record, what)
    assert decide(Fake(docs=1), record, what, aliases="none").steps[0].aliases == {}


def test_an_alias_that_will_be_a_collection(record: Record) -> None:
    """Else its restore would follow the alias, and overwrite the collection before it."""
    both = [wanted("a", aliases={"b": "a"}), wanted("b")]
    assert "or is restored too" in refused(Fake(), record, *both)


def test_nothing_is_decided_in_part(record: Record) -> None:
    server = Fake(b=3)
    refused(server, record, wanted("a"), wanted("b"))
    decided = decide(Fake(b=3, c=0), record, wanted("a"), wanted("b"), wanted("c"), replace=True)
    assert [(step.collection, step.replaces) for step in decided.steps] == [("a", None), ("b", 3), ("c", 0)]
