"""A server with data in every service and `somos-backup` on it, for tests that break what it depends on.

The program is installed by `install`, without role `backup`: its timers and units are that role's scenario's matter.
"""

from __future__ import annotations

import contextlib
import copy
import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from tests.host.container import tar_of
from tests.host.names import CA, OUTSIDE_IP, OUTSIDE_JSON, S3_ENDPOINT, SECRETS
from tests.host.storage import Bucket

ROOT = Path(__file__).parents[2]
NAME, ADDRESS, BUCKET = "somos-torture-backup", "10.77.0.49", "torture-backup"
ETC, STATE, LOCAL, NAS = "/etc/somos-backup", "/var/lib/somos-backup", "/var/backups/somos", "/mnt/nas"
PROGRAM, LIBRARY = "/usr/local/sbin/somos-backup", "/usr/local/lib/somos-backup"
S3_PORT = S3_ENDPOINT.partition(":")[2]
PASSPHRASES = {name: f"torture-{name}-passphrase" for name in ("local", "offsite", "media")}
COMPOSE = "cd /opt/somos && docker compose"
VARIABLES = {
    "ansible_host": ADDRESS,
    "ansible_ssh_common_args": f"-o UserKnownHostsFile={ROOT}/build/hosts/{NAME}/known_hosts -o IdentitiesOnly=yes",
    "postgres_backup_s3_bucket": BUCKET,
}
WRAPPER = f"""#!/usr/bin/python3
import sys
sys.dont_write_bytecode = True
sys.path.insert(0, "{LIBRARY}")
from somos_backup.cli import main
sys.exit(main())
"""
Change = Callable[[dict[str, Any]], None]
Said = subprocess.CompletedProcess[str]


