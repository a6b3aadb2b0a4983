from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from backup_case import Told, config

from somos_backup import cli
from somos_backup.compose import Compose
from somos_backup.errors import BackupError
from somos_backup.jobs.base import Stored
from somos_backup.state import State, alone

ROOT = Path(__file__).resolve().parents[3]
PROGRAM, CLIENT = ROOT / "roles" / "backup" / "files", ROOT / "plugins" / "module_utils"
FILES = {"name": "configs", "kind": "files", "paths": [], "keep_days": 90}


@pytest.fixture
def jobs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Told]:
    """Two daily jobs and a weekly one, and their configuration's file."""
    monkeypatch.setattr(Compose, "remove_leftovers", lambda self: None)
    settings = config(tmp_path)
    stored = [Stored("abc", 1, 2)]
    made = {
        name: Told(settings, name, {"local": [*stored]}, weekly=name == "media")
        for name in ("redis", "configs", "media")
    }

    def chosen(_: Any, names: list[str], *, weekly: bool = True) -> list[Told]:
        return [job for job in made.values() if (job.name in names if names else weekly or not job.weekly)]

    monkeypatch.setattr(cli, "chosen", chosen)
    monkeypatch.setattr(cli, "all_jobs", lambda _: list(made.values()))
    return made


def call(directory: Path, *words: str, **changes: Any) -> int:
    values = {
        "name": "server",
        "project": str(directory),
        "state": str(directory / "state"),
        "textfile": str(directory),
        "retry_s": [],
        "repositories": {
            "local": {"url": str(directory / "repository"), "password_file": str(directory / "passphrase")}
        },
        "jobs": [FILES],
        **changes,
    }
    (directory / "config.json").write_text(json.dumps(values))
    return cli.main(["--config", str(directory / "config.json"), *words])


def test_a_run_is_of_all_daily_jobs_and_writes_metrics(tmp_path: Path, jobs: dict[str, Told]) -> None:
    assert call(tmp_path, "run") == 0
    assert [name for name, job in jobs.items() if job.asked] == ["redis", "configs"]
    assert 'last_run_success{job="redis",destination="local"} 1' in (tmp_path / "somos_backup.prom").read_text()


def test_the_weekly_one_runs_when_it_is_named(tmp_path: Path, jobs: dict[str, Told]) -> None:
    assert call(tmp_path, "run", "media") == 0
    assert [name for name, job in jobs.items() if job.asked] == ["media"]


def test_what_failed_is_an_exit_code_and_a_metric(tmp_path: Path, jobs: dict[str, Told]) -> None:
    jobs["redis"].answers["local"][0] = BackupError("no")  # type: ignore[index]
    assert call(tmp_path, "run") == 1
    assert 'last_run_success{job="redis",destination="local"} 0' in (tmp_path / "somos_backup.prom").read_text()


def test_a_second_command_goes_away_with_a_code_of_its_own(tmp_path: Path, jobs: dict[str, Told], capsys: Any) -> None:
    with alone(tmp_path / "state", "verify", 0):
        assert call(tmp_path, "run") == 75
    assert "is at work" in capsys.readouterr().err and not jobs["redis"].asked


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["run", "gone"], "there is no job gone; there are configs"),
        (["verify", "--point", "x"], "--point is of one job"),
        (["restic", "gone"], "there is no repository gone; there are local"),
    ],
)
def test_a_wrong_command_line_begins_nothing(tmp_path: Path, words: list[str], said: str, capsys: Any) -> None:
    assert call(tmp_path, *words) == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / "state").exists()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"jobs": [{"name": "x", "kind": "tape"}]}, "of kind tape; there are bucket, files"),
        ({"repositories": {"local": {"url": "x"}}}, "is not as expected"),
        ({"jobs": [{**FILES, "paths": ["/"]}], "repositories": None}, "is not as expected"),
    ],
)
def test_a_wrong_configuration_is_named(tmp_path: Path, changes: dict[str, Any], said: str, capsys: Any) -> None:
    assert call(tmp_path, "run", **changes) == 2
    assert said in capsys.readouterr().err


def test_a_configuration_that_is_missing_or_lacks_something_is_named(tmp_path: Path, capsys: Any) -> None:
    assert cli.main(["--config", str(tmp_path / "gone.json"), "list"]) == 2
    (tmp_path / "config.json").write_text('{"name": "x"}')
    assert cli.main(["--config", str(tmp_path / "config.json"), "list"]) == 2
    said = capsys.readouterr().err
    assert "gone.json cannot be read" in said and "lacks 'project'" in said


def test_what_there_is_comes_as_a_table_or_as_json(tmp_path: Path, jobs: dict[str, Told], capsys: Any) -> None:
    assert call(tmp_path, "list", "--job", "redis") == 0
    assert "redis-2" in capsys.readouterr().out
    assert call(tmp_path, "restore-points", "--job", "redis") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["unreachable"] == []
    assert found["points"][1] == {
        "id": "redis-2",
        "job": "redis",
        "destination": "local",
        "time": "2026-11-25T03:00:00+00:00",
        "size": 7,
    }


