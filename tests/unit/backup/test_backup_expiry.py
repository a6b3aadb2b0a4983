"""What `keep` forgets, and what it never does."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from backup_case import NOW, config

from somos_backup.restic import Restic, Snapshot, expired

DAY = timedelta(days=1)


def taken(*days_ago: float) -> list[Snapshot]:
    """Snapshots that are so old, oldest first."""
    return [Snapshot(f"{days}", NOW - days * DAY, (), 1) for days in sorted(days_ago, reverse=True)]


def kept(days: int, *days_ago: float) -> list[float]:
    gone = {snapshot.id for snapshot in expired(taken(*days_ago), days, NOW)}
    return [each for each in sorted(days_ago) if f"{each}" not in gone]


def test_ages_count_from_the_newest() -> None:
    assert kept(14, *range(30)) == list(range(15))
    # Nothing was backed up for a hundred days: nothing that was within then is gone now.
    assert kept(14, *range(100, 130)) == list(range(100, 115))


def test_the_last_three_stay_however_old_they_are() -> None:
    assert kept(14, 0, 100, 101, 102, 103) == [0, 100, 101]
    assert kept(14, 0) == [0]
    assert kept(14) == []


def test_what_a_wrong_clock_made_pushes_nothing_out() -> None:
    # As `--keep-within` has it, all but the last would be gone: 400 days older than the newest.
    assert kept(14, *range(10), -400) == [-400, *range(10)]
    assert kept(14, -400) == [-400]
    # Its time has come: now it counts.
    assert kept(14, -1, *range(14)) == [-1, *range(14)]


def test_an_hour_back_is_no_wrong_clock() -> None:
    assert kept(14, -1 / 24, 0, 1, 2, 13, 14, 15) == [-1 / 24, 0, 1, 2, 13]


@pytest.fixture
def calls(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "calls"
    now = datetime.now(timezone.utc)
    listed = [
        {"id": f"{days}", "time": (now - days * DAY).isoformat(), "paths": ["/x"], "tags": ["redis"]}
        for days in (1, 2, 3, 20, 21)
    ]
    program = tmp_path / "restic"
    (tmp_path / "listed").write_text(json.dumps(listed))
    program.write_text(f'#!/bin/sh\necho "$@" >> {path}\ncase "$*" in *snapshots*) cat {tmp_path}/listed;; esac\n')
    program.chmod(0o755)
    yield path


def test_what_is_too_old_is_forgotten_by_its_id_and_else_nothing_is_run(tmp_path: Path, calls: Path) -> None:
    settings = config(tmp_path, restic=str(tmp_path / "restic"))
    repository = Restic(settings, settings.repositories["local"])
    repository.keep("redis", 14)
    listing, forgetting = calls.read_text().splitlines()
    assert "--tag=redis" in listing and forgetting.endswith(" forget 21 20")
    calls.unlink()
    repository.keep("redis", 30)
    assert "forget" not in calls.read_text()
