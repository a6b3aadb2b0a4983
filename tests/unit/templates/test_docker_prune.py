"""docker-prune against an engine of JSON: what goes, what stays and why, and what makes it remove nothing."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from render import ROOT

PROGRAM = ROOT / "roles/docker/templates/usr/local/lib/somos/docker-prune"
OLD = "2020-01-01T00:00:00.123456789Z"
NEVER = "0001-01-01T00:00:00Z"

# Answers as the engine does, out of engine.json, and writes down what is removed.
DOCKER = f"""#!{sys.executable}
import json, pathlib, sys
home = pathlib.Path(__file__).parent.parent
engine = json.loads((home / "engine.json").read_text())
words = sys.argv[1:]
if words[:2] == ["image", "ls"]:
    print("\\n".join(image["Id"] for image in engine["images"]))
elif words[:2] == ["image", "inspect"]:
    print(json.dumps([image for image in engine["images"] if image["Id"] in words[2:]]))
elif words[:2] == ["container", "ls"]:
    print("\\n".join(engine["containers"]))
elif words[:2] == ["container", "inspect"]:
    print("\\n".join(engine["containers"][one] for one in words[4:]))
elif words[0] == "compose":
    assert words[3:5] == ["--profile", "*"]
    if engine["compose"] is None:
        sys.exit("yaml: line 3: mapping values are not allowed")
    print("\\n".join(engine["compose"]))
elif words[:2] == ["image", "rm"]:
    if any(name in engine["busy"] for name in words[2:]):
        sys.exit("conflict: unable to remove repository reference")
    with (home / "removed").open("a") as log:
        log.write("\\n".join(words[2:]) + "\\n")
"""


def image(
    name: str, *tags: str, created: str = OLD, tagged: str = NEVER, digests: tuple[str, ...] = ()
) -> dict[str, Any]:
    return {
        "Id": f"sha256:{name}",
        "RepoTags": list(tags),
        "RepoDigests": list(digests),
        "Created": created,
        "Metadata": {"LastTagTime": tagged},
    }


class Engine:
    """A directory with a docker command, settings and a project."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.state: dict[str, Any] = {"images": [], "containers": {}, "compose": [], "busy": []}
        (home / "bin").mkdir()
        (home / "bin" / "docker").write_text(DOCKER)
        (home / "bin" / "docker").chmod(0o755)
        (home / "project" / "releases").mkdir(parents=True)
        (home / "project" / ".env").touch()
        self.settings: dict[str, Any] = {
            "min_age_hours": 168,
            "projects": [str(home / "project"), str(home / "absent")],
            "releases": [str(home / "project" / "releases" / "*")],
            "keep": [],
        }

    def release(self, name: str, text: str) -> None:
        (self.home / "project" / "releases" / name).write_text(text)

    def prune(self, *options: str) -> subprocess.CompletedProcess[str]:
        (self.home / "engine.json").write_text(json.dumps(self.state))
        (self.home / "settings.json").write_text(json.dumps(self.settings))
        argv = [sys.executable, str(PROGRAM), "--config", str(self.home / "settings.json"), *options]
        path = {"PATH": f"{self.home / 'bin'}:/usr/bin:/bin"}
        return subprocess.run(argv, env=path, capture_output=True, text=True, check=False)

    def removed(self) -> list[str]:
        log = self.home / "removed"
        return log.read_text().split() if log.exists() else []


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    return Engine(tmp_path)


def ago(days: float) -> str:
    return (datetime.now(timezone.utc) - timedelta(days=days)).isoformat()


def test_an_old_image_that_nothing_needs_goes(engine: Engine) -> None:
    engine.state["images"] = [image("a", "app:1", "app:one"), image("b", digests=("app@sha256:bb",)), image("c")]
    assert engine.prune().returncode == 0
    assert engine.removed() == ["app:1", "app:one", "app@sha256:bb", "sha256:c"]


