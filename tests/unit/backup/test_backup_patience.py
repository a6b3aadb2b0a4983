"""A destination that is away costs a run its patience once, and no command for ever."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
from backup_case import Told, config

from somos_backup import process, restic, runs
from somos_backup.compose import Compose
from somos_backup.errors import PassingError
from somos_backup.jobs.base import Stored
from somos_backup.state import State

STORED = Stored("abc", 5, 7)


@pytest.fixture(autouse=True)
def no_containers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Compose, "remove_leftovers", lambda self: None)


def run(directory: Path, *answers: dict[str, list[Any]]) -> list[Told]:
    settings = config(directory, retry_s=[0, 0])
    jobs = [Told(settings, f"job-{number}", each) for number, each in enumerate(answers)]
    runs.run(settings, jobs, State(settings.state))
    return jobs


def test_where_one_job_has_waited_in_vain_the_next_tries_once(tmp_path: Path) -> None:
    away = [PassingError("away")] * 3
    first, second = run(tmp_path, {"offsite": [*away], "local": [STORED]}, {"offsite": [*away], "local": [STORED]})
    assert first.asked == ["offsite"] * 3 + ["local"]
    assert second.asked == ["offsite", "local"]


def test_patience_comes_back_with_the_destination(tmp_path: Path) -> None:
    away = PassingError("away")
    jobs = run(tmp_path, {"offsite": [away] * 3}, {"offsite": [STORED]}, {"offsite": [away, away, STORED]})
    assert [len(job.asked) for job in jobs] == [3, 1, 3]


def test_a_repository_that_does_not_answer_is_not_waited_for_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "restic"
    program.write_text(f"#!{sys.executable}\nimport time\ntime.sleep(60)\n")
    program.chmod(0o755)
    monkeypatch.setattr(restic, "ANSWER_LIMIT_S", 0.2)
    settings = config(tmp_path, restic=str(program))
    for question in (restic.Restic.ready, restic.Restic.snapshots):
        with pytest.raises(PassingError, match=r"offsite: s3:.*: no answer within 0 s"):
            question(restic.Restic(settings, settings.repositories["offsite"]))


def test_what_runs_over_its_time_is_killed_and_named() -> None:
    with pytest.raises(process.TimeLimitError, match="Sleeping was ended"):
        process.run(["sleep", "60"], what="Sleeping", limit_s=0.1)
