"""Qdrant's own client against the double: what it asks is understood, and it understands the answers."""

from __future__ import annotations

import importlib.metadata
import uuid
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from qdrant_client import QdrantClient, models
from qdrant_client.common.version_check import is_compatible
from qdrant_client.http.exceptions import UnexpectedResponse
from running_double import Double, Settings, recover_at_start

UUID = str(uuid.UUID(int=7))


@pytest.fixture
def settings(settings: Settings) -> Settings:
    # With a key, the client warns that it is sent in the clear; keys are the concern of other tests.
    return replace(settings, api_key=None, alt_api_key=None, read_only_api_key=None)


@pytest.fixture
def client(double: Double) -> Iterator[QdrantClient]:
    # Its check of the version runs in the background, and may find the server gone after a short test.
    client = QdrantClient(url=double.url, timeout=30, check_compatibility=False)
    yield client
    client.close()


@pytest.fixture
def texts(client: QdrantClient) -> QdrantClient:
    """With a collection of three points, an index on `kind`, and the alias `live`."""
    client.create_collection("texts", models.VectorParams(size=2, distance=models.Distance.DOT))
    client.create_payload_index("texts", "kind", models.PayloadSchemaType.KEYWORD, wait=True)
    points = [
        models.PointStruct(id=1, vector=[1, 0], payload={"kind": "a"}),
        models.PointStruct(id=UUID, vector=[0, 1], payload={"kind": "b"}),
        models.PointStruct(id=3, vector=[0.5, 0.5]),
    ]
    assert client.upsert("texts", points, wait=True).status == models.UpdateStatus.COMPLETED
    client.update_collection_aliases([_alias("live", "texts")])
    return client


def _alias(alias: str, collection: str) -> models.CreateAliasOperation:
    return models.CreateAliasOperation(create_alias=models.CreateAlias(collection_name=collection, alias_name=alias))


def everything(client: QdrantClient, collection: str) -> list[Any]:
    records, following = client.scroll(collection, limit=100, with_vectors=True)
    assert following is None
    return sorted(records, key=lambda record: str(record.id))


def nearest(client: QdrantClient, collection: str) -> list[tuple[Any, float]]:
    found = client.query_points(collection, query=[0.1, 0.9], limit=2, with_payload=True)
    return [(point.id, round(point.score, 6)) for point in found.points]


def test_the_version_is_one_that_the_client_works_with(client: QdrantClient) -> None:
    assert is_compatible(importlib.metadata.version("qdrant-client"), client.info().version)


def test_points_are_found_scrolled_counted_and_removed(texts: QdrantClient) -> None:
    assert nearest(texts, "texts") == [(UUID, 0.9), (3, 0.5)]
    kind = models.Filter(must=[models.FieldCondition(key="kind", match=models.MatchValue(value="a"))])
    assert [point.id for point in texts.query_points("live", query=[0.1, 0.9], query_filter=kind).points] == [1]
    assert [record.id for record in texts.retrieve("texts", ids=[1, UUID])] == [1, UUID]
    first, following = texts.scroll("texts", limit=2)
    rest, _ = texts.scroll("texts", offset=following)
    assert len(first + rest) == texts.count("texts").count == 3
    texts.delete("texts", points_selector=[1, 3], wait=True)
    assert [record.id for record in everything(texts, "texts")] == [UUID]


def test_collections_and_indexes_are_described(texts: QdrantClient) -> None:
    info = texts.get_collection("live")
    assert (info.status, info.points_count) == (models.CollectionStatus.GREEN, 3)
    assert info.config.params.vectors == models.VectorParams(size=2, distance=models.Distance.DOT)
    assert info.payload_schema["kind"].data_type == models.PayloadSchemaType.KEYWORD
    assert info.payload_schema["kind"].points == 2
    texts.create_payload_index("texts", "n", models.IntegerIndexParams(type="integer", lookup=True, range=False))
    params = texts.get_collection("texts").payload_schema["n"].params
    assert (params.type, params.lookup, params.range) == ("integer", True, False)
    texts.delete_payload_index("texts", "n")
    assert list(texts.get_collection("texts").payload_schema) == ["kind"]
    assert texts.collection_exists("live")
    assert not texts.collection_exists("absent")
    assert [each.name for each in texts.get_collections().collections] == ["texts"]


