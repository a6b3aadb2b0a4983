"""What goes wrong on the way or on the server is said so that a person can act; nothing is lost, nothing left over."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from qdrant_case import Double, all_happened, expect, fill, holdings, left_on_server, upsert, wipe

from ansible_collections.somos.infra.plugins.module_utils import _qdrant_backup
from ansible_collections.somos.infra.plugins.module_utils._qdrant import Http
from ansible_collections.somos.infra.plugins.modules import qdrant_restore, qdrant_snapshot

CREATE = "POST /collections/*/snapshots"
LIST = "GET /collections/*/snapshots"
DOWNLOAD = "GET /collections/*/snapshots/*"
DELETE = "DELETE /collections/*/snapshots/*"
UPLOAD = "POST /collections/*/snapshots/upload"
FOR_EVER = {"times": 1000}


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Pauses before another attempt take no time; returns how long they would have been."""
    pauses: list[float] = []
    original = Http.__init__

    def patched(self: Http, *arguments: Any, **options: Any) -> None:
        original(self, *arguments, **{**options, "sleep": pauses.append})

    monkeypatch.setattr(Http, "__init__", patched)
    monkeypatch.setattr(_qdrant_backup, "_NEXT_SECOND", 0.4)
    return pauses


@pytest.fixture
def dest(tmp_path: Path) -> Path:
    return tmp_path / "kept"


@pytest.fixture
def fetch(run_module: Any, qdrant: Double, dest: Path) -> Any:
    def run(**options: Any) -> dict[str, Any]:
        options = {"timeout": 0.4, "collection": "plain", "dest": str(dest), **options}
        return run_module(qdrant_snapshot, url=qdrant.url, api_key="manage", **options)

    return run


@pytest.fixture
def restore(run_module: Any, qdrant: Double, tmp_path: Path) -> Any:
    def run(src: str, **options: Any) -> dict[str, Any]:
        options = {"timeout": 0.4, "record": str(tmp_path / "record.json"), **options}
        return run_module(qdrant_restore, url=qdrant.url, api_key="manage", src=src, **options)

    return run


def heavy(double: Double) -> None:
    """So much that it does not fit into what the network holds between two ends."""
    fill(double)
    text = "x" * 200_000
    upsert(double, "plain", [{"id": n, "vector": [n, 1, 1], "payload": {"kind": "a", "text": text}} for n in range(30)])


@pytest.mark.parametrize(
    ("on", "do", "more"),
    [
        (DOWNLOAD, "truncate", {"after": 5000}),
        (DOWNLOAD, "truncate", {"after": 5000, "times": 3}),
        (DOWNLOAD, "reset", {"after": 5000}),
        (DOWNLOAD, "stall", {"after": 5000, "seconds": 1.0}),
        (DOWNLOAD, "answer", {"status": 503, "plain": True, "message": "busy"}),
        (CREATE, "checksum", {}),
        (CREATE, "delay", {"seconds": 1.0}),
        (CREATE, "answer", {"status": 429, "retry_after": 7}),
        (CREATE, "answer", {"status": 503, "message": "not ready"}),
        (DELETE, "answer", {"status": 503, "message": "not ready"}),
        (DELETE, "reset", {}),
        (LIST, "reset", {}),
    ],
)
def test_a_snapshot_is_fetched_although(
    fetch: Any, qdrant: Double, dest: Path, quick: list[float], on: str, do: str, more: dict[str, Any]
) -> None:
    fill(qdrant)
    expect(qdrant, on, do, **more)
    made = fetch()
    assert "failed" not in made, made["msg"]
    assert all_happened(qdrant)
    assert left_on_server(qdrant) == []
    assert len(list(dest.iterdir())) == 2
    if "retry_after" in more:
        assert quick == [7.0]


@pytest.mark.parametrize(
    ("on", "do", "more", "words"),
    [
        (DOWNLOAD, "truncate", {"after": 0, **FOR_EVER}, ["Downloading snapshot plain-", "bytes came of the"]),
        (DOWNLOAD, "stall", {"after": 0, "seconds": 0.6, **FOR_EVER}, ["Downloading snapshot plain-", "for 0.4 s"]),
        (DOWNLOAD, "answer", {"status": 500, "plain": True, "message": "disk gone"}, ["500", "disk gone", "log"]),
        (CREATE, "checksum", FOR_EVER, ["its SHA-256 is", "the server's is", "damaged"]),
        (CREATE, "answer", {"status": 507, "message": "quota"}, ["collection plain", "507: quota", "Make room"]),
        (CREATE, "answer", {"status": 500, "message": "No space left"}, ["500: No space left", "full disk"]),
        (CREATE, "answer", {"status": 401, "plain": True, "message": "Invalid API key or JWT"}, ["401", "API key"]),
        (CREATE, "answer", {"status": 429, "retry_after": 1, **FOR_EVER}, ["429", "Try again later"]),
        (CREATE, "reset", {"times": 1}, ["closed the connection"]),
    ],
)
def test_a_fetch_that_fails_says_why_and_leaves_nothing(
    fetch: Any, qdrant: Double, dest: Path, on: str, do: str, more: dict[str, Any], words: list[str]
) -> None:
    fill(qdrant)
    expect(qdrant, on, do, **more)
    before = holdings(qdrant)
    failed = fetch()
    assert failed["failed"]
    assert [word for word in words if word not in failed["msg"]] == []
    assert holdings(qdrant) == before
    assert [path.name for path in dest.iterdir()] == []
    if do != "reset":  # it was made, but nobody heard its name
        assert left_on_server(qdrant) == []


