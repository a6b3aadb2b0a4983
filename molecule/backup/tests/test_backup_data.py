"""Backups as their users know them: data go in, all is lost, data come back; and nobody else can read them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.host.names import OUTSIDE_JSON, SECRETS
from tests.host.storage import Bucket

BUCKET = "molecule-backup"
COMPOSE = "cd /opt/somos && docker compose"
# What the seed's table of retention says, and the copies of it that a lost server leaves.
COPIES = {
    *(
        (job, place)
        for job in ("postgres", "postgres-dump", "redis", "qdrant", "configs")
        for place in ("local", "offsite")
    ),
    ("media", "nas"),
    ("media", "offsite"),
}
ROW, KEY, CACHED, PAYLOAD, OBJECT = (
    f"visible-{kind}-of-the-backup-test" for kind in ("row", "key", "cached", "payload", "object")
)
WRITE = f"""
import json, urllib.request
from pathlib import Path

def qdrant(method, path, body=None):
    key = next(Path(job["api_key_file"]) for job in jobs if job["name"] == "qdrant").read_text().strip()
    headers = {{"api-key": key, "content-type": "application/json"}}
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request("http://127.0.0.1:6333" + path, method=method, data=data, headers=headers)
    return json.load(urllib.request.urlopen(request))

jobs = json.loads(Path("/etc/somos-backup/config.json").read_text())["jobs"]
qdrant("PUT", "/collections/clips", {{"vectors": {{"size": 4, "distance": "Cosine"}}}})
points = [{{"id": number, "vector": [number, 1, 2, 3], "payload": {{"text": "{PAYLOAD}"}}}} for number in range(1, 101)]
qdrant("PUT", "/collections/clips/points?wait=true", {{"points": points}})
qdrant("PUT", "/collections/empty", {{"vectors": {{"size": 4, "distance": "Dot"}}}})
alias = {{"collection_name": "clips", "alias_name": "current"}}
qdrant("POST", "/collections/aliases", {{"actions": [{{"create_alias": alias}}]}})
"""


@pytest.fixture(scope="module", autouse=True)
def backed_up(host: Any) -> None:
    """Data in every service, and one run of everything by its units."""
    for sql in (
        "CREATE TABLE IF NOT EXISTS clips (id serial, title text)",
        f"INSERT INTO clips (title) SELECT '{ROW}' FROM generate_series(1, 50)",  # noqa: S608 (our own word)
    ):
        host.check_output(f"{COMPOSE} exec -T postgres psql -qU postgres -d somos -c %s", sql)
    for service, key in (("redis", KEY), ("redis-cache", CACHED)):
        script = f'REDISCLI_AUTH="$(cat /run/secrets/password)" redis-cli set {key} {key}'
        assert "OK" in host.check_output(f"{COMPOSE} exec -T {service} sh -c %s", script)
    host.check_output("python3 -c %s", WRITE)
    put_object(host)
    for unit in ("somos-backup", "somos-backup-media"):
        run = host.run(f"systemctl start {unit}.service")
        assert run.rc == 0, host.check_output(f"journalctl -u {unit} -n 40 -o cat")


def put_object(host: Any) -> None:
    """Through the program's own eyes: rclone, with the keys that it uses."""
    job = next(each for each in config(host)["jobs"] if each["name"] == "media")
    settings = {
        "RCLONE_CONFIG": "/dev/null",
        "RCLONE_CONFIG_S_TYPE": "s3",
        "RCLONE_CONFIG_S_PROVIDER": "Other",
        "RCLONE_CONFIG_S_ENDPOINT": job["endpoint"],
        "RCLONE_CONFIG_S_ACCESS_KEY_ID": f"$(cat {job['access_key_file']})",
        "RCLONE_CONFIG_S_SECRET_ACCESS_KEY": f"$(cat {job['secret_key_file']})",
    }
    script = "".join(f"export {name}={value};" for name, value in settings.items())
    script += f"rclone mkdir s:clips && printf %s {OBJECT} | rclone rcat 's:clips/caminho com espaço/{OBJECT}.txt'"
    host.check_output("bash -c %s", script)