def test_named_vectors(client: QdrantClient) -> None:
    params = {
        "small": models.VectorParams(size=2, distance=models.Distance.COSINE),
        "large": models.VectorParams(size=3, distance=models.Distance.EUCLID),
    }
    client.create_collection("named", params)
    points = [
        models.PointStruct(id=1, vector={"small": [1, 0], "large": [0, 0, 1]}),
        models.PointStruct(id=2, vector={"small": [0, 1], "large": [1, 0, 0]}),
    ]
    client.upsert("named", points, wait=True)
    made = client.create_snapshot("named")
    client.recover_snapshot("copy", location=_location(client, "named", made.name))
    for collection in ("named", "copy"):
        assert [p.id for p in client.query_points(collection, query=[1, 0, 0], using="large").points] == [2, 1]
        assert [p.id for p in client.query_points(collection, query=[1, 0], using="small").points] == [1, 2]
    assert client.get_collection("copy").config.params.vectors == params


def test_aliases(texts: QdrantClient) -> None:
    texts.create_collection("other", models.VectorParams(size=2, distance=models.Distance.DOT))
    texts.update_collection_aliases([_alias("live", "other")])
    [alias] = texts.get_aliases().aliases
    assert (alias.alias_name, alias.collection_name) == ("live", "other")
    assert texts.get_collection_aliases("texts").aliases == []
    renamed = models.RenameAlias(old_alias_name="live", new_alias_name="now")
    texts.update_collection_aliases([models.RenameAliasOperation(rename_alias=renamed)])
    assert [each.alias_name for each in texts.get_collection_aliases("other").aliases] == ["now"]
    removed = models.DeleteAlias(alias_name="now")
    texts.update_collection_aliases([models.DeleteAliasOperation(delete_alias=removed)])
    assert texts.get_aliases().aliases == []


def _location(client: QdrantClient, collection: str, snapshot: str) -> str:
    return f"{client.http.client.host}/collections/{collection}/snapshots/{snapshot}"


def test_a_snapshot_is_made_listed_recovered_and_removed(texts: QdrantClient) -> None:
    before, found = everything(texts, "texts"), nearest(texts, "texts")
    made = texts.create_snapshot("live")
    assert made in texts.list_snapshots("texts")
    texts.delete("texts", points_selector=[1, 3], wait=True)
    location = _location(texts, "texts", made.name)
    for collection in ("texts", "copy"):
        priority = models.SnapshotPriority.SNAPSHOT
        assert texts.recover_snapshot(collection, location=location, checksum=made.checksum, priority=priority)
        assert everything(texts, collection) == before
        assert nearest(texts, collection) == found
        assert list(texts.get_collection(collection).payload_schema) == ["kind"]
    # Aliases are no part of a collection's snapshot.
    assert texts.get_collection_aliases("copy").aliases == []
    assert texts.delete_snapshot("texts", made.name) is True
    assert texts.list_snapshots("texts") == []
    with pytest.raises(UnexpectedResponse, match="404"):
        texts.delete_snapshot("texts", made.name)


def test_a_shard_snapshot_is_made_listed_recovered_and_removed(texts: QdrantClient) -> None:
    before = everything(texts, "texts")
    made = texts.create_shard_snapshot("texts", shard_id=0)
    assert texts.list_shard_snapshots("texts", shard_id=0) == [made]
    texts.delete("texts", points_selector=[1, 3], wait=True)
    assert texts.recover_shard_snapshot("texts", shard_id=0, location=made.name, checksum=made.checksum)
    assert everything(texts, "texts") == before
    assert texts.list_snapshots("texts") == []
    assert texts.delete_shard_snapshot("texts", shard_id=0, snapshot_name=made.name)
    assert texts.list_shard_snapshots("texts", shard_id=0) == []


def test_a_full_snapshot_is_made_listed_put_back_and_removed(
    texts: QdrantClient, double: Double, settings: Settings, start: Callable[[Settings], Double], tmp_path: Path
) -> None:
    made = texts.create_full_snapshot()
    assert texts.list_full_snapshots() == [made]
    other = replace(settings, storage_path=tmp_path / "other" / "storage", snapshots_path=tmp_path / "other" / "snap")
    recover_at_start(other, str(double.settings.snapshots_path / made.name), [], False)
    restored = QdrantClient(url=start(other).url, check_compatibility=False)
    assert everything(restored, "live") == everything(texts, "texts")
    assert list(restored.get_collection("live").payload_schema) == ["kind"]
    restored.close()
    assert texts.delete_full_snapshot(made.name) is True
    assert texts.list_full_snapshots() == []


def test_nobody_waits_unless_asked_to(texts: QdrantClient) -> None:
    assert texts.create_snapshot("texts", wait=False) is None
