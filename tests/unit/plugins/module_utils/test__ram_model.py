"""Reading a merged Compose model: sizes in everybody's units, and nothing else."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.somos.infra.plugins.module_utils._ram_model import Demand, ModelError, read_model


def demand(service: dict[str, Any], settings: dict[str, int] | None = None, name: str = "x") -> Demand:
    (read,) = read_model({"services": {name: service}}, [name], {name: settings or {}})
    return read


@pytest.mark.parametrize(
    "command, settings",
    [
        (["postgres", "-c", "work_mem=64MB"], {"work_mem_mb": 64, "shm_size_mb": 64}),
        (["-c", "shared_buffers=4GB", "-c", "shared_buffers=2GB"], {"shared_buffers_mb": 2048, "shm_size_mb": 64}),
        (
            ["postgres", "--work-mem=2048", "--max_connections=50"],
            {"work_mem_mb": 2, "max_connections": 50, "shm_size_mb": 64},
        ),
        (["postgres", "-c", "shared_buffers=16384"], {"shared_buffers_mb": 128, "shm_size_mb": 64}),
        (["postgres", "-c", "autovacuum_work_mem=-1"], {}),
        (["postgres", "-c", "log_min_duration_statement=1000"], {}),
        (["redis-server", "--maxmemory", "2gb"], {"maxmemory_mb": 2048}),
        (["redis-server", "--maxmemory", "1g"], {"maxmemory_mb": 954}),
        (["redis-server", "--maxmemory", "1073741824"], {"maxmemory_mb": 1024}),
        (["redis-server", "--appendonly", "yes"], {"maxmemory_mb": 0}),
        (["/usr/bin/valkey-server"], {"maxmemory_mb": 0}),
        (["redis-server", "/etc/redis/redis.conf"], {}),
        (["sh", "-c", "exec redis-server --maxmemory 64mb"], {"maxmemory_mb": 64}),
        (["gunicorn", "app.main:app", "--workers", "4"], {"workers": 4}),
        (["gunicorn", "-w", "3"], {"workers": 3}),
        (["other", "--workers", "4", "-w", "5", "-c", "6", "--concurrency", "7"], {}),
        (
            ["celery", "-A", "app", "worker", "-c", "4", "--max-memory-per-child=524288"],
            {"concurrency": 4, "max_memory_per_child_mb": 512},
        ),
        (["node", "--max-old-space-size=768", "server.js"], {"max_old_space_mb": 768}),
        (["sh", "-c", "it's --max_old_space_size=5"], {"max_old_space_mb": 5}),
    ],
)
def test_sizes_are_read_from_commands(command: list[str], settings: dict[str, int]) -> None:
    assert demand({"command": command}).settings == settings
    assert demand({"entrypoint": command, "command": None}).settings == settings


@pytest.mark.parametrize(
    "environment, settings",
    [
        ({"GOMEMLIMIT": "1800MiB"}, {"gomemlimit_mb": 1800}),
        ({"GOMEMLIMIT": "1073741824"}, {"gomemlimit_mb": 1024}),
        ({"GOMEMLIMIT": "off", "OTHER": None}, {}),
        ({"NODE_OPTIONS": "--enable-source-maps --max-old-space-size=700"}, {"max_old_space_mb": 700}),
        ({"WEB_CONCURRENCY": "3"}, {"workers": 3}),
        ({"GOMEMLIMIT": None}, {}),
    ],
)
def test_sizes_are_read_from_the_environment(environment: dict[str, Any], settings: dict[str, int]) -> None:
    assert demand({"environment": environment}).settings == settings


def test_a_command_overrides_the_environment_and_both_override_a_file() -> None:
    service = {"command": ["gunicorn", "--workers", "4"], "environment": {"GUNICORN_CMD_ARGS": "--workers 3"}}
    assert demand(service, {"workers": 2}).settings == {"workers": 4}
    assert demand({"command": ["gunicorn"], "environment": service["environment"]}, {"workers": 2}).settings == {
        "workers": 3
    }
    assert demand({}, {"workers": 2}).settings == {"workers": 2}


def test_the_size_of_shm_is_what_compose_gives_not_what_was_planned() -> None:
    assert demand({}, {"shared_buffers_mb": 1, "shm_size_mb": 999}).settings["shm_size_mb"] == 64
    assert demand({"shm_size": "1073741824"}, {"shared_buffers_mb": 1}).settings["shm_size_mb"] == 1024


@pytest.mark.parametrize(
    "service, limit, replicas",
    [
        ({}, None, 1),
        ({"mem_limit": "104857600", "scale": 3}, 100, 3),
        ({"mem_limit": "0"}, None, 1),
        ({"deploy": {"replicas": 2, "resources": {"limits": {"memory": "1048577"}}}}, 2, 2),
        ({"deploy": {"replicas": 0, "placement": {}}}, None, 0),
    ],
)
def test_limits_and_replicas_are_read(service: dict[str, Any], limit: int | None, replicas: int) -> None:
    read = demand(service)
    assert (read.limit_mb, read.replicas, read.job) == (limit, replicas, False)


def test_a_service_that_up_does_not_start_is_a_job() -> None:
    model = {"services": {"zeta": {}, "nginx": {}, "migrate": {"profiles": ["jobs"]}, "postgres": {}}}
    read = read_model(model, ["nginx", "postgres", "zeta"], {})
    assert [(one.service, one.job) for one in read] == [
        ("postgres", False),
        ("nginx", False),
        ("migrate", True),
        ("zeta", False),
    ]


@pytest.mark.parametrize("command", [["--maxmemory", "75%-hunter2"], ["gunicorn", "--workers", "hunter2"]])
def test_what_cannot_be_read_is_named_but_not_quoted(command: list[str]) -> None:
    with pytest.raises(ModelError, match=f"service x: the value of --{command[-2].lstrip('-')}") as refused:
        demand({"command": command})
    assert "hunter2" not in str(refused.value)
