"""A snapshot that comes back: what a Redis that logs every write would not do by itself."""

from __future__ import annotations

import os
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[3]
COMPOSE = "cd /opt/somos && docker compose"
SERVERS = ("redis", "redis-cache")
SNAPSHOTS = "/root/snapshots"
KEYS = 1000


def cli(host: Any, service: str, *words: str) -> str:
    script = f'REDISCLI_AUTH="$(cat /run/secrets/password)" exec redis-cli {shlex.join(words)}'
    return str(host.check_output(f"{COMPOSE} exec -T {service} sh -c {shlex.quote(script)}")).strip()


def play(playbook: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = ["ansible-playbook", "-i", "molecule/inventory.yml", playbook, *arguments]
    environment = os.environ | {"ANSIBLE_CONFIG": str(ROOT / "ansible.cfg")}
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)


def restore(*arguments: str) -> subprocess.CompletedProcess[str]:
    return play("molecule/redis/restore.yml", "-e", f"redis_restore_source={SNAPSHOTS}", *arguments)


def files(host: Any, *volumes: str) -> str:
    names = " ".join(volumes or ("somos_redis_data", "somos_redis_cache_data"))
    places = host.check_output(f"docker volume inspect --format {{{{.Mountpoint}}}} {names}").split()
    return str(host.check_output(f"find {' '.join(places)} -type f -exec sha256sum {{}} + | sort"))


@pytest.fixture(scope="module", autouse=True)
def snapshots(host: Any) -> None:
    """Of both servers, with keys of each type; afterwards other keys are there."""
    host.check_output(f"mkdir -p {SNAPSHOTS}")
    for service in SERVERS:
        cli(host, service, "FLUSHALL")
        cli(host, service, "EVAL", f"for i = 1, {KEYS} do redis.call('SET', 'key:' .. i, i) end", "0")
        cli(host, service, "RPUSH", "celery", "first", "second")
        cli(host, service, "SELECT", "1")
        assert cli(host, service, "SAVE") == "OK"
        host.check_output(f"{COMPOSE} exec -T {service} cat /data/dump.rdb > {SNAPSHOTS}/{service}.rdb")
        cli(host, service, "FLUSHALL")
        cli(host, service, "SET", "later", "1")


@pytest.fixture
def stopped(host: Any) -> Iterator[None]:
    host.check_output(f"{COMPOSE} stop {' '.join(SERVERS)}")
    yield
    host.check_output(f"{COMPOSE} up --detach --wait {' '.join(SERVERS)}")


def test_servers_that_run_are_left_alone(host: Any) -> None:
    run = restore("-e", "redis_restore_confirm=redis")
    assert run.returncode != 0 and "docker compose stop redis redis-cache" in run.stdout
    assert [cli(host, service, "GET", "later") for service in SERVERS] == ["1", "1"]


def test_data_that_nobody_gave_up_stay(host: Any, stopped: None) -> None:
    before = files(host)
    for confirm in ("", "another"):
        run = restore("-e", f"redis_restore_confirm={confirm}")
        assert run.returncode != 0 and "-e redis_restore_confirm=redis" in run.stdout
    assert files(host) == before


def test_a_snapshot_that_is_missing_or_damaged_replaces_nothing(host: Any, stopped: None) -> None:
    before = files(host, "somos_redis_data")
    run = restore("-e", "redis_restore_confirm=redis", "-e", "redis_restore_source=/root/nowhere")
    assert run.returncode != 0 and "has no redis.rdb, redis-cache.rdb" in run.stdout
    host.check_output(f"mkdir -p {SNAPSHOTS}/damaged && cp {SNAPSHOTS}/*.rdb {SNAPSHOTS}/damaged")
    host.check_output(f"printf x | dd of={SNAPSHOTS}/damaged/redis.rdb bs=1 seek=5000 conv=notrunc status=none")
    run = restore("-e", "redis_restore_confirm=redis", "-e", f"redis_restore_source={SNAPSHOTS}/damaged")
    assert run.returncode != 0 and "RDB ERROR" in run.stdout
    assert files(host, "somos_redis_data") == before


def test_check_mode_changes_nothing(host: Any, stopped: None) -> None:
    before = files(host)
    assert restore("--check", "-e", "redis_restore_confirm=redis").returncode == 0
    assert files(host) == before


def test_both_come_back_also_after_a_restore_that_was_cut_off(host: Any) -> None:
    host.check_output(f"{COMPOSE} stop {' '.join(SERVERS)}")
    # As a restore leaves it that was killed when it had removed what was there.
    place = host.check_output("docker volume inspect --format {{.Mountpoint}} somos_redis_data")
    host.check_output(f"find {place} -mindepth 1 -delete && install -d -o 999 -g 999 {place}/restored")
    run = restore("-e", '{"redis_restore_services": ["redis"]}')
    assert run.returncode == 0, run.stdout[-3000:]
    run = restore("-e", '{"redis_restore_services": ["redis-cache"]}', "-e", "redis_restore_confirm=redis")
    assert run.returncode == 0, run.stdout[-3000:]
    run = play("molecule/shared/converge.yml")
    assert run.returncode == 0, run.stdout[-3000:]
    for service in SERVERS:
        assert (cli(host, service, "DBSIZE"), cli(host, service, "GET", f"key:{KEYS}")) == (str(KEYS + 1), str(KEYS))
        assert cli(host, service, "LRANGE", "celery", "0", "-1").split() == ["first", "second"]


def test_what_came_back_is_there_after_another_start_and_takes_writes(host: Any) -> None:
    assert cli(host, "redis", "SET", "after", "1") == "OK"
    host.check_output(f"{COMPOSE} restart redis && {COMPOSE} up --detach --wait redis")
    assert (cli(host, "redis", "DBSIZE"), cli(host, "redis", "GET", "after")) == (str(KEYS + 2), "1")
    assert "aof_enabled:1" in cli(host, "redis", "INFO", "persistence")


def test_nothing_is_left_over(host: Any) -> None:
    assert "restored" not in files(host)
    assert host.check_output("docker ps --all --quiet --filter label=com.docker.compose.oneoff=True") == ""