@pytest.mark.parametrize("existed", [True, False])
@pytest.mark.parametrize(
    ("do", "more"),
    [
        ("delay", {"seconds": 1.0}),
        ("answer", {"status": 429, "retry_after": 2}),
        ("answer", {"status": 503, "message": "not ready"}),
        ("reset", {"after": 100_000}),
        ("truncate", {"after": 100_000, "times": 2}),
        ("stall", {"after": 100_000, "seconds": 2.0}),
    ],
)
def test_a_collection_is_restored_although(
    fetch: Any, restore: Any, qdrant: Double, existed: bool, do: str, more: dict[str, Any]
) -> None:
    heavy(qdrant)
    before = holdings(qdrant)["collections"]["plain"]
    src = fetch(timeout=5)["snapshots"][0]["path"]
    if not existed:
        wipe(qdrant)
    expect(qdrant, UPLOAD, do, **more)
    restored = restore(src, replace=True)
    assert "failed" not in restored, restored["msg"]
    assert all_happened(qdrant)
    assert holdings(qdrant)["collections"]["plain"] == before
    assert left_on_server(qdrant) == []


@pytest.mark.parametrize("existed", [True, False])
@pytest.mark.parametrize(
    ("do", "more", "words", "untouched"),
    [
        ("answer", {"status": 507, "message": "quota exceeded"}, ["507: quota exceeded", "Make room"], True),
        ("answer", {"status": 401, "plain": True, "message": "Invalid API key or JWT"}, ["401", "API key"], True),
        ("answer", {"status": 403, "plain": True, "message": "Forbidden", "after": 1000}, ["403", "main API"], True),
        ("answer", {"status": 400, "message": "Checksum mismatch: expected a, actual b"}, ["Checksum mism"], True),
        ("answer", {"status": 422, "message": "Validation error"}, ["422: Validation error"], True),
        ("answer", {"status": 500, "message": "Malformed tar archive"}, ["500: Malformed tar archive"], False),
        ("reset", {"after": 100_000, **FOR_EVER}, ["closed the connection while it was sent"], True),
        ("stall", {"after": 100_000, "seconds": 0.8, **FOR_EVER}, ["stopped receiving for 0.4 s"], True),
        ("break", {}, ["500", "log"], False),
    ],
)
def test_a_restore_that_fails_says_why_and_the_old_points_are_there(
    fetch: Any,
    restore: Any,
    qdrant: Double,
    existed: bool,
    do: str,
    more: dict[str, Any],
    words: list[str],
    untouched: bool,
) -> None:
    heavy(qdrant)
    src = fetch(timeout=5)["snapshots"][0]["path"]
    if existed:
        upsert(qdrant, "plain", [{"id": 1000, "vector": [1, 1, 1], "payload": {}}])
    else:
        wipe(qdrant)
    before = holdings(qdrant)
    expect(qdrant, UPLOAD, do, **more)
    failed = restore(src, replace=True)
    assert failed["failed"]
    outcome = "Nothing was replaced" if untouched else "61 points) was put back" if existed else "is absent, as it was"
    assert [word for word in ["Restoring collection plain", outcome, *words] if word not in failed["msg"]] == []
    qdrant.ask("DELETE", "/_double/faults", key=None)
    assert holdings(qdrant) == before
    assert left_on_server(qdrant) == []
    again = restore(src, replace=True, timeout=5)
    assert "failed" not in again, again["msg"]


def test_an_answer_that_got_lost_is_no_end(fetch: Any, restore: Any, qdrant: Double) -> None:
    heavy(qdrant)
    before = holdings(qdrant)["collections"]["plain"]
    src = fetch(timeout=5)["snapshots"][0]["path"]
    upsert(qdrant, "plain", [{"id": 1000, "vector": [1, 1, 1], "payload": {}}])
    expect(qdrant, UPLOAD, "reset")
    failed = restore(src, replace=True)
    assert "may still be restoring collection plain" in failed["msg"]
    assert "What the collection held before is in its snapshot plain-" in failed["msg"]
    assert restore(src)["changed"]
    assert holdings(qdrant)["collections"]["plain"] == before
    assert left_on_server(qdrant) == []


def test_undoing_that_fails_too_says_where_the_old_points_are(fetch: Any, restore: Any, qdrant: Double) -> None:
    heavy(qdrant)
    src = fetch(timeout=5)["snapshots"][0]["path"]
    expect(qdrant, UPLOAD, "answer", status=500, message="disk gone", times=2)
    failed = restore(src, replace=True)
    assert "Undoing it failed too" in failed["msg"]
    kept = left_on_server(qdrant)
    assert len(kept) == 1
    assert f"in its snapshot {kept[0]} on the server" in failed["msg"]
    assert restore(src)["changed"]
    assert left_on_server(qdrant) == []
