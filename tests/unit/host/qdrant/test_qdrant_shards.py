"""Snapshots of a shard."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import qdrant_edge
from running_double import Double, Settings

SNAPSHOTS = "/collections/texts/shards/0/snapshots"
WRONG = "0" * 64


@pytest.fixture
def made(filled: Double) -> dict[str, Any]:
    return dict(filled.result("POST", SNAPSHOTS))


def content(double: Double, made: dict[str, Any]) -> bytes:
    answer = double.ask("GET", f"{SNAPSHOTS}/{made['name']}", key="read")
    assert answer.status == 200
    return answer.content


def test_it_lies_below_those_of_its_collection(filled: Double, made: dict[str, Any]) -> None:
    assert re.fullmatch(r"texts-shard-0-\d{4}(-\d\d){5}\.snapshot", made["name"])
    assert (filled.settings.snapshots_path / "texts" / "shards" / "0" / made["name"]).exists()
    assert filled.result("GET", SNAPSHOTS) == [made]
    assert filled.result("GET", "/collections/texts/snapshots") == []
    assert filled.result("DELETE", f"{SNAPSHOTS}/{made['name']}") is True
    assert filled.result("GET", SNAPSHOTS) == []


def test_qdrant_s_own_engine_takes_it_over(filled: Double, made: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "archive").write_bytes(content(filled, made))
    parameters = qdrant_edge.EdgeVectorParams(size=2, distance=qdrant_edge.Distance.Dot)
    (tmp_path / "other").mkdir()
    other = qdrant_edge.EdgeShard.create(str(tmp_path / "other"), qdrant_edge.EdgeConfig(vectors=parameters))
    other.update_from_snapshot(str(tmp_path / "archive"), str(tmp_path))
    assert other.info().points_count == 2
    other.close()


def test_it_is_recovered_from_its_name_a_url_or_an_upload(filled: Double, made: dict[str, Any]) -> None:
    before, file = filled.points("texts"), content(filled, made)
    url = {"location": f"{filled.url}{SNAPSHOTS}/{made['name']}", "api_key": "read", "checksum": made["checksum"]}
    for recover in (
        lambda: filled.ask("PUT", f"{SNAPSHOTS}/recover", {"location": made["name"], "checksum": made["checksum"]}),
        lambda: filled.ask("PUT", f"{SNAPSHOTS}/recover", url),
        lambda: filled.upload(f"{SNAPSHOTS}/upload?checksum={made['checksum']}", file),
    ):
        filled.result("POST", "/collections/texts/points/delete?wait=true", {"points": [1, 2]})
        answer = recover()
        assert answer.status == 200, answer.text
        assert filled.points("texts") == before
    assert answer.body["result"] is None
    assert filled.result("GET", SNAPSHOTS) == [made]  # an uploaded one does not stay


@pytest.mark.parametrize(
    ("location", "status", "reason"),
    [
        ("file:///x", 400, "Wrong input: Invalid snapshot URL file:///x: URLs with file scheme are not supported"),
        ("absent.snapshot", 404, "Not found: Snapshot absent.snapshot not found"),
        ("../x", 404, "Not found: Snapshot ../x not found"),
    ],
)
def test_locations_that_nothing_comes_from(filled: Double, location: str, status: int, reason: str) -> None:
    answer = filled.ask("PUT", f"{SNAPSHOTS}/recover", {"location": location})
    assert (answer.status, answer.error) == (status, reason)


def test_wrong_checksums(filled: Double, made: dict[str, Any]) -> None:
    body = {"location": made["name"], "checksum": WRONG}
    answer = filled.ask("PUT", f"{SNAPSHOTS}/recover", body)
    reason = f"Wrong input: Snapshot checksum mismatch: expected {WRONG}, got {made['checksum']}"
    assert (answer.status, answer.error) == (400, reason)
    answer = filled.upload(f"{SNAPSHOTS}/upload?checksum={WRONG}", content(filled, made))
    assert (answer.status, answer.error.startswith("Checksum mismatch: ")) == (400, True)
    assert list(filled.settings.upload_path.iterdir()) == []


@pytest.mark.parametrize(
    ("path", "status", "reason"),
    [
        ("/collections/texts/shards/1/snapshots", 404, "Not found: shard 1 not found"),
        ("/collections/absent/shards/0/snapshots", 404, "Not found: Collection `absent` doesn't exist!"),
        ("/collections/texts/shards/x/snapshots", 400, 'Deserialize error in path parameters: can not parse "x"'),
    ],
)
def test_shards_that_there_are_none_of(filled: Double, path: str, status: int, reason: str) -> None:
    answer = filled.ask("POST", path)
    assert (answer.status, answer.error.startswith(reason)) == (status, True)


def test_urls_can_be_switched_off(settings: Settings, start: Callable[[Settings], Double]) -> None:
    double = start(replace(settings, enable_snapshot_url_recovery=False))
    double.result("PUT", "/collections/texts", {"vectors": {"size": 2, "distance": "Dot"}})
    answer = double.ask("PUT", f"{SNAPSHOTS}/recover", {"location": "http://127.0.0.1:1/x"})
    assert (answer.status, "disabled in the configuration" in answer.error) == (403, True)
