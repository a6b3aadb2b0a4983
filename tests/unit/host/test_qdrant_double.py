"""The test double of Qdrant without its engine: HTTP, keys, routes, disk. The engine is tested in its image."""

from __future__ import annotations

import json
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "host" / "images" / "qdrant"))

from qdrant_double.engine import Info, Point, Selection
from qdrant_double.errors import RefusedByEngineError
from qdrant_double.server import Server
from qdrant_double.settings import Settings
from qdrant_double.storage import Storage


class FakeShard:
    """Keeps points in a JSON file. Its search knows distance only, so that the order of the answers can be foretold."""

    def __init__(self, path: Path, size: int | None = None) -> None:
        self._file = path / "points.json"
        if size is not None:
            path.mkdir(parents=True)
            self._write({"size": size, "points": []})

    def upsert(self, points: list[Point]) -> None:
        state = self._read()
        for point in points:
            if len(point.vector) != state["size"]:
                raise RefusedByEngineError(f"Vector dimension error: expected dim: {state['size']}")
        kept = [each for each in state["points"] if each["id"] not in {point.id for point in points}]
        new = [{"id": point.id, "vector": point.vector, "payload": point.payload} for point in points]
        self._write({**state, "points": kept + new})

    def delete(self, ids: list[Any]) -> None:
        state = self._read()
        self._write({**state, "points": [each for each in state["points"] if each["id"] not in ids]})

    def nearest(
        self, vector: list[float], selection: Selection, limit: int, offset: int, score_threshold: float | None
    ) -> list[Point]:
        scored = [
            Point(each["id"], payload=each["payload"] if selection.with_payload else None, score=score, version=0)
            for each in self._read()["points"]
            if (score := sum(a * b for a, b in zip(vector, each["vector"], strict=True))) >= (score_threshold or 0)
        ]
        return sorted(scored, key=lambda point: -(point.score or 0))[offset : offset + limit]

    def scroll(self, selection: Selection, limit: int, offset: Any) -> tuple[list[Point], Any]:
        points = sorted(
            (Point(each["id"], payload=each["payload"]) for each in self._read()["points"]), key=lambda p: p.id
        )
        rest = [point for point in points if offset is None or point.id >= offset]
        return rest[:limit], rest[limit].id if len(rest) > limit else None

    def count(self, matching: dict[str, Any] | None, exact: bool) -> int:
        return len(self._read()["points"])

    def info(self) -> Info:
        return Info(points_count=self.count(None, True), segments_count=1, indexed_vectors_count=0)

    def close(self) -> None:
        """Everything is on disk already."""

    def _read(self) -> dict[str, Any]:
        return dict(json.loads(self._file.read_text()))

    def _write(self, state: dict[str, Any]) -> None:
        self._file.write_text(json.dumps(state))


class FakeEngine:
    def create(self, path: Path, vectors: dict[str, Any]) -> FakeShard:
        return FakeShard(path, size=vectors["size"])

    def load(self, path: Path) -> FakeShard:
        return FakeShard(path)


class Client:
    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.server: Server
        self.start()

    def start(self) -> None:
        self.server = Server(self.settings, Storage(self.settings, FakeEngine()))
        threading.Thread(target=self.server.serve_forever, args=(0.01,)).start()

    def stop(self) -> None:
        self.server.shutdown()
        self.server.server_close()

    def __call__(
        self, method: str, path: str, body: Any = None, key: str | None = "manage", **headers: str
    ) -> tuple[int, str, Any]:
        """Status, content type, and the body: what JSON says, or the text."""
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.server.server_address[1]}{path}",
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers=headers | ({"api-key": key} if key else {}),
        )
        try:
            answer = urllib.request.urlopen(request, timeout=5)  # noqa: S310 - a server of this test
        except urllib.error.HTTPError as error:
            answer = error
        with answer:
            text = answer.read().decode()
        kind = answer.headers["Content-Type"].partition(";")[0]
        return answer.status, kind, json.loads(text) if kind == "application/json" else text

    def result(self, method: str, path: str, body: Any = None, key: str = "manage") -> Any:
        status, _, answer = self(method, path, body, key)
        assert status == 200, answer
        assert answer["status"] == "ok"
        return answer["result"]


@pytest.fixture
def client(tmp_path: Path) -> Iterator[Client]:
    settings = Settings(
        host="127.0.0.1",
        http_port=0,
        api_key="manage",
        read_only_api_key="read",
        storage_path=tmp_path / "storage",
        snapshots_path=tmp_path / "snapshots",
    )
    client = Client(settings)
    yield client
    client.stop()


@pytest.fixture
def filled(client: Client) -> Client:
    client.result("PUT", "/collections/texts", {"vectors": {"size": 2, "distance": "Dot"}})
    points = [
        {"id": 1, "vector": [1, 0], "payload": {"text": "one"}},
        {"id": 2, "vector": [0, 1], "payload": {"text": "two"}},
    ]
    client.result("PUT", "/collections/texts/points?wait=true", {"points": points})
    return client


@pytest.mark.parametrize("path", ["/", "/healthz", "/livez", "/readyz"])
def test_probes_need_no_key(client: Client, path: str) -> None:
    assert client("GET", path, key=None)[0] == 200


