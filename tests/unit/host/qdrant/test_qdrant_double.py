"""The test double of Qdrant: keys, routes, collections and points."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from running_double import IMAGE, ROOT, Double, Settings


@pytest.mark.parametrize("path", ["/", "/healthz", "/livez", "/readyz"])
def test_probes_need_no_key(double: Double, path: str) -> None:
    assert double.ask("GET", path, key=None).status == 200


@pytest.mark.parametrize("path", ["/collections", "/metrics", "/aliases", "/no/such/path"])
def test_everything_else_is_refused_without_a_key_in_plain_text(double: Double, path: str) -> None:
    answer = double.ask("GET", path, key=None)
    assert (answer.status, answer.kind) == (401, "text/plain")
    assert answer.text == "Must provide an API key or an Authorization bearer token"


def test_a_wrong_key_is_refused_in_plain_text(double: Double) -> None:
    answer = double.ask("GET", "/collections", key="wrong")
    assert (answer.status, answer.kind, answer.text) == (401, "text/plain", "Invalid API key or JWT")


def test_a_key_is_also_taken_as_bearer_token(double: Double) -> None:
    assert double.ask("GET", "/collections", key=None, Authorization="Bearer read").status == 200


def test_the_next_key_is_as_good_as_the_present_one(filled: Double) -> None:
    assert filled.result("DELETE", "/collections/texts", key="next") is True


def test_an_update_is_complete_only_for_who_waits(filled: Double) -> None:
    path, body = "/collections/texts/points", {"points": [{"id": 3, "vector": [1, 1]}]}
    assert filled.result("PUT", path, body)["status"] == "acknowledged"
    assert filled.result("PUT", f"{path}?wait=true", body)["status"] == "completed"


def test_the_read_only_key_reads(filled: Double) -> None:
    assert filled.result("POST", "/collections/texts/points/count", {}, key="read") == {"count": 2}
    assert 'collection_points{id="texts"} 2' in filled.ask("GET", "/metrics", key="read").text.splitlines()


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("DELETE", "/collections/texts"),
        ("PUT", "/collections/new"),
        ("PUT", "/collections/texts/points"),
        ("POST", "/collections/texts/points/delete"),
        ("POST", "/collections/aliases"),
    ],
)
def test_the_read_only_key_changes_nothing(filled: Double, method: str, path: str) -> None:
    answer = filled.ask(method, path, {}, key="read")
    assert (answer.status, answer.error) == (403, "Forbidden: Global manage access is required")
    assert filled.result("POST", "/collections/texts/points/count", {}) == {"count": 2}


def test_without_any_key_configured_the_api_is_open(double: Double) -> None:
    double.server.node.settings = replace(double.settings, api_key=None, alt_api_key=None, read_only_api_key=None)
    assert double.ask("GET", "/collections", key=None).status == 200


def test_the_nearest_point_comes_first(filled: Double) -> None:
    found = filled.result("POST", "/collections/texts/points/query", {"query": [0.1, 0.9], "with_payload": True})
    assert [(point["id"], point["payload"]) for point in found["points"]] == [
        (2, {"text": "two"}),
        (1, {"text": "one"}),
    ]


def test_a_query_shows_no_payload_unless_asked(filled: Double) -> None:
    found = filled.result("POST", "/collections/texts/points/query", {"query": {"nearest": [1, 0]}, "limit": 1})
    assert found["points"] == [{"id": 1, "version": 0, "score": 1}]


def test_scrolling_goes_on_where_it_stopped(filled: Double) -> None:
    first = filled.result("POST", "/collections/texts/points/scroll", {"limit": 1})
    second = filled.result("POST", "/collections/texts/points/scroll", {"offset": first["next_page_offset"]})
    assert [point["id"] for point in first["points"] + second["points"]] == [1, 2]
    assert second["next_page_offset"] is None


def test_deleted_points_are_gone(filled: Double) -> None:
    filled.result("POST", "/collections/texts/points/delete", {"points": [1]})
    assert filled.result("POST", "/collections/texts/points/count", {}) == {"count": 1}


def test_data_and_aliases_survive_a_restart(filled: Double) -> None:
    action = {"create_alias": {"collection_name": "texts", "alias_name": "live"}}
    filled.result("POST", "/collections/aliases", {"actions": [action]})
    filled.stop()
    filled.start()
    assert filled.result("GET", "/collections/live")["points_count"] == 2
    assert filled.result("GET", "/aliases") == {"aliases": [{"alias_name": "live", "collection_name": "texts"}]}


def test_a_creation_that_was_cut_off_left_nothing(filled: Double, tmp_path: Path) -> None:
    filled.stop()
    (tmp_path / "storage" / "collections" / "texts" / "config.json").unlink()
    filled.start()
    assert filled.result("GET", "/collections") == {"collections": []}
    filled.result("PUT", "/collections/texts", {"vectors": {"size": 2, "distance": "Dot"}})


def test_an_alias_is_repointed_renamed_and_removed(filled: Double) -> None:
    def aliases(*actions: dict[str, Any]) -> list[dict[str, str]]:
        filled.result("POST", "/collections/aliases", {"actions": list(actions)})
        return list(filled.result("GET", "/aliases")["aliases"])

    filled.result("PUT", "/collections/other", {"vectors": {"size": 2, "distance": "Dot"}})
    aliases({"create_alias": {"collection_name": "texts", "alias_name": "live"}})
    repointed = aliases({"create_alias": {"collection_name": "other", "alias_name": "live"}})
    assert repointed == [{"alias_name": "live", "collection_name": "other"}]
    renamed = aliases({"rename_alias": {"old_alias_name": "live", "new_alias_name": "now"}})
    assert renamed == [{"alias_name": "now", "collection_name": "other"}]
    assert aliases({"delete_alias": {"alias_name": "now"}}) == []


def test_a_removed_collection_takes_its_aliases_with_it(filled: Double) -> None:
    action = {"create_alias": {"collection_name": "texts", "alias_name": "live"}}
    filled.result("POST", "/collections/aliases", {"actions": [action]})
    assert filled.result("DELETE", "/collections/texts") is True
    assert filled.result("GET", "/aliases") == {"aliases": []}
    assert filled.result("DELETE", "/collections/texts") is False


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "words"),
    [
        ("GET", "/collections/absent", None, 404, "Not found: Collection `absent` doesn't exist!"),
        ("PUT", "/collections/texts", {"vectors": {"size": 2, "distance": "Dot"}}, 409, "already exists"),
        ("PUT", "/collections/..", {"vectors": {"size": 2, "distance": "Dot"}}, 422, "invalid collection name"),
        ("PUT", "/collections/new", {"vectors": {"size": 0, "distance": "Dot"}}, 422, "from 1 to 65536"),
        ("PUT", "/collections/new", {"vectors": {"size": 2, "distance": "Near"}}, 400, "distance"),
        ("PUT", "/collections/texts/points", {"points": [{"id": 3, "vector": [1]}]}, 400, "dimension error"),
        ("PUT", "/collections/texts/points", {"points": [{"id": 3}]}, 400, "missing field `vector`"),
        ("POST", "/collections/texts/points/query", {"query": [1, 0], "using": "x"}, 400, "Not existing vector name"),
        ("POST", "/collections/texts/points/query", {"query": [1, 0], "params": {}}, 400, "does not know params"),
        ("POST", "/collections/texts/points/count", {"filter": {"must": [{"nested": {}}]}}, 400, "nested"),
    ],
)
def test_a_bad_request_is_refused_with_its_reason(
    filled: Double, method: str, path: str, body: Any, status: int, words: str
) -> None:
    answer = filled.ask(method, path, body)
    assert (answer.status, answer.kind) == (status, "application/json")
    assert words in answer.error


def test_a_point_is_read_by_its_id(filled: Double) -> None:
    point = {"id": 1, "payload": {"text": "one"}, "vector": [1.0, 0.0]}
    assert filled.result("GET", "/collections/texts/points/1", key="read") == point
    asked = {"ids": [2, 1, 9], "with_payload": False}
    found = filled.result("POST", "/collections/texts/points", asked, key="read")
    assert sorted(each["id"] for each in found) == [1, 2]
    assert all("payload" not in each for each in found)
    absent = filled.ask("GET", "/collections/texts/points/9")
    assert (absent.status, absent.error) == (404, "Not found: Point with id 9 does not exists!")
    nonsense = filled.ask("GET", "/collections/texts/points/x")
    assert (nonsense.status, nonsense.error) == (400, 'Wrong input: Can not recognize "x" as point id')


def test_an_index_is_made_described_kept_and_removed(filled: Double) -> None:
    schema = {"type": "integer", "lookup": True, "range": False}
    for name, kind in (("text", "keyword"), ("n", schema)):
        filled.result("PUT", "/collections/texts/index?wait=true", {"field_name": name, "field_schema": kind})
    described = {
        "text": {"data_type": "keyword", "points": 2},
        "n": {"data_type": "integer", "points": 0, "params": schema},
    }
    assert filled.result("GET", "/collections/texts")["payload_schema"] == described
    filled.stop()
    filled.start()
    assert filled.result("GET", "/collections/texts")["payload_schema"] == described
    filled.result("DELETE", "/collections/texts/index/n?wait=true")
    assert list(filled.result("GET", "/collections/texts")["payload_schema"]) == ["text"]


def test_a_server_of_its_own_says_that_it_is_alone(filled: Double) -> None:
    assert filled.result("GET", "/cluster") == {"status": "disabled"}
    described = filled.result("GET", "/collections/texts/cluster")
    assert described["local_shards"] == [{"shard_id": 0, "points_count": 2, "state": "Active"}]
    answer = filled.ask("POST", "/collections/texts/cluster", {})
    assert (answer.status, answer.error) == (405, "Qdrant is running in standalone mode")


def test_snapshots_are_counted(filled: Double) -> None:
    filled.snapshot("texts")
    counted = {"id": "texts", "running_snapshots": 0, "running_snapshot_recovery": 0, "total_snapshot_creations": 1}
    assert filled.result("GET", "/telemetry?details_level=1")["collections"]["snapshots"] == [counted]
    assert "snapshots" not in filled.result("GET", "/telemetry")["collections"]
    assert 'snapshot_created_total{id="texts"} 1' in filled.ask("GET", "/metrics").text.splitlines()


def test_the_engine_is_the_one_that_the_image_has() -> None:
    pin = re.compile(r"^qdrant-edge-py==\S+", re.MULTILINE)
    here = pin.search((ROOT / "requirements.txt").read_text())
    assert here[0] == pin.search((IMAGE / "requirements.txt").read_text())[0]


def test_an_unknown_route_is_an_empty_404(double: Double) -> None:
    answer = double.ask("GET", "/collections/texts/unknown")
    assert (answer.status, answer.content) == (404, b"")


def test_the_environment_wins_over_the_file(tmp_path: Path) -> None:
    config = tmp_path / "config.yaml"
    config.write_text("service: {api_key: of-the-file, http_port: 7000}\nstorage: {storage_path: /data}\n")
    settings = Settings.load(str(config), {"QDRANT__SERVICE__API_KEY": "of-the-environment"})
    assert (settings.api_key, settings.http_port, settings.storage_path) == ("of-the-environment", 7000, Path("/data"))


def test_an_absent_file_leaves_the_api_open_as_the_server_does(capsys: pytest.CaptureFixture[str]) -> None:
    assert Settings.load("/no/such/file.yaml", {}).api_key is None
    assert "/no/such/file.yaml" in capsys.readouterr().err
