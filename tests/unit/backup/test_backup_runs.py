from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from backup_case import Told, config

from somos_backup import retry, runs, verification
from somos_backup.compose import Compose
from somos_backup.errors import BackupError, PassingError
from somos_backup.jobs.base import Stored
from somos_backup.state import State

STORED = Stored("abc", 5, 7)


@pytest.fixture(autouse=True)
def no_containers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Compose, "remove_leftovers", lambda self: None)


def run(
    directory: Path, *jobs: tuple[str, dict[str, list[Any]]], **changes: Any
) -> tuple[bool, dict[str, Any], list[Told]]:
    settings = config(directory, **changes)
    made = [Told(settings, name, answers) for name, answers in jobs]
    state = State(settings.state)
    return runs.run(settings, made, state), state.read()["runs"], made


def test_all_went_well(tmp_path: Path) -> None:
    well, state, _ = run(tmp_path, ("redis", {"local": [STORED], "offsite": [STORED]}))
    assert well
    assert state["redis"]["offsite"] | {"duration": 0} == {
        "ok": 1,
        "id": "abc",
        "size": 5,
        "content": 7,
        "error": None,
        "duration": 0,
        "last_run": state["redis"]["offsite"]["last_success"],
        "last_success": state["redis"]["offsite"]["last_success"],
    }