@pytest.mark.parametrize("path", ["/collections", "/metrics", "/aliases", "/no/such/path"])
def test_everything_else_is_refused_without_a_key_in_plain_text(client: Client, path: str) -> None:
    expected = (401, "text/plain", "Must provide an API key or an Authorization bearer token")
    assert client("GET", path, key=None) == expected


def test_a_wrong_key_is_refused_in_plain_text(client: Client) -> None:
    assert client("GET", "/collections", key="wrong") == (401, "text/plain", "Invalid API key or JWT")


def test_a_key_is_also_taken_as_bearer_token(client: Client) -> None:
    assert client("GET", "/collections", key=None, Authorization="Bearer read")[0] == 200


def test_the_read_only_key_reads(filled: Client) -> None:
    assert filled.result("POST", "/collections/texts/points/count", {}, key="read") == {"count": 2}
    assert filled("GET", "/metrics", key="read")[2].splitlines()[-1] == 'collection_points{id="texts"} 2'


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
def test_the_read_only_key_changes_nothing(filled: Client, method: str, path: str) -> None:
    status, _, answer = filled(method, path, {}, key="read")
    assert status == 403
    assert answer["status"] == {"error": "Forbidden: Global manage access is required"}
    assert filled.result("POST", "/collections/texts/points/count", {}) == {"count": 2}


def test_without_any_key_configured_the_api_is_open(client: Client) -> None:
    client.server.settings = replace(client.settings, api_key=None, read_only_api_key=None)
    assert client("GET", "/collections", key=None)[0] == 200


def test_the_nearest_point_comes_first(filled: Client) -> None:
    found = filled.result("POST", "/collections/texts/points/query", {"query": [0.1, 0.9], "with_payload": True})
    assert [(point["id"], point["payload"]) for point in found["points"]] == [
        (2, {"text": "two"}),
        (1, {"text": "one"}),
    ]


def test_a_query_shows_no_payload_unless_asked(filled: Client) -> None:
    found = filled.result("POST", "/collections/texts/points/query", {"query": {"nearest": [1, 0]}, "limit": 1})
    assert found["points"] == [{"id": 1, "version": 0, "score": 1}]


def test_scrolling_goes_on_where_it_stopped(filled: Client) -> None:
    first = filled.result("POST", "/collections/texts/points/scroll", {"limit": 1})
    second = filled.result("POST", "/collections/texts/points/scroll", {"offset": first["next_page_offset"]})
    assert [point["id"] for point in first["points"] + second["points"]] == [1, 2]
    assert second["next_page_offset"] is None


def test_deleted_points_are_gone(filled: Client) -> None:
    filled.result("POST", "/collections/texts/points/delete", {"points": [1]})
    assert filled.result("POST", "/collections/texts/points/count", {}) == {"count": 1}


def test_data_and_aliases_survive_a_restart(filled: Client) -> None:
    action = {"create_alias": {"collection_name": "texts", "alias_name": "live"}}
    filled.result("POST", "/collections/aliases", {"actions": [action]})
    filled.stop()
    filled.start()
    assert filled.result("GET", "/collections/live")["points_count"] == 2
    assert filled.result("GET", "/aliases") == {"aliases": [{"alias_name": "live", "collection_name": "texts"}]}


def test_a_creation_that_was_cut_off_left_nothing(filled: Client, tmp_path: Path) -> None:
    filled.stop()
    (tmp_path / "storage" / "collections" / "texts" / "config.json").unlink()
    filled.start()
    assert filled.result("GET", "/collections") == {"collections": []}
    filled.result("PUT", "/collections/texts", {"vectors": {"size": 2, "distance": "Dot"}})


def test_an_alias_is_repointed_renamed_and_removed(filled: Client) -> None:
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


def test_a_removed_collection_takes_its_aliases_with_it(filled: Client) -> None:
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
        ("POST", "/collections/texts/points/query", {"query": [1, 0], "using": "x"}, 400, "does not know using"),
        ("POST", "/collections/texts/points/count", {"filter": {"must": [{"nested": {}}]}}, 400, "nested"),
    ],
)
def test_a_bad_request_is_refused_with_its_reason(
    filled: Client, method: str, path: str, body: Any, status: int, words: str
) -> None:
    seen, kind, answer = filled(method, path, body)
    assert (seen, kind) == (status, "application/json")
    assert words in answer["status"]["error"]


def test_an_unknown_route_is_an_empty_404(client: Client) -> None:
    assert client("GET", "/collections/texts/unknown") == (404, "text/plain", "")


def test_the_environment_wins_over_the_file(tmp_path: Path) -> None:
    config = tmp_path / "config.yaml"
    config.write_text("service: {api_key: of-the-file, http_port: 7000}\nstorage: {storage_path: /data}\n")
    settings = Settings.load(str(config), {"QDRANT__SERVICE__API_KEY": "of-the-environment"})
    assert (settings.api_key, settings.http_port, settings.storage_path) == ("of-the-environment", 7000, Path("/data"))


def test_an_absent_file_leaves_the_api_open_as_the_server_does(capsys: pytest.CaptureFixture[str]) -> None:
    assert Settings.load("/no/such/file.yaml", {}).api_key is None
    assert "/no/such/file.yaml" in capsys.readouterr().err
