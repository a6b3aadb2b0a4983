"""Claims, each against the seed's own commands on the same database of 1.5 GB, in one run:

a full backup takes at most 0.4 of the time of `pg_dump | gzip` and 0.4 of its CPU, a later one 0.12 of the time; a
restore to a database that can be written to takes at most 0.25 of the time of `gunzip | psql`, one over a damaged
directory 0.15; and archiving WAL costs at most 5 % of pgbench's transactions.

One test server, as role postgres makes it, with a local repository alone: what the network to S3 costs is not measured.
CPU is that of the whole server, whoever works. Needs Docker and a quiet machine; takes about half an hour.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shlex
import statistics
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parents[2]
SERVER, ADDRESS = "somos-bench-postgres", "10.77.0.44"
SCALE = 105  # of pgbench: 1.5 GB
GOALS = {
    "full backup / dump": 0.40,
    "full backup / dump, CPU": 0.40,
    "differential backup / dump": 0.12,
    "restore / psql": 0.25,
    "restore over damage / psql": 0.15,
    "transactions lost to archiving": 0.05,
}
VARIABLES = {
    "ansible_host": ADDRESS,
    "ansible_ssh_common_args": f"-o UserKnownHostsFile={ROOT}/build/hosts/{SERVER}/known_hosts -o IdentitiesOnly=yes",
    "postgres_backup_s3_endpoint": "",
    "postgres_backup_archive_timeout_s": 300,
    "postgres_backup_queue_max_mb": 8192,
    "postgres_backup_processes": 2,
}
COMPOSE = "cd /opt/somos && docker compose"
BACKUP = f"{COMPOSE} exec -T postgres nice -n 0 pgbackrest --stanza=somos --repo=1 --log-level-console=warn"
DUMP = "/root/dump.sql.gz"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition(":")[0])
    parser.add_argument(
        "--rounds", type=int, default=3, help="of each measurement; the median counts (default %(default)s)"
    )
    parser.add_argument(
        "--pairs", type=int, default=10, help="of pgbench with and without archiving (default %(default)s)"
    )
    given = parser.parse_args()
    prepare()
    try:
        ratios = {
            **backups(given.rounds),
            **restores(given.rounds),
            "transactions lost to archiving": archiving(given.pairs),
        }
    finally:
        host("down", SERVER)
    missed = [name for name, ratio in ratios.items() if ratio > GOALS[name]]
    for name, ratio in ratios.items():
        print(f"{name}: {ratio:.3f} (goal {GOALS[name]:.2f}){' MISSED' if name in missed else ''}")
    sys.exit(1 if missed else 0)


def prepare() -> None:
    host("down", SERVER)
    host("up", SERVER, "--image", "debian13-docker", "--ip", ADDRESS)
    for playbook in ("molecule/shared/prepare.yml", "molecule/shared/converge.yml"):
        command = ["ansible-playbook", "-i", "molecule/inventory.yml", playbook, "-e", json.dumps(VARIABLES)]
        environment = os.environ | {"MOLECULE_SCENARIO_NAME": "postgres"}
        subprocess.run(command, cwd=ROOT, env=environment, check=True, stdout=subprocess.DEVNULL)
    inside(f"{COMPOSE} exec -T postgres pgbench -iq -s {SCALE} -U postgres somos 2>&1")
    inside(f"{BACKUP.replace('--repo=1 ', '')} stanza-create")
    size = int(sql("SELECT pg_database_size('somos')"))
    print(f"database: {size / 1e9:.2f} GB")
    assert size >= 1.5e9


def backups(rounds: int) -> dict[str, float]:
    times: dict[str, list[float]] = {}
    work: dict[str, list[float]] = {}
    for _ in range(rounds):
        for name, command in {
            "dump": f"{COMPOSE} exec -T postgres pg_dump -U postgres somos | gzip > {DUMP}",
            "full": f"{BACKUP} --type=full backup",
            "diff": f"{BACKUP} --type=diff backup",
        }.items():
            if name == "diff":  # what a day changes: a hundredth of the rows, and the pages that they are on
                sql("UPDATE pgbench_accounts SET abalance = abalance + 1 WHERE aid % 10000 < 100")
            sql("CHECKPOINT")
            took, cpu = measured(command)
            print(f"{name}: {took:.1f} s, {cpu:.1f} s of CPU", flush=True)
            times.setdefault(name, []).append(took)
            work.setdefault(name, []).append(cpu)
    middle = {name: statistics.median(values) for name, values in times.items()}
    return {
        "full backup / dump": middle["full"] / middle["dump"],
        "full backup / dump, CPU": statistics.median(work["full"]) / statistics.median(work["dump"]),
        "differential backup / dump": middle["diff"] / middle["dump"],
    }


def restores(rounds: int) -> dict[str, float]:
    """To the end of the newest backup, as the dump brings back no later moment either."""
    times: dict[str, list[float]] = {}
    rows = sql("SELECT count(*) FROM pgbench_accounts")
    damage = "ls -S $PGDATA/base/*/* | sed -n 2,4p | xargs rm"
    for _ in range(rounds):
        for name, lost in {
            "restore": "docker volume rm somos_postgres_data > /dev/null",
            "delta": f"{one_off()} bash -c {shlex.quote(damage)}",
        }.items():
            inside(f"{stopped()}; {lost}")
            note(times, name, restored())
            assert sql("SELECT count(*) FROM pgbench_accounts") == rows
            sql("CREATE TABLE writable (at timestamptz)")
    for _ in range(rounds):
        sql("CREATE DATABASE copy TEMPLATE template0")
        psql = f"{COMPOSE} exec -T postgres psql -qU postgres copy > /dev/null"
        note(times, "psql", f"set -o pipefail; gunzip < {DUMP} | ({psql})")
        assert sql("SELECT count(*) FROM pgbench_accounts", "copy") == rows
        sql("DROP DATABASE copy WITH (FORCE)")
    middle = {name: statistics.median(values) for name, values in times.items()}
    return {
        "restore / psql": middle["restore"] / middle["psql"],
        "restore over damage / psql": middle["delta"] / middle["psql"],
    }


def note(times: dict[str, list[float]], name: str, command: str) -> None:
    took, _ = measured(command)
    print(f"{name}: {took:.1f} s", flush=True)
    times.setdefault(name, []).append(took)


def stopped() -> str:
    return f"{COMPOSE} rm --stop --force postgres >/dev/null 2>&1"


def one_off() -> str:
    return f"{COMPOSE} run --rm -T --no-deps --entrypoint= postgres"


def restored() -> str:
    """Until it can be written to: the role's own way, and its service again."""
    restore = "bash /etc/postgresql/pgbackrest-restore.sh restore --repo=1 --type=immediate --target-action=promote"
    command = f"{one_off()} {restore} -- postgres -c config_file=/etc/postgresql/postgresql.conf"
    return f"{command} >/dev/null 2>&1 && {COMPOSE} up --detach --wait --quiet-pull postgres >/dev/null 2>&1"


