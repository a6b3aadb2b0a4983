from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from fake_docker import FakeDocker

from ansible_collections.somos.infra.plugins.modules import compose_reload

ONE = "aaa 2026-01-01T00:00:00Z\n"


@pytest.fixture
def reload(run_module: Any, docker: FakeDocker, project: Path, tmp_path: Path) -> Any:
    docker.answer("ps --quiet nginx", out="aaa\n")
    docker.answer("inspect", out=ONE)

    def run(wanted: str, *, check: bool = False, directory: Path = project) -> dict[str, Any]:
        return run_module(
            compose_reload,
            check=check,
            project_directory=str(directory),
            record=str(tmp_path / "reloads.json"),
            reloads=[
                {"service": "nginx", "hash": wanted, "test": ["nginx", "-t"], "command": ["nginx", "-s", "reload"]}
            ],
        )

    return run


def executed(docker: FakeDocker) -> list[str]:
    return [call for call in docker.calls if call.startswith("exec")]


def test_a_container_reads_a_configuration_once(reload: Any, docker: FakeDocker) -> None:
    results = [reload("h1", check=True), reload("h1"), reload("h1", check=True), reload("h1")]
    assert [result["changed"] for result in results] == [True, True, False, False]
    assert executed(docker) == ["exec aaa nginx -t", "exec aaa nginx -s reload"]


def test_another_hash_another_container_or_another_start_reloads(reload: Any, docker: FakeDocker) -> None:
    reload("h1")
    assert reload("h2")["reloaded"] == ["nginx"]
    docker.answer("inspect", out="aaa 2026-01-02T00:00:00Z\n")
    assert reload("h2")["reloaded"] == ["nginx"]
    docker.answer("inspect", out="bbb 2026-01-02T00:00:00Z\n")
    assert reload("h2")["reloaded"] == ["nginx"]
    assert reload("h2")["reloaded"] == []


def test_a_container_that_was_led_into_another_network_forgets_the_addresses_it_knew(
    reload: Any, docker: FakeDocker
) -> None:
    docker.answer("inspect", out="aaa 2026-01-01T00:00:00Z edge\n")
    reload("h1")
    docker.answer("inspect", out="aaa 2026-01-01T00:00:00Z edge6\n")
    assert reload("h1")["reloaded"] == ["nginx"]
    assert reload("h1")["reloaded"] == []


def test_every_replica_is_reloaded(reload: Any, docker: FakeDocker) -> None:
    docker.answer("inspect", out=ONE + "bbb 2026-01-01T00:00:01Z\n")
    reload("h1")
    assert executed(docker)[2:] == ["exec bbb nginx -t", "exec bbb nginx -s reload"]


def test_a_configuration_that_fails_its_test_is_not_loaded_and_is_tried_again(reload: Any, docker: FakeDocker) -> None:
    docker.answer("nginx -t", err="unknown directive", code=1)
    failed = reload("h1")
    assert failed["failed"]
    assert "unknown directive" in failed["msg"]
    assert executed(docker) == ["exec aaa nginx -t"]
    docker.answer("nginx -t")
    assert reload("h1")["changed"]


def test_a_service_without_a_container_fails(reload: Any, docker: FakeDocker) -> None:
    docker.answer("ps --quiet nginx", out="")
    assert "no container" in reload("h1")["msg"]


def test_check_mode_on_a_virgin_host_predicts_a_reload(reload: Any, docker: FakeDocker, tmp_path: Path) -> None:
    result = reload("h1", check=True, directory=tmp_path / "absent")
    assert result["reloaded"] == ["nginx"]
    assert docker.calls == []