def test_a_destination_that_is_away_hides_no_other_and_is_told(
    tmp_path: Path, jobs: dict[str, Told], capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(destination: str) -> Any:
        raise BackupError("S3 is away")

    monkeypatch.setattr(jobs["redis"], "points", away)
    assert call(tmp_path, "restore-points") == 1
    found = json.loads(capsys.readouterr().out)
    assert found["unreachable"] == [{"job": "redis", "destination": "local", "error": "S3 is away"}]
    assert {point["job"] for point in found["points"]} == {"configs", "media"}


def test_nothing_is_restored_over_files_that_are_there(tmp_path: Path, capsys: Any) -> None:
    (tmp_path / "file").write_text("")
    assert call(tmp_path, "restore", "configs", "--to", str(tmp_path)) == 2
    assert "is not empty" in capsys.readouterr().err


def test_what_is_restored_otherwise_says_by_what(tmp_path: Path, capsys: Any) -> None:
    job = {"name": "postgres", "kind": "pgbackrest", "service": "postgres"}
    assert call(tmp_path, "restore", "postgres", "--to", str(tmp_path / "new"), jobs=[job]) == 2
    assert "is restored by pgBackRest" in capsys.readouterr().err


def test_a_unit_that_failed_is_a_metric_until_it_gets_to_its_end(
    tmp_path: Path, jobs: dict[str, Told], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert call(tmp_path, "failed", "somos-backup.service") == 0
    assert 'unit_failed{unit="somos-backup.service"} 1' in (tmp_path / "somos_backup.prom").read_text()
    monkeypatch.setenv("SOMOS_BACKUP_UNIT", "somos-backup.service")
    assert call(tmp_path, "run") == 0
    assert 'unit_failed{unit="somos-backup.service"} 0' in (tmp_path / "somos_backup.prom").read_text()


def test_a_figure_of_the_archive_that_cannot_be_had_is_no_old_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from somos_backup.jobs.pgbackrest import PgBackRest

    state = State(tmp_path / "state")
    with state.changed() as values:
        values["wal"] = {"wal_archive_age_seconds": 5, "gaps": {}}

    def away(job: PgBackRest) -> dict[str, Any]:
        raise BackupError("PostgreSQL does not answer")

    monkeypatch.setattr(cli, "wal_metrics", away)
    assert call(tmp_path, "metrics", jobs=[{"name": "postgres", "kind": "pgbackrest"}]) == 0
    assert "wal_archive_age" not in (tmp_path / "somos_backup.prom").read_text()


def test_restic_gets_what_stands_behind_the_dashes(tmp_path: Path, capfd: Any) -> None:
    program = tmp_path / "restic"
    program.write_text('#!/bin/bash\necho "${@: -2}"\n')
    program.chmod(0o755)
    assert call(tmp_path, "restic", "local", "--", "snapshots", "--json", restic=str(program)) == 0
    assert capfd.readouterr().out == "snapshots --json\n"


def test_media_wait_for_no_daily_run_and_the_other_way_round(tmp_path: Path, jobs: dict[str, Told]) -> None:
    with alone(tmp_path / "state", "run", 0):
        assert call(tmp_path, "run", "media") == 0
    with alone(tmp_path / "state", "run", 0, lock="lock.weekly"):
        assert call(tmp_path, "run", "media") == 75
        assert call(tmp_path, "run") == 0


def test_what_is_being_copied_is_verified_next_time(tmp_path: Path, jobs: dict[str, Told], capsys: Any) -> None:
    for job in jobs.values():
        job.answers["local"][:] = [[], []]
    with alone(tmp_path / "state", "run", 0, lock="lock.weekly"):
        assert call(tmp_path, "verify") == 0
    assert [name for name, job in jobs.items() if job.asked] == ["redis", "configs"]
    assert "is verified next time" in capsys.readouterr().err
    assert call(tmp_path, "verify") == 0
    assert jobs["media"].asked


def test_an_end_that_is_asked_for_lets_go_of_everything(tmp_path: Path) -> None:
    """systemd ends a unit with SIGTERM: Python's own answer to it would run no `finally`."""
    script = (
        "import os, signal, sys\n"
        f"sys.path.insert(0, {str(PROGRAM)!r})\n"
        "import types; client = types.ModuleType('somos_qdrant')\n"
        f"client.__path__ = [{str(CLIENT)!r}]; sys.modules['somos_qdrant'] = client\n"
        "from somos_backup import cli\n"
        "def killed(config, given):\n"
        "    try:\n        os.kill(os.getpid(), signal.SIGTERM); signal.pause()\n"
        "    finally:\n        print('let go')\n"
        "cli.COMMANDS['run'] = killed\n"
        f"cli.main(['--config', {str(tmp_path / 'config.json')!r}, 'run'])\n"
    )
    call(tmp_path, "failed", "a.service")  # writes the configuration
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False)
    assert (run.returncode, run.stdout) == (143, "let go\n"), run.stderr
