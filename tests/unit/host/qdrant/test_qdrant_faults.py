"""Faults of the double that are switched on for the next requests."""

from __future__ import annotations

import http.client
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from running_double import Double, Settings

SNAPSHOTS = "/collections/texts/snapshots"
CREATE = "POST /collections/*/snapshots"
LIST = "GET /collections/*/snapshots"
DOWNLOAD = "GET /collections/*/snapshots/*"
UPLOAD = "POST /collections/*/snapshots/upload"


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return replace(settings, faults=True)


@pytest.fixture
def coming(filled: Double) -> Callable[..., None]:
    """Says what is to happen."""

    def coming(*faults: dict[str, Any]) -> None:
        assert filled.ask("PUT", "/_double/faults", list(faults), key=None).status == 200

    return coming


def left(double: Double) -> list[Any]:
    return list(double.ask("GET", "/_double/faults", key=None).body)


def test_they_exist_only_where_they_were_asked_for(
    settings: Settings, start: Callable[[Settings], Double], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert Settings.load(None, {}).faults is False
    assert Settings.load(None, {"QDRANT_DOUBLE_FAULTS": "1"}).faults is True
    assert start(replace(settings, faults=False)).ask("GET", "/_double/faults").status == 404


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ({"on": CREATE, "do": "explode"}, "no fault `explode`"),
        ({"on": "/collections", "do": "reset"}, "is not a method and a path"),
        ({"on": CREATE, "do": "reset", "bytes": 3}, "bytes"),
        ({"do": "reset"}, "on"),
    ],
)
def test_a_fault_that_there_is_none_of_is_refused(double: Double, fault: dict[str, Any], reason: str) -> None:
    answer = double.ask("PUT", "/_double/faults", [fault])
    assert answer.status == 400
    assert reason in answer.error
    assert left(double) == []


def test_a_fault_is_used_up_and_others_are_not_concerned(filled: Double, coming: Callable[..., None]) -> None:
    coming({"on": LIST, "do": "answer", "status": 503, "message": "Shard temporarily unavailable: x", "times": 2})
    assert filled.ask("GET", "/collections").status == 200
    assert [filled.ask("GET", SNAPSHOTS).status for _ in range(3)] == [503, 503, 200]
    assert left(filled) == []


def test_a_fault_may_leave_the_first_requests_alone(filled: Double, coming: Callable[..., None]) -> None:
    coming({"on": LIST, "do": "answer", "skip": 1})
    assert [filled.ask("GET", SNAPSHOTS).status for _ in range(3)] == [200, 500, 200]


def test_faults_are_forgotten(filled: Double, coming: Callable[..., None]) -> None:
    coming({"on": LIST, "do": "answer"})
    assert left(filled) != []
    filled.ask("DELETE", "/_double/faults")
    assert filled.ask("GET", SNAPSHOTS).status == 200


def test_an_answer_has_the_form_that_was_asked_for(filled: Double, coming: Callable[..., None]) -> None:
    limited = {"status": 429, "message": "Rate limiting exceeded: x", "retry_after": 3}
    coming({"on": CREATE, "do": "answer", **limited})
    answer = filled.ask("POST", SNAPSHOTS)
    assert (answer.status, answer.headers["retry-after"], answer.error) == (429, "3", "Rate limiting exceeded: x")
    coming({"on": CREATE, "do": "answer", "status": 401, "message": "Invalid API key or JWT", "plain": True})
    answer = filled.ask("POST", SNAPSHOTS)
    assert (answer.status, answer.kind, answer.text) == (401, "text/plain", "Invalid API key or JWT")
    assert filled.result("GET", SNAPSHOTS) == []


@pytest.mark.parametrize("after", [None, 0, 100_000])
def test_an_upload_is_answered_with_an_error_in_its_midst(
    filled: Double, coming: Callable[..., None], after: int | None
) -> None:
    full = {"status": 507, "message": "Insufficient storage: disk is full"}
    coming({"on": UPLOAD, "do": "answer", "after": after, **full})
    answer = filled.upload("/collections/copy/snapshots/upload", b"x" * 200_000)
    assert (answer.status, answer.error) == (507, "Insufficient storage: disk is full")
    assert not (filled.settings.snapshots_path / "copy").exists()


