from __future__ import annotations

import json
import os
import shlex
import subprocess
from pathlib import Path
from secrets import token_hex
from typing import Any

import pytest

ROOT = Path(__file__).parents[3]
COMPOSE = "cd /opt/somos && docker compose"
PORTS = {"redis": 6379, "redis-cache": 6380}
VOLUMES = {"redis": "redis_data", "redis-cache": "redis_cache_data"}

both = pytest.mark.parametrize("service", PORTS)


def cli(host: Any, service: str, command: str) -> str:
    """Ask a server with its own password."""
    script = f'REDISCLI_AUTH="$(cat /run/secrets/password)" redis-cli {command}'
    return str(host.check_output(f"{COMPOSE} exec -T {service} sh -c {shlex.quote(script)}")).strip()


def setting(host: Any, service: str, name: str) -> str:
    return cli(host, service, f"CONFIG GET {name}").splitlines()[1]


def password(host: Any, service: str) -> str:
    return str(host.file(f"/opt/somos/secrets/{service}/password").content_string).strip()


def container(host: Any, service: str) -> dict[str, Any]:
    return dict(json.loads(host.check_output(f"docker inspect $({COMPOSE} ps --quiet {service})"))[0])


def model(host: Any, service: str) -> dict[str, Any]:
    return dict(json.loads(host.check_output(f"{COMPOSE} config --format json"))["services"][service])


@both
def test_redis_is_healthy(host: Any, service: str) -> None:
    assert container(host, service)["State"]["Health"]["Status"] == "healthy"


@both
def test_redis_listens_on_loopback_only(host: Any, service: str) -> None:
    port = PORTS[service]
    listening = [line.split()[3] for line in host.check_output(f"ss -Hltn sport = :{port}").splitlines()]
    assert listening == [f"127.0.0.1:{port}"]


@both
def test_redis_refuses_who_has_no_password_or_another_one(host: Any, service: str) -> None:
    assert "NOAUTH" in host.check_output(f"{COMPOSE} exec -T {service} redis-cli ping")
    wrong = host.run(f"{COMPOSE} exec -T -e REDISCLI_AUTH=another {service} redis-cli ping")
    assert "WRONGPASS" in wrong.stderr + wrong.stdout


@both
def test_the_published_port_leads_to_this_server(host: Any, service: str) -> None:
    """Speaks to the port as a person on the server would: the two must not be mistaken for each other."""
    talk = f"exec 3<>/dev/tcp/127.0.0.1/{PORTS[service]}; printf 'AUTH %s\\r\\n' \"$p\" >&3; head -c5 <&3"
    answer = host.check_output(f"p=$(cat /opt/somos/secrets/{service}/password); export p; bash -c {shlex.quote(talk)}")
    assert answer.startswith("+OK")


@both
def test_the_password_shows_nowhere(host: Any, service: str) -> None:
    secret = password(host, service)
    assert secret not in json.dumps(container(host, service))
    assert secret not in host.check_output("ps -eww -o args")
    assert secret not in host.check_output(f"{COMPOSE} logs {service} 2>&1")
    assert secret not in host.check_output(f"{COMPOSE} config")


@both
def test_maxmemory_in_force_is_that_of_the_command_line_and_leaves_room(host: Any, service: str) -> None:
    given = model(host, service)
    maxmemory = int(given["command"][-1].removesuffix("mb")) << 20
    assert int(setting(host, service, "maxmemory")) == maxmemory
    assert maxmemory < int(given["deploy"]["resources"]["limits"]["memory"]) * 0.67


@both
def test_limits_are_in_force(host: Any, service: str) -> None:
    limit = int(model(host, service)["deploy"]["resources"]["limits"]["memory"])
    running = container(host, service)["HostConfig"]
    assert running["Memory"] == running["MemorySwap"] == limit > 0


@both
def test_the_backlog_is_not_cut_by_the_kernel(host: Any, service: str) -> None:
    assert setting(host, service, "tcp-backlog") == "4096"
    assert int(host.check_output(f"{COMPOSE} exec -T {service} cat /proc/sys/net/core/somaxconn")) >= 4096


