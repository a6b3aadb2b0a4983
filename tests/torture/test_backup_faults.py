"""Whatever breaks while backups are made: what there was stays good, what failed says so, and the next run is well.

One server with every service that has data; its packets to S3, disks, keys and repositories are broken one at a time.
After each fault `list` and `verify` are asked, and nothing may be left over. TORTURE_ROUNDS (10) and TORTURE_SEED
repeat the kills. The program is installed without role `backup`, whose units are not tortured here (backup_server.py).

A test takes up to ten minutes: restic and pgBackRest ask an endpoint that is away again and again.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import shlex
import subprocess
import time
from collections.abc import Iterator
from typing import Any

import backup_server as server
import pytest
from backup_server import ETC, LOCAL, NAME, NAS, PROGRAM, inside, somos, sql, well

from tests.host.storage import Bucket

ROUNDS = int(os.environ.get("TORTURE_ROUNDS", "10"))
SEED = int(os.environ.get("TORTURE_SEED", time.time_ns() % 100_000))
DAILY = ("postgres", "postgres-dump", "redis", "qdrant", "configs")
JOBS = (*DAILY, "media")
LARGE = "/root/large"
IMPATIENT = """#!/bin/sh
case $RESTIC_REPOSITORY in s3:*) exec timeout --signal=INT --kill-after=5 20 /usr/bin/restic "$@" ;; esac
exec /usr/bin/restic "$@"
"""
SNAPSHOT = "GET /collections/*/snapshots/*"
POSTGRES_REPOSITORY = "/var/backups/somos-postgres/repository"
PGBACKREST = "/opt/somos/secrets/pgbackrest/conf.d"
FAKETIME = "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1"


@pytest.fixture(scope="module", autouse=True)
def _server() -> Iterator[None]:
    server.up()
    inside(f"head -c 8000000 /dev/urandom > {LARGE}")
    well("run", *JOBS)
    yield
    server.down()


@pytest.fixture(autouse=True)
def _nothing_is_left_over() -> Iterator[None]:
    yield
    assert server.leftovers() == {}


# --- what every fault has to end in ----------------------------------------------------------------------------------
def failed(done: server.Said, job: str, destination: str, words: str = "") -> None:
    """A clear state: exit code, journal, metrics."""
    assert done.returncode == 1, done.stderr
    lines = [line for line in done.stderr.splitlines() if line.startswith(f"{job} → {destination}: ")]
    assert any(": FAILED: " in line for line in lines), done.stderr
    assert words in "\n".join(lines), done.stderr
    assert server.metric("last_run_success", job=job, destination=destination) == 0


def succeeded(done: server.Said, job: str, destination: str) -> None:
    assert f"{job} → {destination}: stored " in done.stderr, done.stderr
    assert server.metric("last_run_success", job=job, destination=destination) == 1


def fine_again(*jobs: str) -> None:
    """Without the fault: a run is well, what it made is listed, and what is listed last is proven."""
    before = {job: server.points(job) for job in jobs}
    well("run", *jobs)
    for job in jobs:
        assert len(server.points(job)) > len(before[job]) or job == "postgres"
    proven = well("verify", *jobs)
    for job in jobs:
        assert f"{job} → offsite: verified" in proven


def large(config: dict[str, Any]) -> None:
    """Job `configs` takes a while to upload: 8 MB of noise, at 400 KiB/s."""
    config["upload_kib_per_s"] = 400
    job(config, "configs")["paths"] = [LARGE]


def job(config: dict[str, Any], name: str) -> dict[str, Any]:
    found: dict[str, Any] = next(each for each in config["jobs"] if each["name"] == name)
    return found


def no_patience(config: dict[str, Any]) -> None:
    config["retry_s"] = []


# --- S3 --------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("verdict", ["REJECT --reject-with tcp-reset", "DROP"], ids=["refuses", "stalls"])
def test_s3_is_away(verdict: str) -> None:
    """Every local copy is made nevertheless, and nobody waits for hours."""
    jobs = ("postgres", "configs", "media")
    there = {name: server.points(name, "offsite") for name in jobs}
    start = time.monotonic()
    with server.configured(no_patience) as config, server.offsite_unreachable(verdict):
        done = somos("run", *jobs, config=config, limit_s=1500)
        took = time.monotonic() - start
        listed = somos("list", "--job", "postgres", config=config, limit_s=300)
    print(f"\n{verdict}: the run gave up after {took:.0f} s")
    for name in jobs:
        failed(done, name, "offsite")
        succeeded(done, name, "nas" if name == "media" else "local")
    assert listed.returncode == 1 and "postgres → offsite: Repository offsite does not say" in listed.stderr
    assert {name: server.points(name, "offsite") for name in jobs} == there
    fine_again(*jobs)


def test_s3_dies_in_the_middle_and_comes_back() -> None:
    """restic goes on where it was: no failure at all."""
    with server.configured(large) as config:
        run = begun("run", "configs", config=config)
        meanwhile(run, "configs → local: stored", 4)
        with server.offsite_unreachable("REJECT --reject-with tcp-reset"):
            time.sleep(12)
        succeeded(ended(run), "configs", "offsite")
        well("verify", "configs", config=config)


def test_s3_dies_in_the_middle_of_restic() -> None:
    """restic would ask for a quarter of an hour; here it is ended as if that were over."""
    impatient = "/root/impatient-restic"
    server.put({impatient: IMPATIENT.encode()})
    inside(f"chmod 0755 {impatient}; head -c 8000000 /dev/urandom > {LARGE}")

    def change(config: dict[str, Any]) -> None:
        large(config)
        no_patience(config)
        config["restic"] = impatient

    there = server.points("configs", "offsite")
    with server.configured(change) as config:
        run = begun("run", "configs", config=config)
        meanwhile(run, "configs → local: stored", 4)
        with server.offsite_unreachable("REJECT --reject-with tcp-reset"):
            done = ended(run)
    succeeded(done, "configs", "local")
    failed(done, "configs", "offsite")
    assert server.points("configs", "offsite") == there
    fine_again("configs")


def test_s3_dies_in_the_middle_of_rclone() -> None:
    server.upload({f"film-{SEED}.bin": 8_000_000})

    def slow(config: dict[str, Any]) -> None:
        config["upload_kib_per_s"] = 400
        no_patience(config)

    there = server.points("media", "offsite")
    with server.configured(slow) as config:
        run = begun("run", "media", config=config)
        meanwhile(run, "media → nas: stored", 5)
        with server.offsite_unreachable("REJECT --reject-with tcp-reset"):
            done = ended(run)
    succeeded(done, "media", "nas")
    failed(done, "media", "offsite")
    assert server.points("media", "offsite") == there
    fine_again("media")


def test_s3_is_away_for_so_long_that_wal_is_given_up() -> None:
    """The archive does not fill the disk; the gap is a metric until a backup is behind it."""

    def gap() -> float:
        well("metrics")
        return server.metric("wal_gap", destination="offsite")

    assert gap() == 0
    with server.offsite_unreachable("REJECT --reject-with tcp-reset"):
        for _ in range(12):
            sql("CREATE TABLE IF NOT EXISTS wal (n int); INSERT INTO wal VALUES (1); SELECT pg_switch_wal()")
        until(lambda: gap() == 1, 240, "WAL is given up")
        waiting = sql("SELECT count(*) FROM pg_ls_archive_statusdir() WHERE name LIKE '%.ready'")
        assert int(waiting) <= 9
    fine_again("postgres")
    assert gap() == 0


def test_wrong_credentials() -> None:
    server.put({f"{ETC}/secrets/wrong": b"[default]\naws_access_key_id = nobody\naws_secret_access_key = nothing\n"})

    def change(config: dict[str, Any]) -> None:
        no_patience(config)
        config["repositories"]["offsite"]["credentials_file"] = f"{ETC}/secrets/wrong"
        job(config, "media")["destinations"]["offsite"]["credentials_file"] = f"{ETC}/secrets/wrong"

    with server.configured(change) as config, pgbackrest("offsite", "repo2-s3-key-secret", "nothing"):
        done = somos("run", "postgres", "configs", "media", config=config, limit_s=900)
    for name in ("postgres", "configs", "media"):
        failed(done, name, "offsite")
        succeeded(done, name, "nas" if name == "media" else "local")
    fine_again("postgres", "configs", "media")


# --- disks -----------------------------------------------------------------------------------------------------------
def test_the_disk_of_the_local_repository_is_full() -> None:
    inside(f"head -c 8000000 /dev/urandom > {LARGE}")
    with server.small_disk("6m", "/mnt/full"):

        def change(config: dict[str, Any]) -> None:
            large(config)
            no_patience(config)
            config["repositories"]["local"]["url"] = "/mnt/full/restic"

        with server.configured(change) as config:
            done = somos("run", "configs", config=config)
            failed(done, "configs", "local", "no space left on device")
            succeeded(done, "configs", "offsite")
            assert json.loads(somos("restic", "local", "--", "snapshots", "--json", config=config).stdout) == []
            inside("mount -o remount,size=64m /mnt/full")
            well("run", "configs", config=config)
            well("verify", "configs", config=config)
            well("restic", "local", "--", "check", "--read-data", config=config)


def test_there_is_no_room_for_staging() -> None:
    with server.small_disk("64m", "/mnt/full"), server.configured(on("/mnt/full/state")) as config:
        done = somos("run", "configs", config=config)
        for destination in ("local", "offsite"):
            failed(done, "configs", destination, "and a reserve of 1.0 GiB are needed")
        assert inside("find /mnt/full/state/staging -type f") == ""


def test_staging_fills_up_in_the_middle() -> None:
    """What PostgreSQL keeps compressed is many times as large in a dump that is not."""
    sql("CREATE TABLE squeezed AS SELECT repeat('a', 1000000) AS text FROM generate_series(1, 1300)")
    there = server.points("postgres-dump")
    try:
        with server.small_disk("1100m", "/mnt/full"), server.configured(on("/mnt/full/state")) as config:
            done = somos("run", "postgres-dump", "configs", config=config)
            for destination in ("local", "offsite"):
                failed(done, "postgres-dump", destination, "space")
                succeeded(done, "configs", destination)
            assert inside("find /mnt/full/state/staging -type f") == ""
    finally:
        sql("DROP TABLE squeezed")
    assert server.points("postgres-dump") == there
    fine_again("postgres-dump")


def test_the_disk_is_full_to_the_last_byte() -> None:
    """Not even what happened can be noted: every job says so, and none is taken for one that went well."""
    with server.small_disk("64m", "/mnt/full"), server.configured(on("/mnt/full/state")) as config:
        somos("run", "redis", config=config)  # on a server that has run before, directories and lock are there
        inside("cat /dev/zero > /mnt/full/zeros 2>/dev/null || true")
        done = somos("run", "redis", "configs", config=config)
        assert done.returncode == 1 and "Traceback" not in done.stderr
        for name in ("redis", "configs"):
            assert f"{name} → offsite: FAILED: " in done.stderr, done.stderr
    fine_again("redis", "configs")


def on(state: str) -> server.Change:
    def change(config: dict[str, Any]) -> None:
        config["state"] = state

    return change


# --- keys ------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("destination", ["local", "offsite"])
def test_a_wrong_passphrase_of_restic(destination: str) -> None:
    server.put({f"{ETC}/secrets/wrong": b"another\n"})

    def change(config: dict[str, Any]) -> None:
        config["repositories"][destination]["password_file"] = f"{ETC}/secrets/wrong"

    there = server.points("configs")
    with server.configured(change) as config:
        done = somos("run", "configs", config=config)
        failed(done, "configs", destination, "does not open the repository")
        assert "Once more in" not in done.stderr
        listed = somos("list", "--job", "configs", "--destination", destination, config=config)
        assert listed.returncode == 1 and "does not open the repository" in listed.stderr
    succeeded(done, "configs", "offsite" if destination == "local" else "local")
    assert set(there) < set(server.points("configs"))
    fine_again("configs")


def test_a_wrong_passphrase_of_media() -> None:
    """Nothing that is there can be read with it; a second copy beside it would never end."""
    server.put({f"{ETC}/secrets/wrong": b"another\n"})

    def change(config: dict[str, Any]) -> None:
        job(config, "media")["password_file"] = f"{ETC}/secrets/wrong"

    there = sorted(keys())
    with server.configured(change) as config:
        done = somos("run", "media", config=config)
        for destination in ("nas", "offsite"):
            failed(done, "media", destination, "passphrase")
        listed = somos("list", "--job", "media", config=config)
        assert listed.returncode == 1 and "passphrase" in listed.stderr
    assert sorted(keys()) == there
    fine_again("media")


@pytest.mark.parametrize(("destination", "option"), [("local", "repo1-cipher-pass"), ("offsite", "repo2-cipher-pass")])
def test_a_wrong_passphrase_of_pgbackrest(destination: str, option: str) -> None:
    with pgbackrest(destination, option, "another"):
        done = somos("run", "postgres")
    failed(done, "postgres", destination, f"The passphrase of repository {destination} does not open it")
    assert "Once more in" not in done.stderr
    fine_again("postgres")


@contextlib.contextmanager
def pgbackrest(repository: str, option: str, value: str) -> Iterator[None]:
    """Another *value* in what the container reads. Written in place: owner and mode stay."""
    path = f"{PGBACKREST}/{repository}.conf"
    before = inside(f"cat {path}")
    assert f"{option}=" in before
    after = [f"{option}={value}" if line.startswith(f"{option}=") else line for line in before.splitlines()]
    write = ["docker", "exec", "--interactive", NAME, "sh", "-c", f"cat > {path}"]
    try:
        subprocess.run(write, input="\n".join(after) + "\n", text=True, check=True)
        yield
    finally:
        subprocess.run(write, input=before, text=True, check=True)


# --- bytes that changed ----------------------------------------------------------------------------------------------
def test_a_byte_of_restic_s_repository_is_flipped() -> None:
    def everything(config: dict[str, Any]) -> None:
        config["check_share"] = "100%"

    with server.configured(large) as config:
        well("run", "configs", config=config)
    with flipped(largest(f"{LOCAL}/restic/data")), server.configured(everything) as config:
        done = somos("verify", "configs", config=config)
        assert done.returncode == 1 and "configs → local: NOT VERIFIED" in done.stderr
        assert "configs → offsite: verified" in done.stderr
        assert server.metric("verify_success", job="configs", destination="local") == 0
        restored = somos("restore", "configs", "--destination", "local", "--to", "/root/restored", config=config)
        assert restored.returncode == 1 and "files of" not in restored.stderr
        pruned = somos("prune", config=config)
        assert pruned.returncode == 1 and "local: FAILED: Checking the repository" in pruned.stderr
    inside("rm -rf /root/restored")
    fine_again("configs")


def test_a_byte_of_pgbackrest_s_repository_is_flipped() -> None:
    with flipped(largest(f"{POSTGRES_REPOSITORY}/backup/somos")):
        pruned = somos("prune")
        assert pruned.returncode == 1 and "postgres → local: FAILED: pgBackRest found something wrong" in pruned.stderr
        done = somos("verify", "postgres", "--destination", "local")
        assert done.returncode == 1 and "postgres → local: NOT VERIFIED" in done.stderr
    fine_again("postgres")


def test_a_byte_of_an_encrypted_object_is_flipped() -> None:
    with flipped(largest(f"{NAS}/media")):
        done = somos("verify", "media")
        assert done.returncode == 1 and "media → nas: NOT VERIFIED" in done.stderr
        assert "media → offsite: verified" in done.stderr
    fine_again("media")


def largest(directory: str) -> str:
    return inside(f"find {directory} -type f -printf '%s %p\\n' | sort -n | tail -1").split()[1]


@contextlib.contextmanager
def flipped(path: str) -> Iterator[None]:
    """One bit of the byte in the middle of the file; put right afterwards."""
    program = """if True:
        import os, sys
        mode = os.stat(sys.argv[1]).st_mode
        os.chmod(sys.argv[1], 0o600)
        with open(sys.argv[1], "r+b") as stream:
            middle = stream.seek(os.stat(sys.argv[1]).st_size // 2)
            byte = stream.read(1)[0]
            stream.seek(middle)
            stream.write(bytes([byte ^ 1]))
        os.chmod(sys.argv[1], mode)
    """
    flip = f"python3 -c {shlex.quote(program)} {shlex.quote(path)}"
    inside(flip)
    try:
        yield
    finally:
        inside(flip)


# --- services --------------------------------------------------------------------------------------------------------
def test_redis_is_busy_saving() -> None:
    """A save of some seconds is under way: the one that is fetched begins after it."""
    server.redis("EVAL", "for n = 1, 2000 do redis.call('SET', 'key:' .. n, n) end", "0")
    server.redis("CONFIG", "SET", "rdb-key-save-delay", "3000")
    try:
        assert "started" in server.redis("BGSAVE")
        server.redis("SET", "after", "it")
        well("run", "redis")
    finally:
        server.redis("CONFIG", "SET", "rdb-key-save-delay", "0")
    well("restore", "redis", "--to", "/root/redis")
    saved = json.loads(inside("cat /root/redis/manifest.json"))["facts"]["services"]["redis"]["keys"]
    inside("rm -rf /root/redis")
    assert saved == int(server.redis("DBSIZE")) >= 2001
    fine_again("redis")


def test_qdrant_breaks_off_again_and_again() -> None:
    """The client goes on where it was; what it has in the end is what was there."""
    server.qdrant_faults({"on": SNAPSHOT, "do": "truncate", "after": 50_000, "times": 5})
    fine_again("qdrant")


@pytest.mark.parametrize(
    "fault",
    [{"on": SNAPSHOT, "do": "truncate", "after": 0}, {"on": "POST /collections/*/snapshots", "do": "checksum"}],
    ids=["nothing at all", "another checksum"],
)
def test_qdrant_does_not_send_what_it_promised(fault: dict[str, Any]) -> None:
    there = server.points("qdrant")
    server.qdrant_faults({**fault, "times": 100_000})
    try:
        done = somos("run", "qdrant", "configs")
    finally:
        server.qdrant_faults()
    for destination in ("local", "offsite"):
        failed(done, "qdrant", destination)
        succeeded(done, "configs", destination)
    assert server.points("qdrant") == there
    fine_again("qdrant")


@pytest.mark.parametrize(
    ("service", "name"), [("qdrant", "qdrant"), ("redis-cache", "redis"), ("postgres", "postgres-dump")]
)
def test_a_service_is_stopped(service: str, name: str) -> None:
    with server.stopped(service):
        done = somos("run", name, "configs")
    for destination in ("local", "offsite"):
        failed(done, name, destination, f"{service} does not run")
        succeeded(done, "configs", destination)
    fine_again(name)


def test_a_database_that_came_since_the_last_run_is_dumped_and_proven() -> None:
    new = "Nova loja; $HOME"
    sql(f'CREATE DATABASE "{new}"', "postgres")
    try:
        sql("CREATE TABLE orders AS SELECT n FROM generate_series(1, 42) n", new)
        fine_again("postgres-dump")
        well("restore", "postgres-dump", "--to", "/root/dump")
        saved = json.loads(inside("cat /root/dump/manifest.json"))["facts"]["databases"]
        assert saved[new]["rows"] == {"public.orders": 42}
        fine_again("postgres")
    finally:
        inside("rm -rf /root/dump")
        sql(f'DROP DATABASE "{new}"', "postgres")


# --- the program itself ----------------------------------------------------------------------------------------------
def test_two_runs_at_once() -> None:
    first = begun("run", "redis", "configs")
    meanwhile(first, "Run ")
    second = somos("run", "configs")
    assert second.returncode == 75 and "`somos-backup run (process " in second.stderr
    waited = somos("--wait", "300", "run", "configs")
    done = ended(first)
    assert done.returncode == waited.returncode == 0
    for name in ("redis", "configs"):
        succeeded(done, name, "offsite")
    well("verify", "redis", "configs")


def test_the_clock_an_hour_ahead_and_back_again() -> None:
    """What Python believes: state, lock and run ids. restic's and PostgreSQL's clocks are the server's."""
    inside("DEBIAN_FRONTEND=noninteractive apt-get install -qqy libfaketime >/dev/null")
    for shift in ("+1h", "-1h"):
        command = ["docker", "exec", "--env", f"LD_PRELOAD={FAKETIME}", "--env", f"FAKETIME={shift}", NAME, PROGRAM]
        jobs = ("redis", "configs", "postgres")
        done = subprocess.run([*command, "run", *jobs], capture_output=True, text=True, check=False, timeout=600)
        assert done.returncode == 0, done.stderr
        now = float(inside("date +%s"))
        noted = server.metric("last_success_timestamp_seconds", job="configs", destination="local")
        assert abs(noted - now - (3600 if shift == "+1h" else -3600)) < 120
        fine_again(*jobs)
        noted = server.metric("last_success_timestamp_seconds", job="configs", destination="local")
        assert abs(noted - float(inside("date +%s"))) < 120


def test_local_loss_does_not_propagate() -> None:
    """What is deleted here stays there; the next run makes the local repositories anew."""
    well("run", *JOBS)
    before = {key for key in keys() if "/locks/" not in key}
    listed = {name: server.points(name, "offsite") for name in JOBS}
    inside(f"rm -rf {LOCAL}/restic {POSTGRES_REPOSITORY} {NAS}/media")

    def patient(config: dict[str, Any]) -> None:
        config["retry_s"] = [5, 10, 20]

    with server.configured(patient) as config:
        well("run", *JOBS, config=config)
    assert before - keys() == set()
    for name in JOBS:
        assert set(listed[name]) < set(server.points(name, "offsite"))
    assert all(server.points(name, "local") for name in DAILY)
    well("verify")


def test_killed_at_random_moments() -> None:
    """By systemd's SIGKILL of the whole unit, as when memory runs out or the machine is switched off."""
    moments = random.Random(SEED)
    took = {}
    for command in ("run", "verify"):
        start = time.monotonic()
        well(command, *JOBS)
        took[command] = time.monotonic() - start
    for number in range(ROUNDS):
        command = ("run", "run", "verify")[number % 3]
        after = moments.random() * took[command]
        print(f"\nseed {SEED}: {command} killed after {after:.1f} of {took[command]:.1f} s", flush=True)
        unit = f"torture-{number}"
        inside(f"systemd-run --quiet --unit={unit} --property=CollectMode=inactive-or-failed {PROGRAM} {command} "
               f"{' '.join(JOBS)}")  # fmt: skip
        time.sleep(after)
        inside(f"systemctl kill --signal=KILL {unit} || true")
        until(lambda unit=unit: "inactive" in inside(f"systemctl is-active {unit} || echo inactive"), 30, "it is dead")  # type: ignore[misc]

        def patient(config: dict[str, Any]) -> None:
            config["retry_s"] = [5, 10, 20, 40]

        with server.configured(patient) as config:
            well("run", *JOBS, config=config)
            # What it left of a verification is removed by the next one.
            well("verify", "configs", config=config)
        assert server.leftovers() == {}
        for destination in ("local", "offsite"):
            assert somos("restic", destination, "--", "list", "locks", "--no-lock").stdout.strip() == ""
    well("verify")


# --- helpers ---------------------------------------------------------------------------------------------------------
def begun(*words: str, config: str = f"{ETC}/config.json") -> subprocess.Popen[str]:
    command = ["docker", "exec", NAME, "sh", "-c", f"exec {PROGRAM} --config={config} {shlex.join(words)} 2>&1"]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def meanwhile(run: subprocess.Popen[str], words: str, then_s: float = 0) -> None:
    """Until *run* says *words*, and so long after it. What it said is kept for `ended`."""
    assert run.stdout
    said = run.__dict__.setdefault("said", [])
    for line in run.stdout:
        said.append(line)
        if words in line:
            time.sleep(then_s)
            return
    raise AssertionError(f"{words} was never said:\n{''.join(said)}")


def ended(run: subprocess.Popen[str]) -> server.Said:
    assert run.stdout
    said = "".join([*run.__dict__.get("said", []), *run.stdout])
    return subprocess.CompletedProcess(run.args, run.wait(600), "", said)


def keys() -> set[str]:
    """Of everything in the bucket."""
    return set(Bucket(server.BUCKET).keys())


def until(condition: Any, limit_s: float, what: str) -> None:
    end = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < end, f"{what}: not so after {limit_s} s"
        time.sleep(1)