# --- the server ------------------------------------------------------------------------------------------------------
def up() -> None:
    """A fresh one, with every service, some data and the program."""
    host("down", NAME)
    host("up", NAME, "--image", "debian13-docker", "--ip", ADDRESS)
    Bucket(BUCKET).make_empty()
    command = ["ansible-playbook", "-i", "molecule/inventory.yml", "tests/torture/files/backup_server.yml"]
    environment = os.environ | {"MOLECULE_SCENARIO_NAME": "postgres"}
    done = subprocess.run(
        [*command, "-e", json.dumps(VARIABLES)], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout[-4000:]
    inside("apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qqy restic rclone")
    install()
    fill()


def down() -> None:
    host("down", NAME)


def install() -> None:
    """The program as it lies in the project, its configuration, and its secrets."""
    secrets, outside = json.loads(SECRETS.read_text()), json.loads(OUTSIDE_JSON.read_text())
    client = sorted((ROOT / "plugins" / "module_utils").glob("_qdrant*.py"))
    package = ROOT / "roles" / "backup" / "files"
    files = {
        PROGRAM: WRAPPER.encode(),
        f"{LIBRARY}/somos_qdrant/__init__.py": b"",
        **{f"{LIBRARY}/{path.relative_to(package)}": path.read_bytes() for path in package.rglob("*.py")},
        **{
            f"{LIBRARY}/somos_qdrant/{path.name}": path.read_bytes()
            for path in client
            if path.name not in ("_qdrant_module.py", "_qdrant_snapshots.py")
        },
        **{f"{ETC}/secrets/{name}.passphrase": f"{text}\n".encode() for name, text in PASSPHRASES.items()},
        f"{ETC}/secrets/offsite.credentials": (
            f"[default]\naws_access_key_id = {outside['access_key']}\naws_secret_access_key = {outside['secret_key']}\n"
        ).encode(),
        f"{ETC}/secrets/offsite.ca.pem": CA.read_bytes(),
        f"{ETC}/secrets/qdrant": secrets["qdrant_api_key"].encode(),
        f"{ETC}/secrets/access_key": secrets["object_storage_access_key"].encode(),
        f"{ETC}/secrets/secret_key": secrets["object_storage_secret_key"].encode(),
        f"{ETC}/config.json": json.dumps(configuration(), indent=1).encode(),
    }
    inside(f"rm -rf {LIBRARY} && mkdir -p {STATE} {LOCAL} {NAS} && chmod 0700 {STATE} {LOCAL}")
    put(files)
    inside(f"chmod 0755 {PROGRAM} && chmod -R go= {ETC}; mountpoint -q {NAS} || mount -t tmpfs -o size=256m nas {NAS}")


def configuration() -> dict[str, Any]:
    """What role `backup` renders of these services, with shorter pauses."""
    secrets = f"{ETC}/secrets"
    s3 = {"credentials_file": f"{secrets}/offsite.credentials", "uri_style": "path", "region": "us-east-1"}
    s3["ca_file"] = f"{secrets}/offsite.ca.pem"
    media = {"s3": f"https://{S3_ENDPOINT}", "bucket": BUCKET, "prefix": "media", "provider": "Other"}
    jobs = [
        {"name": "postgres", "kind": "pgbackrest", "stanza": "somos", "repositories": {"local": 1, "offsite": 2}},
        {"name": "postgres-dump", "kind": "pg_dump", "keep_days": 30},
        {"name": "redis", "kind": "redis", "services": ["redis", "redis-cache"], "keep_days": 14},
        {"name": "qdrant", "kind": "qdrant", "service": "qdrant", "url": "http://127.0.0.1:6333", "keep_days": 14},
        {"name": "configs", "kind": "files", "paths": ["/opt/somos", "/etc/letsencrypt"], "keep_days": 90},
        {"name": "media", "kind": "bucket", "weekly": True, "endpoint": "http://127.0.0.1:9000"},
    ]
    for job in jobs[:2]:
        job["service"] = "postgres"
    jobs[0] |= {"gap_directory": "/var/backups/somos-postgres", "full_every_days": 7}
    jobs[2]["password_path"] = "/run/secrets/password"  # noqa: S105 (a path)
    jobs[3]["api_key_file"] = f"{secrets}/qdrant"
    jobs[5] |= {
        "region": "us-east-1",
        "access_key_file": f"{secrets}/access_key",
        "secret_key_file": f"{secrets}/secret_key",
        "password_file": f"{secrets}/media.passphrase",
        "destinations": {"nas": {"path": f"{NAS}/media", "mount": NAS}, "offsite": s3 | media},
    }
    return {
        "name": NAME,
        "project": "/opt/somos",
        "state": STATE,
        "textfile": "/var/lib/prometheus/node-exporter",
        "retry_s": [1],
        "repositories": {
            "local": {"url": f"{LOCAL}/restic", "password_file": f"{secrets}/local.passphrase"},
            "offsite": {
                "url": f"s3:https://{S3_ENDPOINT}/{BUCKET}/restic",
                "password_file": f"{secrets}/offsite.passphrase",
            }
            | s3,
        },
        "jobs": jobs,
    }


def fill() -> None:
    """Some of each kind of data."""
    inside("mkdir -p /var/lib/prometheus/node-exporter")
    sql("CREATE TABLE notes (id serial PRIMARY KEY, text text NOT NULL)")
    sql("INSERT INTO notes (text) SELECT 'note ' || n FROM generate_series(1, 1000) n")
    redis("SET", "greeting", "hello")
    put({"/root/visitor.py": (ROOT / "molecule" / "qdrant" / "files" / "visitor.py").read_bytes()})
    inside(f"QDRANT_API_KEY=$(cat {ETC}/secrets/qdrant) python3 /root/visitor.py fill 500")
    upload({f"picture-{number}.bin": 20_000 for number in range(12)})


def upload(objects: Mapping[str, int]) -> None:
    """Noise of so many bytes into bucket `media`, by rclone with the server's own keys."""
    place = "RCLONE_CONFIG_S"
    make = "; ".join(f"head -c {size} /dev/urandom > /root/media/{name}" for name, size in objects.items())
    inside(
        f"export RCLONE_CONFIG=/dev/null {place}_TYPE=s3 {place}_PROVIDER=Other {place}_REGION=us-east-1 "
        f"{place}_ENDPOINT=http://127.0.0.1:9000 {place}_ACCESS_KEY_ID=$(cat {ETC}/secrets/access_key) "
        f"{place}_SECRET_ACCESS_KEY=$(cat {ETC}/secrets/secret_key); "
        f"mkdir -p /root/media; {make}; rclone copy /root/media s:media"
    )


# --- the program -----------------------------------------------------------------------------------------------------
def somos(*words: str, config: str = f"{ETC}/config.json", limit_s: float = 600) -> Said:
    """`somos-backup`, with what it says; never fails by itself."""
    command = ["docker", "exec", NAME, PROGRAM, f"--config={config}", *words]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=limit_s)


def well(*words: str, config: str = f"{ETC}/config.json") -> str:
    """`somos-backup`, which ends well: what it said to the journal."""
    done = somos(*words, config=config)
    assert done.returncode == 0, done.stderr
    return done.stderr


