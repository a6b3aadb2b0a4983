"""120 days of backups with the real restic and the program's own classes: what the table promises remains, no more.

No server: `restic backup --time` makes each day's snapshot, `Restic.keep` expires it, as a run does. Local only.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from somos_backup.config import Config, parse
from somos_backup.restic import KEPT_ALWAYS, Restic
from tests.host.images import ensure_images
from tests.host.names import BUILD, NETWORK
from tests.host.shell import run

DAYS = 120
# The seed's table.
KEPT = {"postgres-dump": 30, "redis": 14, "qdrant": 14, "configs": 90}
# The real clock stands at the last day: nothing here is from the future unless a test says so.
LAST = datetime.now(timezone.utc).replace(hour=3, minute=0, second=0, microsecond=0) - timedelta(days=1)


class Calendar:
    """A repository, in which days pass. Days count from 1; *LAST* is day 120."""

    def __init__(self, directory: Path) -> None:
        self.content = directory / "content"
        self.content.mkdir()
        passphrase = directory / "passphrase"
        passphrase.write_text("of a test\n")
        self.config = self._config(directory, {"url": str(directory / "repository"), "password_file": str(passphrase)})
        self.repository = Restic(self.config, self.config.repositories["local"])
        self.repository.ready()

    @staticmethod
    def _config(directory: Path, repository: dict[str, str]) -> Config:
        values = {"name": "server", "project": str(directory), "state": str(directory / "state"), "jobs": []}
        return parse(values | {"restic": restic(), "repositories": {"local": repository}}, "test")

    def back_up(self, job: str, day: float) -> None:
        """What a run at three in the morning of *day* does, at that time."""
        (self.content / "data").write_text(f"{job} of day {day}\n")
        when = (LAST + timedelta(days=day - DAYS)).astimezone().strftime("%Y-%m-%d %H:%M:%S")
        self.repository.own_command(
            ["backup", "--quiet", f"--time={when}", "--host=server", f"--tag={job}", f"--tag=run=day-{day}",
             str(self.content)]
        )  # fmt: skip
        self.repository.keep(job, KEPT[job])

    def days(self, job: str) -> list[int]:
        """Of the snapshots that are there."""
        found = self.repository.snapshots(job)
        return [DAYS - round((LAST - snapshot.time) / timedelta(days=1)) for snapshot in found]


def restic() -> str:
    """Debian 13's, taken out of a container once: what a machine has may be too old for the program."""
    program = BUILD / "torture" / "restic"
    if not program.exists():
        image = ensure_images(["host:debian13"])["host:debian13"]
        script = "(apt-get -qq update && apt-get -qqy install restic) >&2 && cat /usr/bin/restic"
        found = run(["docker", "run", "--rm", f"--network={NETWORK}", "--entrypoint=sh", image, "-c", script]).stdout
        program.parent.mkdir(parents=True, exist_ok=True)
        unfinished = program.with_suffix(".new")
        unfinished.write_bytes(found)
        unfinished.chmod(0o755)
        unfinished.rename(program)
    return str(program)


@pytest.fixture
def calendar(tmp_path: Path) -> Calendar:
    return Calendar(tmp_path)


def pass_days(calendar: Calendar, job: str, runs: Callable[[int], bool]) -> None:
    for day in range(1, DAYS + 1):
        if runs(day):
            calendar.back_up(job, day)


def test_after_120_days_exactly_what_the_table_says_is_there(tmp_path: Path) -> None:
    """What is exactly so old goes. Every fifth day only where all is to be gone anyway."""

    def after(job: str) -> list[int]:
        (tmp_path / job).mkdir()
        calendar = Calendar(tmp_path / job)
        pass_days(calendar, job, lambda day: day > DAYS - 2 * KEPT[job] or day % 5 == 0)
        return calendar.days(job)

    with ThreadPoolExecutor() as threads:
        found = dict(zip(KEPT, threads.map(after, KEPT), strict=True))
    assert found == {job: list(range(DAYS - days + 1, DAYS + 1)) for job, days in KEPT.items()}


def test_jobs_of_one_repository_expire_each_by_itself(calendar: Calendar) -> None:
    """Redis fails for the last month: it keeps what it has, while the dump goes on and expires."""
    for day in range(72, DAYS + 1):
        if day % 3 == 0:
            calendar.back_up("postgres-dump", day)
        if day <= DAYS - 30:
            calendar.back_up("redis", day)
    assert calendar.days("postgres-dump") == list(range(DAYS - 30 + 3, DAYS + 1, 3))
    assert calendar.days("redis") == list(range(DAYS - 30 - 14 + 1, DAYS - 30 + 1))
    # What it holds can be read: forgetting others, and pruning, took nothing that is needed.
    calendar.repository.prune()
    assert "no errors were found" in calendar.repository.own_command(["check", "--read-data"])


def test_nothing_goes_while_nothing_is_backed_up_and_then_the_newest_ones_stay(calendar: Calendar) -> None:
    """Twenty days of backups, a hundred without, and one more."""
    pass_days(calendar, "redis", lambda day: day <= 20)
    assert calendar.days("redis") == list(range(7, 21))
    calendar.back_up("redis", 121)
    assert calendar.days("redis") == [*range(21 - KEPT_ALWAYS + 1, 21), 121]


def test_a_run_with_the_clock_a_year_ahead_costs_nothing_that_is_made_afterwards(calendar: Calendar) -> None:
    pass_days(calendar, "redis", lambda day: day > 105)
    before = calendar.days("redis")
    (calendar.content / "data").write_text("of the future\n")
    ahead = (LAST + timedelta(days=365)).strftime("%Y-%m-%d %H:%M:%S")
    calendar.repository.own_command(["backup", f"--time={ahead}", "--tag=redis", str(calendar.content)])
    # Counted from this one, it would be the only one that is kept, tomorrow and for a year.
    calendar.repository.keep("redis", KEPT["redis"])
    assert calendar.days("redis") == [*before, DAYS + 365]


def test_an_hour_back_and_forth_changes_nothing(calendar: Calendar) -> None:
    for day in (118, 119, 120, 119.96, 120.96):
        calendar.back_up("redis", day)
    assert len(calendar.repository.snapshots("redis")) == 5
