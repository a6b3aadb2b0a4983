"""Backups in two repositories, points in time, and what is left when a repository, or the server, is lost."""

from __future__ import annotations

import json
import re
import shlex
import time
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest
from database import COMPOSE, PGBACKREST, REPOSITORY, converge, play, sql, until

from tests.host.storage import Bucket

MARK = "a row that nobody else may read"
ZSTANDARD = b"\x28\xb5\x2f\xfd"
SCRATCH = f"{COMPOSE} run --rm -T --no-deps -v scratch:/var/lib/postgresql/data --entrypoint bash postgres"


def info(host: Any, repository: int) -> dict[str, Any]:
    return dict(json.loads(host.check_output(f"{PGBACKREST} --repo={repository} --output=json info"))[0])


def newest_segment(host: Any, repository: int) -> str:
    archives = info(host, repository).get("archive", [])
    return str(archives[-1]["max"] or "") if archives else ""


def segments(host: Any, repository: int) -> list[str]:
    """What the repository holds of the present timeline, in order."""
    listing = host.check_output(f"{PGBACKREST} --repo={repository} --recurse --output=json repo-ls archive/somos")
    return sorted({path.rpartition("/")[2][:24] for path in json.loads(listing) if path.endswith(".zst")})


def next_segment(host: Any) -> str:
    """Writes, finishes the segment that it is in, and says which it was."""
    sql(host, "SELECT pg_create_restore_point('test')")
    return sql(host, "SELECT pg_walfile_name(pg_switch_wal())")


def write(host: Any, megabytes: int) -> None:
    rows = megabytes * 10000
    sql(host, f"INSERT INTO bulk SELECT g, md5(g::text) || md5(g::text) FROM generate_series(1, {rows}) g")  # noqa: S608


def backup(host: Any, repository: int, kind: str) -> None:
    host.check_output(f"{PGBACKREST} --repo={repository} --type={kind} backup")


@contextmanager
def s3_away(host: Any) -> Iterator[None]:
    rule = "DOCKER-USER -p tcp --dport 8333 -j REJECT"
    host.check_output(f"iptables -I {rule}")
    try:
        yield
    finally:
        host.check_output(f"iptables -D {rule}")


@pytest.fixture(scope="module")
def rows(host: Any) -> str:
    """A table of which the backups know, and the segments after them."""
    sql(host, "CREATE TABLE bulk (id int, text text)")
    sql(host, f"CREATE TABLE treasure AS SELECT g AS id, '{MARK} ' || g AS text FROM generate_series(1, 1000) g")  # noqa: S608
    for repository in (1, 2):
        backup(host, repository, "full")
    sql(host, "INSERT INTO treasure SELECT g, 'later ' || g FROM generate_series(1001, 1500) g")
    for repository in (1, 2):
        backup(host, repository, "diff")
    return "1500"


@pytest.fixture
def secrets(host: Any) -> list[str]:
    configuration = host.check_output("cat /opt/somos/secrets/pgbackrest/conf.d/*.conf")
    values = re.findall(r"^repo\d-(?:cipher-pass|s3-key|s3-key-secret)=(.+)$", configuration, re.MULTILINE)
    assert len(values) == 4
    return list(values)


@pytest.mark.parametrize("repository", [1, 2])
def test_a_full_and_a_differential_backup_are_in_each_repository(host: Any, rows: str, repository: int) -> None:
    assert [backup["type"] for backup in info(host, repository)["backup"]][-2:] == ["full", "diff"]
    assert info(host, repository)["cipher"] == "aes-256-cbc"


def test_wal_arrives_in_both_repositories(host: Any, rows: str) -> None:
    segment = next_segment(host)
    until(lambda: newest_segment(host, 1) >= segment <= newest_segment(host, 2), 20, f"{segment} is in both")
    host.check_output(f"{PGBACKREST} check")


def test_a_quiet_segment_is_archived_after_the_time_set(host: Any, rows: str) -> None:
    assert sql(host, "SHOW archive_timeout") == "10s"
    sql(host, "INSERT INTO bulk VALUES (0, 'alone')")
    segment = sql(host, "SELECT pg_walfile_name(pg_current_wal_insert_lsn())")
    until(lambda: newest_segment(host, 2) >= segment, 25, f"{segment} is away from the server")