@pytest.mark.parametrize(
    "record", ["abc123\n", '{"previous": {"release": "abc123"}, "images": []}', "RELEASE='abc123'"]
)
def test_the_image_of_a_release_that_may_come_back_stays(engine: Engine, record: str) -> None:
    engine.state["images"] = [image("a", "registry.example:5000/app/backend:abc123"), image("b", "app/backend:0ld")]
    engine.release("previous", record)
    engine.prune()
    assert engine.removed() == ["app/backend:0ld"]


def test_a_release_may_be_recorded_by_name_or_by_digest(engine: Engine) -> None:
    engine.state["images"] = [image("a", "app:1"), image("b", digests=("app@sha256:bb",)), image("c", "other:1")]
    engine.release("current", "app:1 app@sha256:bb\n")
    engine.prune()
    assert engine.removed() == ["other:1"]


@pytest.mark.parametrize(
    ("named", "tag"),
    [("nginx:1.30", "nginx:1.30"), ("docker.io/library/nginx:1.30", "nginx:1.30"), ("nginx", "nginx:" + "latest")],
)
def test_what_the_project_names_stays_whether_it_runs_or_not(engine: Engine, named: str, tag: str) -> None:
    engine.state["images"] = [image("a", tag), image("b", "nginx:1.28")]
    engine.state["compose"] = [named]
    engine.prune()
    assert engine.removed() == ["nginx:1.28"]


def test_the_image_of_a_container_stays_even_when_it_has_stopped_or_lost_its_tag(engine: Engine) -> None:
    engine.state["images"] = [image("a"), image("b", "other:1")]
    engine.state["containers"] = {"one": "sha256:a"}
    engine.prune()
    assert engine.removed() == ["other:1"]


def test_an_image_that_came_lately_stays_although_it_was_built_long_ago(engine: Engine) -> None:
    engine.state["images"] = [
        image("a", "a:1", tagged=ago(6)),
        image("b", "b:1", tagged=ago(8)),
        image("c", created=ago(1)),
    ]
    engine.prune()
    assert engine.removed() == ["b:1"]
    assert engine.prune("--min-age-hours", "1").returncode == 0
    assert engine.removed()[1:] == ["a:1", "b:1", "sha256:c"]


def test_names_that_the_operator_declares_stay(engine: Engine) -> None:
    engine.state["images"] = [image("a", "ghcr.io/somos/tool:3"), image("b", "ghcr.io/other/tool:3")]
    engine.settings["keep"] = ["ghcr.io/somos/*"]
    engine.prune()
    assert engine.removed() == ["ghcr.io/other/tool:3"]


def test_a_dry_run_says_what_would_go_and_why_the_rest_stays(engine: Engine) -> None:
    engine.state["images"] = [image("a", "app:1"), image("b", "app:2")]
    engine.state["compose"] = ["app:2"]
    said = engine.prune("--dry-run").stdout.splitlines()
    assert said == ["keep app:2: a Compose project names it", "would remove app:1"] and engine.removed() == []


def test_nothing_is_removed_when_the_project_cannot_be_read(engine: Engine) -> None:
    engine.state["images"] = [image("a", "app:1")]
    engine.state["compose"] = None
    ended = engine.prune()
    assert ended.returncode == 1
    assert "nothing was removed, because it is not known what is needed" in ended.stderr
    assert "mapping values" in ended.stderr
    assert engine.removed() == []


def test_an_image_that_the_engine_does_not_let_go_is_reported_and_the_others_go(engine: Engine) -> None:
    engine.state["images"] = [image("a", "app:1"), image("b", "app:2")]
    engine.state["busy"] = ["app:1"]
    ended = engine.prune()
    assert (ended.returncode, engine.removed()) == (1, ["app:2"])
    assert "stays after all" in ended.stderr


def test_a_server_without_images_is_fine(engine: Engine) -> None:
    assert engine.prune().returncode == 0
