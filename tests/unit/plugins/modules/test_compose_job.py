from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from fake_docker import FakeDocker

from ansible_collections.somos.infra.plugins.modules import compose_job


@pytest.fixture
def migrate(run_module: Any, docker: FakeDocker, project: Path, tmp_path: Path) -> Any:
    def run(key: str, *, check: bool = False, services: tuple[str, ...] = ("migrate",)) -> dict[str, Any]:
        return run_module(
            compose_job,
            check=check,
            project_directory=str(project),
            record=str(tmp_path / "record" / "jobs.json"),
            jobs=[{"service": service, "key": key} for service in services],
        )

    return run


def test_a_job_runs_once_per_key(migrate: Any, docker: FakeDocker) -> None:
    checked, ran = migrate("r1", check=True), migrate("r1")
    checked_again, ran_again = migrate("r1", check=True), migrate("r1")
    assert [result["changed"] for result in (checked, ran, checked_again, ran_again)] == [True, True, False, False]
    assert len(docker.calls) == 1
    assert docker.calls[0].endswith("run --rm --no-TTY --quiet-pull migrate")
    assert migrate("r2")["diff"] == {"before": {"migrate": "r1"}, "after": {"migrate": "r2"}}


def test_a_failed_job_is_not_recorded_and_tells_its_last_words(migrate: Any, docker: FakeDocker) -> None:
    docker.answer("migrate", err="relation exists", code=3)
    failed = migrate("r1")
    assert failed["failed"]
    for words in ("migrate", "r1", "exit code 3", "relation exists"):
        assert words in failed["msg"]
    docker.answer("migrate")
    assert migrate("r1")["changed"]


def test_jobs_before_a_failed_one_stay_recorded(migrate: Any, docker: FakeDocker) -> None:
    docker.answer("second", code=1)
    assert migrate("r1", services=("first", "second", "third"))["ran"] == ["first"]
    assert not any(call.endswith("third") for call in docker.calls)
    docker.answer("second")
    assert migrate("r1", services=("first", "second", "third"))["ran"] == ["second", "third"]


@pytest.mark.parametrize("content", ["", "{", "[]", "null"])
def test_a_damaged_record_costs_a_repetition_only(migrate: Any, tmp_path: Path, content: str) -> None:
    record = tmp_path / "record" / "jobs.json"
    record.parent.mkdir()
    record.write_text(content)
    assert migrate("r1")["changed"]
    assert json.loads(record.read_text()) == {"migrate": "r1"}


def test_without_docker_the_message_says_so(migrate: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("ansible.module_utils.basic.AnsibleModule.get_bin_path", lambda *_: None)
    assert "docker command is not installed" in migrate("r1")["msg"]