def config(host: Any) -> dict[str, Any]:
    return dict(json.loads(host.file("/etc/somos-backup/config.json").content_string))


def points(host: Any) -> list[dict[str, Any]]:
    found = json.loads(host.check_output("somos-backup restore-points --json"))
    assert found["unreachable"] == []
    return list(found["points"])


@pytest.fixture
def restored(host: Any) -> Iterator[str]:
    directory = "/var/tmp/restored"  # noqa: S108 (the test server's)
    host.check_output(f"rm -rf {directory}")
    yield directory
    host.check_output(f"rm -rf {directory}")


def test_every_row_of_the_table_is_in_every_place_that_it_names(host: Any) -> None:
    assert {(point["job"], point["destination"]) for point in points(host)} == COPIES


def test_each_of_them_is_proven_by_being_restored(host: Any) -> None:
    run = host.run("somos-backup verify")
    assert run.rc == 0, run.stderr
    state = json.loads(host.file("/var/lib/somos-backup/state.json").content_string)
    verified = {
        (job, place) for job, places in state["verified"].items() for place, entry in places.items() if entry["ok"]
    }
    assert verified == COPIES, run.stderr
    left = host.check_output(
        "docker ps -aq --filter label=somos.backup.scratch; docker volume ls -q --filter label=somos.backup.scratch"
    )
    assert left == "" and host.check_output(
        "ls -A /var/lib/somos-backup/scratch /var/lib/somos-backup/staging"
    ).split() == [
        "/var/lib/somos-backup/scratch:",
        "/var/lib/somos-backup/staging:",
    ]


@pytest.mark.parametrize("destination", ["local", "offsite"])
@pytest.mark.parametrize(
    ("job", "content"),
    [("postgres-dump", ROW), ("redis", KEY), ("redis", CACHED), ("qdrant", PAYLOAD), ("configs", "compose.d")],
)
def test_what_was_put_in_comes_back(host: Any, restored: str, destination: str, job: str, content: str) -> None:
    host.check_output(f"somos-backup restore {job} --destination {destination} --to {restored}")
    if job == "qdrant":  # a snapshot is an archive, of archives
        unpack = "for each in *.snapshot; do tar -xf $each; done; find . -name '*.tar' -execdir tar -xf {} ';'"
        host.check_output(f"cd {restored}/data && {unpack}")
    if job == "configs":
        # What containers were given, with owners and modes; a backup is the only other place that has it.
        differences = host.run(f"diff -r --no-dereference /opt/somos {restored}/data/opt/somos")
        assert (differences.rc, differences.stdout) == (0, "")
        listing = "find . -printf '%p %U:%G %m\\n' | sort"
        assert host.check_output(f"cd {restored}/data/opt/somos && {listing}") == host.check_output(
            f"cd /opt/somos && {listing}"
        )
    else:
        assert host.run(f"grep -rqaF {content} {restored}/data").rc == 0


def test_a_manifest_says_what_is_in_a_backup(host: Any, restored: str) -> None:
    host.check_output(f"somos-backup restore postgres-dump --to {restored}")
    facts = json.loads(host.file(f"{restored}/manifest.json").content_string)["facts"]
    assert facts["databases"]["somos"]["rows"]["public.clips"] >= 50
    assert facts["databases"]["somos"]["sequences"]["public.clips_id_seq"] >= 50
    host.check_output(f"rm -rf {restored} && somos-backup restore qdrant --to {restored}")
    facts = json.loads(host.file(f"{restored}/manifest.json").content_string)["facts"]
    assert facts["aliases"] == {"current": "clips"}
    assert {name: each["points_after"] for name, each in facts["collections"].items()} == {"clips": 100, "empty": 0}


