"""A disk so full that not even what happened can be noted, and a table that is locked for ever."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from backup_case import Told, config

from somos_backup import cli, postgres, runs, verification
from somos_backup.compose import Compose
from somos_backup.errors import BusyError
from somos_backup.jobs.base import Stored
from somos_backup.state import State, alone

STORED = Stored("abc", 5, 7)


@pytest.fixture
def full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> State:
    """No state can be written: a directory stands in its place."""
    monkeypatch.setattr(Compose, "remove_leftovers", lambda self: None)
    (tmp_path / "state" / "state.json").mkdir(parents=True)
    return State(tmp_path / "state")


def test_every_job_is_tried_and_the_run_is_no_success(
    tmp_path: Path, full: State, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = config(tmp_path)
    jobs = [Told(settings, name, {"local": [STORED], "offsite": [STORED]}) for name in ("redis", "qdrant")]
    assert not runs.run(settings, jobs, full)
    assert [job.asked for job in jobs] == [["local", "offsite"]] * 2
    said = capsys.readouterr().err
    assert "qdrant → offsite: " in said and "state.json cannot be written: Is a directory. Free space there." in said


def test_nor_is_a_verification(tmp_path: Path, full: State) -> None:
    settings = config(tmp_path)
    job = Told(settings, "redis", {"local": [[]], "offsite": [[]]})
    assert not verification.verify(settings, [job], full)
    assert job.asked == ["local", "offsite"]


def test_the_command_line_says_so_without_a_traceback(
    tmp_path: Path, full: State, capsys: pytest.CaptureFixture[str]
) -> None:
    values = {"name": "s", "project": str(tmp_path), "state": str(tmp_path / "state"), "repositories": {}, "jobs": []}
    path = tmp_path / "config.json"
    path.write_text(json.dumps(values))
    assert cli.main([f"--config={path}", "failed", "a.service"]) == cli.FAILED
    assert "somos-backup: " in capsys.readouterr().err
    (tmp_path / "state" / "lock").mkdir()
    assert cli.main([f"--config={path}", "run"]) == cli.FAILED
    assert "state/lock: Is a directory" in capsys.readouterr().err


def test_the_lock_holds_where_nothing_can_be_written_into_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_room(*arguments: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.write", no_room)
    with alone(tmp_path, "run", 0), pytest.raises(BusyError), alone(tmp_path, "verify", 0):
        pass


def test_nobody_waits_for_ever_for_a_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    docker = tmp_path / "docker"
    docker.write_text(f'#!/bin/sh\necho "$@" > {tmp_path}/argv\n')
    docker.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    with postgres.session(Compose(tmp_path, tmp_path / "scratch.yml"), "postgres", "somos"):
        pass
    assert "--env=PGOPTIONS=-c lock_timeout=10min -c statement_timeout=0 " in (tmp_path / "argv").read_text()