def test_a_destination_that_fails_keeps_no_other_from_being_made(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    away = BackupError("S3 is away")
    well, state, _ = run(
        tmp_path, ("redis", {"offsite": [away], "local": [STORED]}), ("qdrant", {"local": [STORED], "offsite": [away]})
    )
    assert not well
    assert {job: {place: entry["ok"] for place, entry in places.items()} for job, places in state.items()} == {
        "redis": {"offsite": 0, "local": 1},
        "qdrant": {"local": 1, "offsite": 0},
    }
    assert "last_success" not in state["redis"]["offsite"] and state["redis"]["offsite"]["error"] == "S3 is away"
    said = capsys.readouterr().err
    assert "redis → offsite: FAILED: S3 is away" in said and "FAILED in redis, qdrant" in said


def test_a_job_that_cannot_be_put_together_failed_everywhere(tmp_path: Path) -> None:
    settings = config(tmp_path)
    jobs = [
        Told(settings, "redis", {"local": [], "offsite": []}, prepared_error="busy"),
        Told(settings, "next", {"local": [STORED]}),
    ]
    state = State(settings.state)
    assert not runs.run(settings, jobs, state)
    found = state.read()["runs"]
    assert [found["redis"][place]["ok"] for place in ("local", "offsite")] == [0, 0]
    assert found["next"]["local"]["ok"] == 1


def test_an_older_success_is_remembered(tmp_path: Path) -> None:
    _, before, _ = run(tmp_path, ("redis", {"local": [STORED]}))
    _, after, _ = run(tmp_path, ("redis", {"local": [BackupError("no")]}))
    assert after["redis"]["local"]["last_success"] == before["redis"]["local"]["last_success"]
    assert after["redis"]["local"]["ok"] == 0


def test_what_may_pass_is_tried_again_and_what_does_not_is_not(tmp_path: Path) -> None:
    for error, tries, well in ((PassingError("later"), 3, True), (BackupError("never"), 1, False)):
        answers = {"local": [error, error, STORED]}
        result, _, (job,) = run(tmp_path, ("redis", answers), retry_s=[0, 0])
        assert (result, len(job.asked)) == (well, tries)


def test_the_last_error_is_raised_after_the_pauses() -> None:
    slept: list[float] = []
    errors = iter([PassingError("1"), PassingError("2"), PassingError("3")])

    def attempt() -> None:
        raise next(errors)

    with pytest.raises(PassingError, match="3"):
        retry.patiently(attempt, [30, 120], job="j", destination="d", sleep=slept.append)
    assert slept == [30, 120]


def test_what_a_killed_run_left_is_removed_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    removed: list[bool] = []
    monkeypatch.setattr(Compose, "remove_leftovers", lambda self: removed.append(True))
    left = tmp_path / "state" / "staging" / "redis" / "data"
    left.mkdir(parents=True)
    run(tmp_path, ("redis", {"local": [STORED]}))
    assert removed == [True] and not left.exists()


def verified(directory: Path, answers: dict[str, list[Any]], **how: Any) -> tuple[bool, dict[str, Any], Told]:
    settings = config(directory)
    job = Told(settings, "redis", answers)
    state = State(settings.state)
    return verification.verify(settings, [job], state, **how), state.read().get("verified", {}), job


def test_the_newest_of_each_destination_is_looked_at(tmp_path: Path) -> None:
    well, state, job = verified(tmp_path, {"local": [[]], "offsite": [[]]})
    assert well and job.asked == ["local", "offsite"]
    assert {place: (entry["ok"], entry["id"]) for place, entry in state["redis"].items()} == {
        "local": (1, "redis-2"),
        "offsite": (1, "redis-2"),
    }


def test_a_difference_is_no_success_and_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    wrong = [f"difference {number}" for number in range(25)]
    well, state, _ = verified(tmp_path, {"local": [wrong], "offsite": [[]]})
    assert not well and (state["redis"]["local"]["ok"], state["redis"]["offsite"]["ok"]) == (0, 1)
    said = capsys.readouterr().err
    assert "redis → local: difference 19" in said and "difference 20" not in said and "and 5 more" in said


def test_one_point_or_one_destination_can_be_asked_for(tmp_path: Path) -> None:
    well, state, job = verified(tmp_path, {"local": [[]], "offsite": [[]]}, destination="offsite", point_id="redis-1")
    assert well and job.asked == ["offsite"] and state["redis"]["offsite"]["id"] == "redis-1"


def test_what_is_not_there_cannot_have_been_verified(tmp_path: Path) -> None:
    assert not verified(tmp_path, {"local": [[]]}, point_id="gone")[0]
    assert not verified(tmp_path, {"local": [[]]}, destination="gone")[0]


def test_whatever_goes_wrong_in_a_job_the_others_are_made(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    well, state, _ = run(tmp_path, ("redis", {"local": [KeyError("used_memory")]}), ("next", {"local": [STORED]}))
    assert not well and (state["redis"]["local"]["ok"], state["next"]["local"]["ok"]) == (0, 1)
    said = capsys.readouterr().err
    assert "redis → local: FAILED: Traceback" in said and "used_memory" in said
    assert not verified(tmp_path, {"local": [KeyError("x")], "offsite": [[]]})[0]


def test_an_engine_that_does_not_answer_keeps_no_job_from_being_tried(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(self: Compose) -> None:
        raise BackupError("Cannot connect to the Docker daemon")

    monkeypatch.setattr(Compose, "remove_leftovers", away)
    assert run(tmp_path, ("configs", {"local": [STORED]}))[0]


def test_a_run_clears_what_is_of_its_own_jobs_alone(tmp_path: Path) -> None:
    for job in ("redis", "media"):
        (tmp_path / "state" / "scratch" / job).mkdir(parents=True)
    run(tmp_path, ("redis", {"local": [STORED]}))
    assert [path.name for path in (tmp_path / "state" / "scratch").iterdir()] == ["media"]


def test_a_service_that_starts_late_is_waited_for(tmp_path: Path) -> None:
    settings = config(tmp_path, retry_s=[0, 0])
    job = Told(settings, "redis", {"local": [STORED]})
    prepared, tries = job.prepared, []

    def late(run_id: str) -> Any:
        tries.append(run_id)
        if len(tries) < 3:
            raise PassingError("redis does not run")
        return prepared(run_id)

    job.prepared = late  # type: ignore[method-assign]
    assert runs.run(settings, [job], State(settings.state))
    assert len(tries) == 3
