"""Scratch containers: beside production, never in its place. `docker` is a program that notes how it was called."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from somos_backup.compose import Compose
from somos_backup.errors import BackupError, PassingError

DOCKER = """#!/usr/bin/env python3
import json, os, sys
from pathlib import Path
here = Path(__file__).parent
given = " ".join(os.environ.get(name, "") for name in ("COMPOSE_PROJECT_NAME", "COMPOSE_FILE")).strip()
with (here / "calls").open("a") as calls:
    calls.write(json.dumps([sys.argv[1:], given]) + "\\n")
words = " ".join(sys.argv[1:])
places = (("volume", "/data"), ("bind", "/etc"), ("volume", "/more"))
mounts = [{"Type": kind, "Destination": place} for kind, place in places]
count = len((here / "calls").read_text().splitlines())
for start, answer in {
    "compose ps --services": "redis\\n",
    "compose ps --quiet": "production\\n",
    "inspect --format={{json .Mounts}}": json.dumps(mounts),
    "volume create": f"volume{count}\\n",
    "volume inspect": f"{here}\\n",
    "compose run": "said\\n",
    "ps --all --quiet --filter=volume": "left\\n" if (here / "left").exists() else "",
}.items():
    if words.startswith(start):
        sys.stdout.write(answer)
sys.exit(3 if words.startswith("compose run") and (here / "fails").exists() else 0)
"""


@pytest.fixture
def compose(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Compose:
    (tmp_path / "docker").write_text(DOCKER)
    (tmp_path / "docker").chmod(0o755)
    (tmp_path / ".env").write_text("COMPOSE_PROJECT_NAME=somos\nCOMPOSE_FILE=compose.d/a.yml:compose.d/b.yml\n")
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/local/bin:/usr/bin:/bin")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=2 << 30))
    return Compose(tmp_path, tmp_path / "state" / "scratch.yml")


def calls(compose: Compose) -> list[tuple[str, str]]:
    found: list[list[Any]] = [json.loads(line) for line in (compose.directory / "calls").read_text().splitlines()]
    return [(" ".join(words), files) for words, files in found]


def test_every_volume_of_the_service_has_an_empty_one_in_its_place(compose: Compose) -> None:
    assert (
        compose.scratch("redis", "-c", "true", what="Trying", entrypoint="sh", need=0, mounts=["/x:/restored:ro"])
        == "said\n"
    )
    (run,) = [words for words, _ in calls(compose) if words.startswith("compose run")]
    volumes = [word.removeprefix("--volume=") for word in run.split() if word.startswith("--volume=")]
    assert [volume.split(":")[1] for volume in volumes] == ["/data", "/more", "/restored"]
    made = [volume.split(":")[0] for volume in volumes[:2]]
    assert all(name.startswith("volume") and name[6:].isdigit() for name in made) and len(set(made)) == 2
    removed = [words.split()[-1] for words, _ in calls(compose) if words.startswith("volume rm")]
    assert removed == made
    assert " --rm -T --no-deps --label=somos.backup.scratch=1 " in run


def test_it_gives_way_to_everything_else(compose: Compose) -> None:
    compose.scratch("redis", what="Trying", entrypoint="sh", need=0)
    (files,) = [files for words, files in calls(compose) if words.startswith("compose run")]
    assert files == f"somos compose.d/a.yml:compose.d/b.yml:{compose.override}"
    assert json.loads(compose.override.read_text()) == {"services": {"redis": {"oom_score_adj": 1000, "cpu_shares": 2}}}
    assert all(not files for words, files in calls(compose) if words.startswith("compose ps"))


def test_it_is_not_begun_without_room_for_what_it_writes(compose: Compose) -> None:
    compose.scratch("redis", what="Trying", entrypoint="sh", need=1 << 30)
    with pytest.raises(BackupError, match="are needed"):
        compose.scratch("redis", what="Trying", entrypoint="sh", need=(1 << 30) + 1)
    assert sum(words.startswith("compose run") for words, _ in calls(compose)) == 1
    assert sum(words.startswith("volume rm") for words, _ in calls(compose)) == 4


def test_what_fails_takes_its_volumes_and_what_still_runs_on_them_along(compose: Compose) -> None:
    for name in ("fails", "left"):
        (compose.directory / name).touch()
    with pytest.raises(BackupError, match="Trying failed"):
        compose.scratch("redis", what="Trying", entrypoint="sh", need=0)
    words = [words for words, _ in calls(compose)]
    first = next(number for number, each in enumerate(words) if each.startswith("volume rm"))
    assert words[first - 1] == "rm --force left"


def test_a_service_that_does_not_run_may_come_yet(compose: Compose) -> None:
    with pytest.raises(PassingError, match="qdrant does not run"):
        compose.refuse_stopped("qdrant")
    compose.refuse_stopped("redis")


@pytest.mark.parametrize("text", [None, "COMPOSE_PROJECT_NAME=somos\n", "COMPOSE_FILE=a.yml\n"])
def test_a_project_without_a_list_of_files_is_named(compose: Compose, text: str | None) -> None:
    (compose.directory / ".env").unlink()
    if text:
        (compose.directory / ".env").write_text(text)
    with pytest.raises(BackupError, match="Run role stack again"):
        compose.scratch("redis", what="Trying", entrypoint="sh", need=0)