@pytest.mark.parametrize("action", ["truncate", "stall"])
def test_a_download_breaks_off(filled: Double, coming: Callable[..., None], action: str) -> None:
    path = f"{SNAPSHOTS}/{filled.snapshot('texts')['name']}"
    whole = filled.ask("GET", path).content
    coming({"on": DOWNLOAD, "do": action, "after": 1000, "seconds": 0.2})
    began = time.monotonic()
    with pytest.raises(http.client.IncompleteRead) as broken:
        filled.ask("GET", path)
    assert broken.value.partial == whole[:1000]
    assert broken.value.expected == len(whole) - 1000
    assert action == "truncate" or time.monotonic() - began >= 0.2
    assert filled.ask("GET", path, Range="bytes=1000-").content == whole[1000:]


@pytest.mark.parametrize("after", [None, 0, 1000])
def test_a_download_is_reset(filled: Double, coming: Callable[..., None], after: int | None) -> None:
    path = f"{SNAPSHOTS}/{filled.snapshot('texts')['name']}"
    coming({"on": DOWNLOAD, "do": "reset", "after": after})
    with pytest.raises(ConnectionResetError) as broken:
        filled.ask("GET", path)
    assert broken.type is ConnectionResetError, "closed, not reset"


def test_an_answer_gets_lost_after_the_work_was_done(filled: Double, coming: Callable[..., None]) -> None:
    coming({"on": CREATE, "do": "reset"})
    with pytest.raises(ConnectionResetError):
        filled.ask("POST", SNAPSHOTS)
    assert len(filled.result("GET", SNAPSHOTS)) == 1


@pytest.mark.parametrize("action", ["truncate", "reset", "stall"])
def test_an_upload_is_broken_off_and_nothing_is_done(filled: Double, coming: Callable[..., None], action: str) -> None:
    coming({"on": UPLOAD, "do": action, "after": 100_000, "seconds": 0.2})
    with pytest.raises((ConnectionError, http.client.RemoteDisconnected)):
        filled.upload("/collections/copy/snapshots/upload", b"x" * (20 << 20))
    assert list(filled.settings.upload_path.iterdir()) == []
    assert not (filled.settings.snapshots_path / "copy").exists()


def test_a_checksum_is_wrong_in_the_listing(filled: Double, coming: Callable[..., None]) -> None:
    made = filled.snapshot("texts")
    coming({"on": LIST, "do": "checksum"})
    assert filled.result("GET", SNAPSHOTS)[0]["checksum"] == "0" * 64
    assert filled.result("GET", SNAPSHOTS) == [made]


@pytest.fixture
def released(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """Ends what a delay has begun, so that nothing depends on how busy the machine is."""
    released = threading.Event()
    monkeypatch.setattr("qdrant_double.faults.sleep", lambda seconds: released.wait(30))
    yield released
    released.set()


def test_a_slow_snapshot_counts_as_running(
    filled: Double, coming: Callable[..., None], released: threading.Event
) -> None:
    def running() -> bool:
        return 'snapshot_creation_running{id="texts"} 1' in filled.ask("GET", "/metrics").text.splitlines()

    coming({"on": CREATE, "do": "delay", "seconds": 3})
    assert filled.ask("POST", f"{SNAPSHOTS}?wait=false").status == 202
    began = time.monotonic()
    while not running():
        assert time.monotonic() - began < 20
    assert filled.result("GET", SNAPSHOTS) == []
    released.set()
    while running():
        assert time.monotonic() - began < 20
    assert len(filled.result("GET", SNAPSHOTS)) == 1


def test_any_other_request_may_be_slow_too(filled: Double, coming: Callable[..., None]) -> None:
    coming({"on": LIST, "do": "delay", "seconds": 0.2})
    began = time.monotonic()
    filled.result("GET", SNAPSHOTS)
    assert time.monotonic() - began >= 0.2


def test_others_are_served_while_one_is_slow(
    filled: Double, coming: Callable[..., None], released: threading.Event
) -> None:
    coming({"on": CREATE, "do": "delay", "seconds": 3})
    slow = threading.Thread(target=filled.snapshot, args=("texts",))
    slow.start()
    assert len(filled.points("texts")) == 2
    assert slow.is_alive()
    released.set()
    slow.join()


def test_a_recovery_breaks_the_shard(filled: Double, coming: Callable[..., None]) -> None:
    content = filled.content("texts", filled.snapshot("texts")["name"])
    coming({"on": UPLOAD, "do": "break"})
    assert filled.upload(f"{SNAPSHOTS}/upload", content).status == 500
    answer = filled.ask("POST", "/collections/texts/points/scroll", {})
    assert (answer.status, "Failed to restore local replica" in answer.error) == (500, True)
    assert filled.upload(f"{SNAPSHOTS}/upload", content).status == 200
    assert len(filled.points("texts")) == 2