def test_dropped_rows_are_there_a_second_before_and_gone_a_second_after(host: Any, rows: str) -> None:
    time.sleep(2)
    dropped = sql(host, "WITH gone AS (DELETE FROM treasure RETURNING 1) SELECT now() FROM gone LIMIT 1")
    time.sleep(2)
    sql(host, "INSERT INTO bulk VALUES (0, 'a commit after it, for recovery to stop at')")
    segment = next_segment(host)
    until(lambda: newest_segment(host, 2) >= segment, 20, f"{segment} is away from the server")
    for offset, expected in (("-1", rows), ("+1", "0")):
        moment = sql(host, f"SELECT timestamptz '{dropped}' + interval '{offset} s'")
        options = f"--repo=2 --type=time --target='{moment}' --target-action=promote"
        flags = "-c config_file=/etc/postgresql/postgresql.conf"
        host.check_output(
            f"{SCRATCH} /etc/postgresql/pgbackrest-restore.sh restore {options} --target-timeline=1 -- postgres {flags}"
        )
        ask = (
            "pg_ctl -s -w start -o '-c listen_addresses= -c archive_mode=off' >&2"
            " && psql -tA -U postgres -d somos -c 'SELECT count(*) FROM treasure' && pg_ctl -s stop"
        )
        assert host.check_output(f'{SCRATCH} -c "{ask}"').strip() == expected, offset
    host.check_output("docker volume rm scratch")
    sql(host, f"INSERT INTO treasure SELECT g, '{MARK} ' || g FROM generate_series(1, 1500) g")  # noqa: S608


def test_nothing_readable_lies_in_a_repository(host: Any, rows: str, secrets: list[str]) -> None:
    configuration = host.check_output("cat /opt/somos/secrets/pgbackrest/conf.d/*.conf")
    secrets = [
        line.partition("=")[2] for line in configuration.splitlines() if "-key" in line or "cipher-pass=" in line
    ]
    assert len(secrets) == 4
    wanted = [
        text.encode() for text in (MARK, "later 1001", *secrets, "pg_catalog", "archive-timeout", "[backup:current]")
    ]
    bucket = Bucket("molecule-postgres")
    keys = list(bucket.keys())
    assert len(keys) > 10
    for key in keys:
        content = bucket.read(key)
        assert not [text for text in wanted if text in content], key
        # Only what is encrypted neither becomes smaller nor holds the marks of what is compressed.
        assert len(zlib.compress(content)) > len(content) and ZSTANDARD not in content, key
    for text in (MARK, "later 1001", *secrets):
        found = host.run(f"grep --recursive --fixed-strings --files-with-matches --regexp='{text}' {REPOSITORY}")
        assert found.rc == 1, found.stdout


def test_secrets_of_the_backup_show_nowhere(host: Any, rows: str, secrets: list[str]) -> None:
    configuration = host.check_output("cat /opt/somos/secrets/pgbackrest/conf.d/*.conf")
    secrets = [
        line.partition("=")[2] for line in configuration.splitlines() if "-key" in line or "cipher-pass=" in line
    ]
    container = host.check_output(f"{COMPOSE} ps --quiet postgres").strip()
    # While a backup runs, and its processes with it.
    watch = f"({PGBACKREST} --repo=2 --type=diff backup & while kill -0 $! 2>/dev/null; do ps -eww -o args; done)"
    shown = "".join(
        host.check_output(command)
        for command in (watch, f"docker inspect {container}", f"{COMPOSE} config", f"{COMPOSE} logs postgres 2>&1")
    )
    assert not [secret for secret in secrets if secret in shown]


def test_s3_away_stops_neither_the_database_nor_the_local_archive_and_is_caught_up_with(host: Any, rows: str) -> None:
    before = newest_segment(host, 2)
    with s3_away(host):
        last = [next_segment(host) for _ in range(3)][-1]
        until(lambda: newest_segment(host, 1) >= last, 60, f"{last} is in the local repository")
        # And it starts.
        host.check_output(f"{COMPOSE} kill postgres 2>&1; {COMPOSE} up --detach --wait postgres 2>&1")
    assert before < last
    next_segment(host)
    until(lambda: newest_segment(host, 2) >= last, 90, f"{last} is away from the server")
    assert not host.file("/var/backups/somos-postgres/gap.offsite").exists


def test_a_full_queue_is_given_up_for_the_repository_that_is_away_alone(host: Any, rows: str) -> None:
    ready = f"{COMPOSE} exec -T postgres sh -c 'ls $PGDATA/pg_wal/archive_status/*.ready 2>/dev/null | wc -l'"
    most = 0
    with s3_away(host):
        gap = host.file("/var/backups/somos-postgres/gap.offsite")
        deadline = time.monotonic() + 90
        while not gap.exists:
            assert time.monotonic() < deadline, "nothing was given up"
            write(host, 8)
            most = max(most, int(host.check_output(ready)))
        until(lambda: int(host.check_output(ready)) <= 1, 30, "what waits is given up")
        given_up = [line.split()[1] for line in gap.content_string.splitlines()]
    assert 8 <= most <= 24, "the disk fills, or less than the limit is treasure"
    last = next_segment(host)
    until(lambda: newest_segment(host, 1) >= last <= newest_segment(host, 2), 90, f"{last} is in both")
    assert f"offsite: given up {given_up[0]}" in host.check_output(f"{COMPOSE} logs postgres 2>&1")
    assert not set(given_up) & set(segments(host, 2))
    # The local repository lacks none, of this timeline.
    numbers = [int(name[8:16], 16) * 256 + int(name[16:], 16) for name in segments(host, 1)]
    assert numbers == list(range(numbers[0], numbers[-1] + 1))
    assert not host.file("/var/backups/somos-postgres/gap.local").exists
    # A new backup makes points in time after the gap reachable again.
    backup(host, 2, "diff")
    host.check_output("rm /var/backups/somos-postgres/gap.offsite")


