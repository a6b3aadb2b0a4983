from __future__ import annotations

from typing import Any

import pytest
import yaml
from render import render_files, render_role

from ansible_collections.somos.infra.plugins.module_utils._ram_plan import ram_plan

SERVICES = {"redis": (6379, "redis_data"), "redis-cache": (6380, "redis_cache_data")}

both = pytest.mark.parametrize("name", SERVICES)


def service(name: str, overrides: dict[str, Any] | None = None, **where: str) -> dict[str, Any]:
    return yaml.safe_load(render_role("redis", overrides, **where)["compose.d/redis.yml"])["services"][name]


def directives(name: str) -> dict[str, str]:
    """What a server's own file and the one it includes set; the later wins."""
    files = render_role("redis")
    lines = (files["redis/common.conf"] + files[f"redis/{name}.conf"]).splitlines()
    return dict(line.split(maxsplit=1) for line in lines if line and not line.startswith(("#", "include")))


@pytest.mark.parametrize("total_mb", [15600, 32051, 64000])
@both
def test_maxmemory_on_the_command_line_is_the_plan_s(name: str, total_mb: int) -> None:
    plan = ram_plan(total_mb)["services"]
    command = service(name, {"redis_memory": plan})["command"]
    assert command == [
        "redis-server",
        f"/etc/redis/{name}.conf",
        "--maxmemory",
        f"{plan[name]['settings']['maxmemory_mb']}mb",
    ]


def test_the_broker_refuses_rather_than_evicts_and_logs_every_write() -> None:
    broker = directives("redis")
    assert broker["maxmemory-policy"] == "noeviction"
    assert (broker["appendonly"], broker["appendfsync"]) == ("yes", "everysec")


def test_the_cache_evicts_and_keeps_no_log() -> None:
    cache = directives("redis-cache")
    assert cache["maxmemory-policy"] == "allkeys-lru"
    assert cache["appendonly"] == "no"


@both
def test_both_persist_by_snapshots_on_a_volume_of_their_own(name: str) -> None:
    assert directives(name)["save"]
    assert directives(name)["dir"] == "/data"
    assert f"{SERVICES[name][1]}:/data" in service(name)["volumes"]


@both
def test_the_backlog_fits_the_kernel_s_limit_in_the_container(name: str) -> None:
    assert int(directives(name)["tcp-backlog"]) <= int(service(name)["sysctls"]["net.core.somaxconn"])


@both
def test_one_host_publishes_on_loopback_and_several_on_the_private_address_too(name: str) -> None:
    port = SERVICES[name][0]
    assert service(name)["ports"] == [f"127.0.0.1:{port}:6379"]
    assert service(name, inventory="multi", host="database-1")["ports"] == [
        f"127.0.0.1:{port}:6379",
        f"10.0.0.12:{port}:6379",
    ]


@pytest.mark.parametrize(("variable", "name"), [("redis_password", "redis"), ("redis_cache_password", "redis-cache")])
def test_a_rotated_password_recreates_that_server_only(variable: str, name: str) -> None:
    for each in SERVICES:
        same = service(each)["labels"] == service(each, {variable: "another"})["labels"]
        assert same == (each != name)


@both
def test_secrets_are_readable_by_the_container_alone(name: str) -> None:
    for file in ("auth.conf", "password"):
        rendered = render_files("redis")[f"secrets/{name}/{file}"]
        assert (rendered.owner, rendered.group, rendered.mode, rendered.secret) == ("999", "999", "0400", True)


def test_a_password_with_quotes_spaces_and_accents_is_one_argument() -> None:
    files = render_role("redis", {"redis_password": 'a"b\\c é#$x'})
    assert files["secrets/redis/auth.conf"] == 'requirepass "a\\"b\\\\c é#$x"\n'
    assert files["secrets/redis/password"] == 'a"b\\c é#$x\n'