@pytest.mark.parametrize(
    ("job", "damage", "said"),
    [
        ("redis", 'sed -i \'s/"keys": [0-9]*/"keys": 4711/\' manifest.json', "4711 were saved"),
        ("postgres-dump", 'sed -i \'s/"public.clips": [0-9]*/"public.clips": 4711/\' manifest.json', "4711 expected"),
        (
            "qdrant",
            'sed -i \'s/"points_\\(before\\|after\\)": 100/"points_\\1": 99/\' data/*.manifest.json',
            "sha256 is",
        ),
        ("configs", "printf x >> data/opt/somos/.env", "opt/somos/.env: sha256 is"),
        ("configs", "rm manifest.json", "no manifest"),
    ],
)
def test_a_backup_that_is_not_what_it_says_is_named(host: Any, restored: str, job: str, damage: str, said: str) -> None:
    host.check_output(f"somos-backup restore {job} --destination local --to {restored}")
    host.check_output(
        f"cd {restored} && {damage} && somos-backup restic local -- backup --tag {job} --tag damaged --host backup ."
    )
    run = host.run(f"somos-backup verify {job} --destination local")
    ids = json.loads(host.check_output("somos-backup restic local -- snapshots --json --tag damaged"))
    host.check_output(f"somos-backup restic local -- forget {' '.join(each['id'] for each in ids)}")
    assert run.rc == 1 and "NOT VERIFIED" in run.stderr and said in run.stderr, run.stderr


def test_nothing_that_is_offsite_can_be_read(host: Any) -> None:
    own = json.loads(SECRETS.read_text()) | json.loads(OUTSIDE_JSON.read_text())
    needles = [
        text.encode() for text in (ROW, KEY, CACHED, PAYLOAD, OBJECT, "CREATE TABLE", "compose.d", *own.values())
    ]
    bucket = Bucket(BUCKET)
    keys = list(bucket.keys())
    found = {
        key: [needle.decode() for needle in needles if needle in key.encode() or needle in bucket.read(key)]
        for key in keys
    }
    assert len(keys) > 30 and {key: words for key, words in found.items() if words} == {}


def test_a_second_run_at_the_same_time_goes_away(host: Any) -> None:
    host.check_output("systemctl start --no-block somos-backup.service")
    host.check_output("timeout 30 sh -c 'until grep -q ^run /var/lib/somos-backup/lock; do sleep 0.1; done'")
    second = host.run("somos-backup run redis")
    assert second.rc == 75 and "is at work" in second.stderr
    assert host.run("systemctl start somos-backup.service").rc == 0


def test_a_local_loss_never_goes_offsite(host: Any) -> None:
    """The local repositories are gone; the next run makes them anew, and nothing that was offsite is missing there."""
    before = {(point["job"], point["id"]) for point in points(host) if point["destination"] == "offsite"}
    local = config(host)["repositories"]["local"]["url"]
    objects = set(Bucket(BUCKET).keys())
    host.check_output(f"rm -rf {local} && find /var/backups/somos-postgres -mindepth 1 -delete")
    run = host.run("systemctl start somos-backup.service")
    assert run.rc == 0, host.check_output("journalctl -u somos-backup -n 60 -o cat")
    after = points(host)
    assert before <= {(point["job"], point["id"]) for point in after if point["destination"] == "offsite"}
    assert {(point["job"], point["destination"]) for point in after} == COPIES
    # Indexes are joined and lists are written anew; what holds data stays.
    data = {key for key in objects if "/data/" in key or "/media/" in key or ("/backup/" in key and "F/" in key)}
    assert data and not data - set(Bucket(BUCKET).keys())


def test_the_secrets_of_the_backups_are_on_no_command_line(host: Any) -> None:
    """Looked at while everything runs: argv of every process, many times."""
    look = "for each in /proc/[0-9]*/cmdline; do tr '\\0' ' ' < $each; echo; done 2>/dev/null; sleep 0.05"
    host.check_output("systemd-run --quiet --unit=watch-argv bash -c %s", f"while :; do {look}; done > /root/seen")
    assert host.run("systemctl start somos-backup.service").rc == 0
    seen = host.check_output("systemctl stop watch-argv; sort -u /root/seen; rm /root/seen")
    assert "restic" in seen and "pg_dump" in seen and "redis-check-rdb" in seen
    own = json.loads(SECRETS.read_text()) | json.loads(OUTSIDE_JSON.read_text())
    assert [name for name, text in own.items() if text in seen] == []