@both
def test_the_container_runs_without_privileges(host: Any, service: str) -> None:
    status = host.check_output(f"{COMPOSE} exec -T {service} cat /proc/1/status")
    fields = dict(line.split(":\t", 1) for line in status.splitlines())
    assert fields["Uid"].split() == ["999"] * 4
    assert int(fields["CapEff"], 16) == int(fields["CapBnd"], 16) == 0
    assert fields["NoNewPrivs"] == "1"


@both
def test_the_container_cannot_change_itself_nor_run_what_it_wrote(host: Any, service: str) -> None:
    assert host.run(f"{COMPOSE} exec -T {service} grep -q ' / overlay ro,' /proc/mounts").rc == 0
    assert host.run(f"{COMPOSE} exec -T {service} cp /bin/true /tmp/true").rc == 0
    assert host.run(f"{COMPOSE} exec -T {service} /tmp/true").rc != 0


def test_the_broker_refuses_rather_than_evicts_and_logs_every_write(host: Any) -> None:
    assert setting(host, "redis", "maxmemory-policy") == "noeviction"
    assert setting(host, "redis", "appendonly") == "yes"
    assert setting(host, "redis", "appendfsync") == "everysec"


def test_the_cache_evicts_and_keeps_no_log(host: Any) -> None:
    assert setting(host, "redis-cache", "maxmemory-policy") == "allkeys-lru"
    assert setting(host, "redis-cache", "appendonly") == "no"


@both
def test_data_survives_a_new_container(host: Any, service: str) -> None:
    cli(host, service, "SET kept 42")
    host.check_output(f"{COMPOSE} up --detach --wait --force-recreate {service} 2>&1")
    assert cli(host, service, "GET kept") == "42"
    cli(host, service, "DEL kept")


def test_a_task_survives_a_broker_that_was_killed(host: Any) -> None:
    """Without a clean stop nothing is saved on the way out: what is there afterwards was in the append-only file."""
    cli(host, "redis", "SET task 42")
    cli(host, "redis", "WAITAOF 1 0 5000")
    host.check_output(f"{COMPOSE} kill redis 2>&1 && {COMPOSE} up --detach --wait redis 2>&1")
    assert cli(host, "redis", "GET task") == "42"
    cli(host, "redis", "DEL task")


def test_a_rotated_password_is_in_force_after_the_next_run_for_that_server_only(host: Any) -> None:
    old, broker = password(host, "redis-cache"), container(host, "redis")["Id"]
    rotated = f'a \\ "new" one: {token_hex(4)}'
    converge({"redis_cache_password": rotated})
    assert password(host, "redis-cache") == rotated != old
    assert cli(host, "redis-cache", "PING") == "PONG"
    assert container(host, "redis")["Id"] == broker


def test_a_secret_s_mode_and_a_fragment_changed_by_hand_are_put_right_and_shown(host: Any) -> None:
    secret, fragment = "/opt/somos/secrets/redis/password", "/opt/somos/compose.d/redis.yml"
    started = host.check_output("docker inspect --format '{{.State.StartedAt}}' somos-redis-1")
    host.check_output(f"chmod 0444 {secret} && sed -i 's/read_only: true/read_only: false/' {fragment}")
    shown = converge({}, "--diff")
    assert "0444" in shown and "0400" in shown
    assert "-    read_only: false" in shown and "+    read_only: true" in shown
    assert password(host, "redis") not in shown
    assert host.file(secret).mode == 0o400
    assert host.check_output("docker inspect --format '{{.State.StartedAt}}' somos-redis-1") == started


def converge(variables: dict[str, Any], *words: str) -> str:
    command = ["ansible-playbook", "-i", "molecule/inventory.yml", "molecule/shared/converge.yml", *words]
    environment = os.environ | {"MOLECULE_SCENARIO_NAME": "redis"}
    run = subprocess.run(
        [*command, "-e", json.dumps(variables)], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stdout[-3000:]
    return run.stdout
