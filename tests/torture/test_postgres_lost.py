"""A database server that is lost while it is written to: what that costs, and a restore that is killed again and again.

One server. Rows are written at a steady rate; the container is killed, its volume and the local repository are removed,
and the cluster is restored from S3 alone. Measured is from the last row that is there to the kill.

TORTURE_ARCHIVE_TIMEOUT (20) is the archive_timeout in seconds. The role's default is 300, with which a round takes ten
minutes. TORTURE_ROUNDS (3) and TORTURE_SEED repeat a run.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.host.storage import Bucket

ROOT = Path(__file__).parents[2]
SERVER, ADDRESS = "somos-torture-postgres", "10.77.0.43"
ARCHIVE_TIMEOUT = int(os.environ.get("TORTURE_ARCHIVE_TIMEOUT", "20"))
ROUNDS = int(os.environ.get("TORTURE_ROUNDS", "3"))
RANDOM = random.Random(int(os.environ.get("TORTURE_SEED", time.time_ns() % 100_000)))
# What an archived segment may take from the server to S3, and no more.
ON_THE_WAY = 60
VARIABLES = {
    "ansible_host": ADDRESS,
    "ansible_ssh_common_args": f"-o UserKnownHostsFile={ROOT}/build/hosts/{SERVER}/known_hosts -o IdentitiesOnly=yes",
    "postgres_backup_s3_bucket": "torture-postgres",
    "postgres_backup_archive_timeout_s": ARCHIVE_TIMEOUT,
}
COMPOSE = "cd /opt/somos && docker compose"


@pytest.fixture(scope="module", autouse=True)
def server() -> Iterator[None]:
    host("down", SERVER)
    host("up", SERVER, "--image", "debian13-docker", "--ip", ADDRESS)
    Bucket("torture-postgres").make_empty()
    play("molecule/shared/prepare.yml")
    play("molecule/shared/converge.yml")
    sql("CREATE TABLE written (at timestamptz NOT NULL DEFAULT clock_timestamp())")
    inside(f"{COMPOSE} exec -T postgres pgbackrest --stanza=somos stanza-create")
    inside(f"{COMPOSE} exec -T postgres pgbackrest --stanza=somos --repo=2 --type=full backup")
    yield
    host("down", SERVER)


@pytest.mark.parametrize("_round", range(ROUNDS))
def test_a_lost_server_costs_no_more_than_the_archive_timeout_and_a_minute(_round: int) -> None:
    write = "while psql -qU postgres -d somos -c 'INSERT INTO written DEFAULT VALUES'; do sleep 0.2; done"
    inside(f'{COMPOSE} exec -T --detach postgres bash -c "{write}"')
    time.sleep(ARCHIVE_TIMEOUT * (1 + RANDOM.random()) + 10)
    killed = time.time()
    lose_everything()
    start = time.monotonic()
    play("molecule/postgres/restore.yml", "-e", "postgres_restore_repository=2")
    play("molecule/shared/converge.yml")
    lost = killed - float(sql("SELECT extract(epoch FROM max(at)) FROM written"))
    print(f"\narchive_timeout {ARCHIVE_TIMEOUT} s: {lost:.1f} s lost, writable after {time.monotonic() - start:.0f} s")
    assert 0 <= lost <= ARCHIVE_TIMEOUT + ON_THE_WAY


def test_a_restore_that_is_killed_at_random_moments_ends_like_one_that_was_left_alone() -> None:
    sql("INSERT INTO written SELECT clock_timestamp() FROM generate_series(1, 100000)")
    rows = sql("SELECT count(*) FROM written")
    inside(f"{COMPOSE} exec -T postgres pgbackrest --stanza=somos check")
    lose_everything()
    cut_off = 0
    for _ in range(ROUNDS):
        restore = subprocess.Popen(
            command("molecule/postgres/restore.yml", "-e", "postgres_restore_repository=2"),
            cwd=ROOT, env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        time.sleep(5 + RANDOM.random() * 8)
        # Whatever runs at that moment, if anything does.
        inside("docker ps --quiet | xargs --no-run-if-empty docker kill || true")
        cut_off += restore.wait() != 0
        if restore.returncode == 0:
            lose_everything()
    print(f"\n{cut_off} of {ROUNDS} restores were cut off")
    assert cut_off, "none was: run again"
    play("molecule/postgres/restore.yml", "-e", "postgres_restore_repository=2")
    play("molecule/shared/converge.yml")
    assert sql("SELECT count(*) FROM written") == rows


def lose_everything() -> None:
    """What was on the server and not in S3."""
    inside(f"{COMPOSE} kill postgres; {COMPOSE} rm --force postgres; docker volume rm somos_postgres_data")
    inside("rm -rf /var/backups/somos-postgres && install -d -o 999 -g 999 -m 0700 /var/backups/somos-postgres")


def command(playbook: str, *arguments: str) -> list[str]:
    return ["ansible-playbook", "-i", "molecule/inventory.yml", playbook, "-e", json.dumps(VARIABLES), *arguments]


def environment() -> dict[str, str]:
    return os.environ | {"MOLECULE_SCENARIO_NAME": "postgres"}


def play(playbook: str, *arguments: str) -> None:
    run = subprocess.run(
        command(playbook, *arguments), cwd=ROOT, env=environment(), capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stdout[-4000:]


def sql(statement: str) -> str:
    return inside(f'{COMPOSE} exec -T postgres psql -qtAU postgres -d somos -c "{statement}"').strip()


def inside(script: str) -> str:
    run = subprocess.run(["docker", "exec", SERVER, "sh", "-c", script], capture_output=True, text=True, check=False)
    assert run.returncode == 0, f"{script}: {run.stdout}{run.stderr}"
    return run.stdout


def host(*words: str) -> None:
    subprocess.run([sys.executable, "-m", "tests.host", *words], cwd=ROOT, check=True)
