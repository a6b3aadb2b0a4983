from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from fake_docker import FakeDocker

from ansible_collections.somos.infra.plugins.modules import compose_drift

MODEL: dict[str, Any] = {
    "services": {
        "redis": {
            "command": ["redis-server", "--requirepass", "s3cr3t"],
            "cpu_shares": 2048,
            "deploy": {"resources": {"limits": {"memory": "268435456", "pids": 100}}},
            "memswap_limit": "268435456",
            "networks": {"internal": {"aliases": ["broker"]}},
            "restart": "always",
        }
    },
    "networks": {"internal": {"name": "somos_internal"}, "egress": {"name": "somos_egress"}},
}
CONTAINER: dict[str, Any] = {
    "Id": "aaa",
    "Name": "/somos-redis-1",
    "Config": {"Labels": {"com.docker.compose.service": "redis"}},
    "HostConfig": {
        "CpuShares": 2048,
        "Memory": 268435456,
        "MemorySwap": 268435456,
        "PidsLimit": 100,
        "RestartPolicy": {"Name": "always"},
    },
    "NetworkSettings": {"Networks": {"somos_internal": {}}},
}


@pytest.fixture
def drift(run_module: Any, docker: FakeDocker, project: Path) -> Any:
    def run(host: dict[str, Any] | None = None, networks: list[str] | None = None, *, check: bool = False) -> Any:
        container = copy.deepcopy(CONTAINER)
        container["HostConfig"].update(host or {})
        if networks is not None:
            container["NetworkSettings"]["Networks"] = {name: {} for name in networks}
        docker.answer("info", out="true\n")
        docker.answer("ps --quiet", out="aaa\n")
        docker.answer("config --format json", out=json.dumps(MODEL))
        docker.answer("inspect aaa", out=json.dumps([container]))
        return run_module(compose_drift, check=check, project_directory=str(project))

    return run


def commands(docker: FakeDocker) -> list[str]:
    return [call for call in docker.calls if call.startswith(("update", "network"))]


def test_a_container_as_it_was_made_is_left_alone(drift: Any, docker: FakeDocker) -> None:
    result = drift()
    assert (result["changed"], result["drifted"], commands(docker)) == (False, [], [])


@pytest.mark.parametrize(
    ("host", "command"),
    [
        ({"Memory": 0, "MemorySwap": 0}, "update --memory 268435456 --memory-swap 268435456 aaa"),
        ({"MemorySwap": -1}, "update --memory-swap 268435456 --memory 268435456 aaa"),
        ({"PidsLimit": None}, "update --pids-limit 100 aaa"),
        ({"CpuShares": 2}, "update --cpu-shares 2048 aaa"),
        ({"RestartPolicy": {"Name": "no"}}, "update --restart always aaa"),
    ],
)
def test_a_limit_that_was_changed_by_hand_is_put_back(
    drift: Any, docker: FakeDocker, host: dict[str, Any], command: str
) -> None:
    result = drift(host)
    assert result["drifted"] == ["somos-redis-1"]
    assert commands(docker) == [command]


def test_a_network_that_was_joined_or_left_by_hand_is_put_right_and_never_the_last_one_first(
    drift: Any, docker: FakeDocker
) -> None:
    drift(networks=["somos_egress"])
    assert commands(docker) == [
        "network connect --alias redis --alias broker somos_internal aaa",
        "network disconnect somos_egress aaa",
    ]


def test_check_mode_shows_the_difference_and_does_nothing(drift: Any, docker: FakeDocker) -> None:
    result = drift({"PidsLimit": 7}, ["somos_egress", "somos_internal"], check=True)
    assert result["changed"] and commands(docker) == []
    assert result["diff"] == {
        "before": {"somos-redis-1": {"pids": 7, "networks": ["somos_egress", "somos_internal"]}},
        "after": {"somos-redis-1": {"pids": 100, "networks": ["somos_internal"]}},
    }


def test_no_word_of_the_model_s_secrets_is_returned(drift: Any) -> None:
    assert "s3cr3t" not in json.dumps(drift({"PidsLimit": 7}))


def test_a_kernel_that_cannot_limit_swap_is_no_drift(drift: Any, docker: FakeDocker, run_module: Any) -> None:
    drift({"MemorySwap": -1}, check=True)
    docker.answer("info", out="false\n")
    project = docker.directory.parent / "project"
    assert run_module(compose_drift, project_directory=str(project))["drifted"] == []


def test_what_docker_refuses_is_said_with_the_way_out(drift: Any, docker: FakeDocker, run_module: Any) -> None:
    docker.answer("update", err="Cannot update container: memory in use", code=1)
    result = drift({"Memory": 1 << 40})
    assert result["failed"]
    for words in ("somos-redis-1", "memory in use", "--force-recreate"):
        assert words in result["msg"]


def test_a_virgin_host_has_nothing_to_compare_in_check_mode(
    run_module: Any, docker: FakeDocker, tmp_path: Path
) -> None:
    result = run_module(compose_drift, check=True, project_directory=str(tmp_path / "absent"))
    assert (result["changed"], docker.calls) == (False, [])