@contextlib.contextmanager
def configured(change: Change) -> Iterator[str]:
    """The path of a configuration that is like the server's, changed by *change*."""
    values = copy.deepcopy(configuration())
    change(values)
    path = f"{ETC}/fault.json"
    put({path: json.dumps(values).encode()})
    try:
        yield path
    finally:
        inside(f"rm -f {path}")


def points(job: str, destination: str = "") -> list[str]:
    """The ids of what there is to go back to."""
    arguments = ["--job", job, *(["--destination", destination] if destination else [])]
    said = json.loads(somos("restore-points", "--json", *arguments).stdout)
    return [point["id"] for point in said["points"]]


def metric(name: str, **labels: str) -> float:
    """Of the file that node-exporter reads."""
    inner = ",".join(f'{label}="{value}"' for label, value in labels.items())
    text = inside("cat /var/lib/prometheus/node-exporter/somos_backup.prom")
    found = re.search(rf"^somos_backup_{name}{re.escape(f'{{{inner}}}')} (\S+)$", text, re.MULTILINE)
    assert found, f"{name}{{{inner}}} is not in:\n{text}"
    return float(found[1])


def leftovers() -> dict[str, str]:
    """What no command that has ended may leave: {what: where}; empty where there is nothing."""
    label = "label=somos.backup.scratch"
    found = {
        "containers": inside(f"docker ps --all --quiet --filter {label}"),
        "volumes": inside(f"docker volume ls --quiet --filter {label}"),
        "staged": inside(f"find {STATE}/staging {STATE}/scratch -mindepth 1 -maxdepth 1 2>/dev/null || true"),
        "snapshots in Qdrant": inside(f"{COMPOSE} exec -T qdrant find /qdrant/snapshots -name '*.snapshot'"),
    }
    return {what: where for what, where in found.items() if where.strip()}


# --- what is broken --------------------------------------------------------------------------------------------------
@contextlib.contextmanager
def offsite_unreachable(verdict: str) -> Iterator[None]:
    """Packets of this server and of its containers to the S3 endpoint meet *verdict* of iptables."""
    rule = f"--destination {OUTSIDE_IP} --protocol tcp --destination-port {S3_PORT} --jump {verdict}"
    inside(f"iptables --insert OUTPUT {rule}; iptables --insert DOCKER-USER {rule}")
    try:
        yield
    finally:
        inside(f"iptables --delete OUTPUT {rule}; iptables --delete DOCKER-USER {rule}")


@contextlib.contextmanager
def small_disk(size: str, place: str) -> Iterator[str]:
    """A file system of *size* at *place*."""
    inside(f"mkdir -p {place} && mount -t tmpfs -o size={size} small {place}")
    try:
        yield place
    finally:
        inside(f"umount {place} && rmdir {place}")


@contextlib.contextmanager
def stopped(service: str) -> Iterator[None]:
    inside(f"{COMPOSE} stop {service}")
    try:
        yield
    finally:
        inside(f"{COMPOSE} up --detach --wait {service}")


def sql(statement: str, database: str = "somos") -> str:
    command = f"{COMPOSE} exec -T postgres psql -qtAU postgres -d {shlex.quote(database)} -c {shlex.quote(statement)}"
    return inside(command).strip()


def redis(*words: str, service: str = "redis") -> str:
    script = f'REDISCLI_AUTH="$(cat /run/secrets/password)" exec redis-cli {shlex.join(words)}'
    return inside(f"{COMPOSE} exec -T {service} sh -c {shlex.quote(script)}").strip()


def qdrant_faults(*faults: Mapping[str, Any]) -> None:
    """What the double does wrong next; none: nothing."""
    request = "urllib.request.Request('http://127.0.0.1:6333/_double/faults', sys.argv[1].encode(), method='PUT')"
    program = f"import sys, urllib.request; urllib.request.urlopen({request})"
    inside(f"python3 -c {shlex.quote(program)} {shlex.quote(json.dumps(faults))}")


def put(files: Mapping[str, bytes]) -> None:
    subprocess.run(["docker", "cp", "-", f"{NAME}:/"], input=tar_of(dict(files)), check=True, capture_output=True)


def inside(script: str) -> str:
    run = subprocess.run(["docker", "exec", NAME, "sh", "-c", script], capture_output=True, text=True, check=False)
    assert run.returncode == 0, f"{script}: {run.stdout}{run.stderr}"
    return run.stdout


def host(*words: str) -> None:
    subprocess.run([sys.executable, "-m", "tests.host", *words], cwd=ROOT, check=True)