def archiving(pairs: int) -> float:
    """The median share of transactions that archiving costs, each pair in a random order."""
    losses = []
    for number in range(pairs):
        found = {}
        for archives in (True, False) if number % 2 else (False, True):
            sql(f"ALTER SYSTEM SET archive_command = {'DEFAULT' if archives else quoted('/bin/true')}")
            sql("SELECT pg_reload_conf()")
            sql("CHECKPOINT")
            time.sleep(2)
            said = inside(f"{COMPOSE} exec -T postgres pgbench -n -c 8 -j 2 -T 20 -U postgres somos 2>&1")
            found[archives] = float(re.findall(r"tps = ([\d.]+)", said)[0])
        losses.append(1 - found[True] / found[False])
        print(f"pgbench: {found[True]:.0f} with archiving, {found[False]:.0f} without", flush=True)
    sql("ALTER SYSTEM RESET archive_command")
    return statistics.median(losses)


def quoted(text: str) -> str:
    return f"'{text}'"


def measured(command: str) -> tuple[float, float]:
    """Seconds that *command* takes, and that the server's processors work meanwhile."""
    begin, start = cpu_seconds(), time.monotonic()
    inside(command)
    return time.monotonic() - start, cpu_seconds() - begin


def cpu_seconds() -> float:
    container = subprocess.run(
        ["docker", "inspect", "--format={{.Id}}", SERVER], capture_output=True, text=True, check=True
    ).stdout.strip()
    first = Path(f"/sys/fs/cgroup/cpuacct/docker/{container}/cpuacct.usage")
    if first.exists():
        return int(first.read_text()) / 1e9
    second = next(Path("/sys/fs/cgroup").rglob(f"*{container}*/cpu.stat"))
    return int(re.findall(r"usage_usec (\d+)", second.read_text())[0]) / 1e6


def inside(command: str) -> str:
    run = subprocess.run(["docker", "exec", SERVER, "bash", "-c", command], capture_output=True, text=True, check=False)
    assert run.returncode == 0, f"{command}\n{run.stdout[-2000:]}{run.stderr[-2000:]}"
    return run.stdout


def sql(statement: str, database: str = "somos") -> str:
    return inside(f"{COMPOSE} exec -T postgres psql -qAtU postgres -d {database} -c {json.dumps(statement)}").strip()


def host(*arguments: str) -> None:
    subprocess.run([sys.executable, "-m", "tests.host", *arguments], cwd=ROOT, check=True)


if __name__ == "__main__":
    main()