def test_a_restore_is_refused_while_postgresql_runs_and_over_data_that_nobody_gave_up(host: Any, rows: str) -> None:
    running = play("molecule/postgres/restore.yml", {}, must_succeed=False)
    assert running.returncode != 0
    assert "somos-postgres-1 (Up" in running.stdout
    host.check_output(f"{COMPOSE} stop postgres 2>&1")
    full = play("molecule/postgres/restore.yml", {"postgres_restore_confirm": "another-server"}, must_succeed=False)
    assert full.returncode != 0
    assert "-e postgres_restore_confirm=postgres" in full.stdout
    host.check_output(f"{COMPOSE} start postgres 2>&1")
    assert sql(host, "SELECT count(*) FROM treasure") == rows


def test_a_lost_server_is_restored_from_s3_alone_also_when_the_restore_is_killed(host: Any, rows: str) -> None:
    segment = next_segment(host)
    until(lambda: newest_segment(host, 2) >= segment, 90, f"{segment} is away from the server")
    host.check_output(f"{COMPOSE} kill postgres 2>&1; {COMPOSE} rm --force postgres 2>&1")
    host.check_output("docker volume rm somos_postgres_data && rm -rf /var/backups/somos-postgres")
    converge({"molecule_starts_services": False})
    from_s3 = {"postgres_restore_repository": 2}
    # Cut off when the first files are there; what is half there is not taken for data that somebody has to give up.
    data = "/var/lib/docker/volumes/somos_postgres_data/_data"
    half_there = f"test -e {data}/backup.manifest -o -e {data}/recovery.signal"
    wait = f"until {half_there}; do sleep 0.1; done; docker ps --quiet | xargs docker kill"
    with ThreadPoolExecutor() as pool:
        killer = pool.submit(host.run, f"timeout 60 bash -c {shlex.quote(wait)}")
        cut_off = play("molecule/postgres/restore.yml", from_s3, must_succeed=False)
        assert killer.result().rc == 0
    assert cut_off.returncode != 0, "it was not cut off"
    play("molecule/postgres/restore.yml", from_s3)
    converge({})
    assert sql(host, "SELECT count(*) FROM treasure") == rows
    assert sql(host, "SELECT pg_is_in_recovery()") == "f"
    # Both repositories go on: the local one begins anew.
    segment = next_segment(host)
    until(lambda: newest_segment(host, 1) >= segment <= newest_segment(host, 2), 90, f"{segment} is in both")
    backup(host, 1, "diff")
    assert info(host, 1)["backup"][-1]["type"] == "full"


def test_a_lost_local_repository_begins_anew_by_itself(host: Any, rows: str) -> None:
    away = info(host, 2)["backup"]
    host.check_output(f"rm -rf {REPOSITORY}")
    segment = next_segment(host)
    until(lambda: newest_segment(host, 1) >= segment, 90, f"{segment} is in the new local repository")
    assert info(host, 2)["backup"] == away
    backup(host, 1, "diff")


def test_verify_passes_on_whole_repositories_and_names_one_that_is_not(host: Any, rows: str) -> None:
    play("molecule/postgres/verify_repositories.yml", {})
    damaged = host.check_output(f"find {REPOSITORY}/archive -name '*.zst' | sort | tail -1").strip()
    host.check_output(f"dd if=/dev/urandom of={damaged} bs=64 seek=1 count=1 conv=notrunc 2>&1")
    run = play("molecule/postgres/verify_repositories.yml", {"postgres_verify_repositories": [1]}, must_succeed=False)
    assert run.returncode != 0
    assert "status: error" in run.stdout
    host.check_output(f"rm {damaged}")


def test_the_image_with_pgbackrest_is_built_once(host: Any) -> None:
    assert play("molecule/postgres/image.yml", {}).stdout.count("changed: [postgres]") == 1
    version = "docker run --rm --entrypoint=pgbackrest $(docker image ls --quiet localhost/somos/postgres) version"
    assert host.check_output(version).strip() == "pgBackRest 2.55.1"
