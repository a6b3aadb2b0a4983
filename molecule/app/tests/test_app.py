"""The application as its operator meets it on the server."""

from __future__ import annotations

import base64
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[3]
COMPOSE = "docker compose --project-directory /opt/somos"
SECRETS = json.loads((ROOT / "build/demo/secrets.json").read_text())
APP = {"backend", "frontend", "celery-worker", "celery-beat", "flower"}


def converge(**variables: Any) -> subprocess.CompletedProcess[str]:
    command = ["ansible-playbook", "-i", "molecule/inventory.yml", "molecule/app/converge.yml"]
    extra = ["-e", json.dumps(variables)]
    return subprocess.run([*command, *extra], cwd=ROOT, capture_output=True, text=True, check=False)


def containers(host: Any) -> list[dict[str, Any]]:
    """The containers of the application, as `docker inspect` shows them."""
    return [
        container
        for container in json.loads(host.check_output("docker inspect $(docker ps --quiet)"))
        if container["Config"]["Labels"]["com.docker.compose.service"] in APP
    ]


def flower_answers(host: Any, headers: dict[str, str]) -> str:
    """The status that Flower answers a container on its network with."""
    ask = (
        "import http.client, json, sys; flower = http.client.HTTPConnection('flower', 5555);"
        "flower.request('GET', '/flower/', headers=json.loads(sys.argv[1])); print(flower.getresponse().status)"
    )
    return str(host.check_output(f"{COMPOSE} exec -T backend python3 -c %s %s", ask, json.dumps(headers)))


@pytest.fixture
def as_it_was() -> Iterator[None]:
    yield
    assert converge().returncode == 0


def test_every_service_is_healthy_and_two_are_there_twice(host: Any) -> None:
    running = [container["Config"]["Labels"]["com.docker.compose.service"] for container in containers(host)]
    assert sorted(running) == sorted([*APP, "backend", "frontend"])
    assert {container["State"]["Health"]["Status"] for container in containers(host)} == {"healthy"}


def test_no_secret_shows_in_inspect_or_in_the_process_list(host: Any) -> None:
    shown = json.dumps(containers(host)) + host.check_output("ps -e -ww -o args")
    assert [name for name, value in SECRETS.items() if value in shown] == []
    assert "it's $HOME `id`" not in shown


def test_the_process_has_settings_and_secrets_as_they_are_written(host: Any) -> None:
    command = f"{COMPOSE} exec -T backend /opt/somos/entrypoint.sh printenv ODD_SETTING ODD_SECRET DATABASE_URL"
    assert host.check_output(command).splitlines() == [
        "it's $HOME",
        'it\'s $HOME `id` "x" \\',
        f"postgresql+asyncpg://somos:{SECRETS['postgres_password']}@postgres:5432/somos",
    ]


def test_secrets_are_files_that_only_the_container_s_user_reads(host: Any) -> None:
    assert host.file("/opt/somos/secrets").mode == 0o711
    file = host.file("/opt/somos/secrets/backend/env")
    assert (file.uid, file.mode) == (10001, 0o400)
    assert not host.file("/opt/somos/secrets/frontend").exists


def test_containers_have_no_privileges_and_cannot_change_themselves(host: Any) -> None:
    for service in sorted(APP):
        status = host.check_output(f"{COMPOSE} exec -T {service} cat /proc/1/status")
        fields = dict(line.split(":", 1) for line in status.splitlines())
        assert fields["Uid"].split() == ["10001"] * 4, service
        assert int(fields["CapEff"], 16) == 0, service
        assert host.run(f"{COMPOSE} exec -T {service} touch /changed").rc != 0, service
        assert host.run(f"{COMPOSE} exec -T {service} touch /tmp/changed").rc == 0, service


def test_the_database_was_migrated_before_the_backend_started(host: Any) -> None:
    query = "SELECT version_num FROM alembic_version"
    assert host.check_output(f"{COMPOSE} exec -T postgres psql -U somos -d somos -Atc '{query}'")
    assert "migrate" not in host.check_output("docker ps --format '{{.Names}}'")


def test_flower_asks_for_its_password(host: Any) -> None:
    credentials = base64.b64encode(f"somos:{SECRETS['app_flower_password']}".encode()).decode()
    assert flower_answers(host, {}) == "401"
    assert flower_answers(host, {"Authorization": f"Basic {credentials}"}) == "200"


def test_only_what_must_reach_the_outside_can(host: Any) -> None:
    ask = "import socket; socket.create_connection(('10.77.0.2', 5000), timeout=3)"
    for service, reaches in {"backend": True, "celery-worker": True, "celery-beat": False}.items():
        assert (host.run(f"{COMPOSE} exec -T {service} python3 -c %s", ask).rc == 0) is reaches, service


def test_the_release_that_runs_is_recorded_and_kept(host: Any) -> None:
    release = host.file("/opt/somos/releases/current").content_string.strip()
    assert {container["Config"]["Image"].rpartition(":")[2] for container in containers(host)} == {release}
    run = converge(app_release="another")
    assert "changed=0" in run.stdout, run.stdout[-3000:]
    assert host.file("/opt/somos/releases/current").content_string.strip() == release


def test_a_changed_secret_recreates_who_sees_it_and_nobody_else(host: Any, as_it_was: None) -> None:
    before = {container["Name"]: container["Id"] for container in containers(host)}
    run = converge(app_secrets={"ODD_SECRET": "changed-secret"})
    assert run.returncode == 0, run.stdout[-3000:]
    assert "changed-secret" not in run.stdout
    after = {container["Name"]: container["Id"] for container in containers(host)}
    recreated = {name.split("-", 1)[1].rpartition("-")[0] for name in after if after[name] != before.get(name)}
    assert recreated == {"backend", "celery-worker"}


def test_a_first_release_that_never_came_up_can_be_corrected(host: Any, as_it_was: None) -> None:
    host.check_output("rm /opt/somos/releases/current")
    assert converge(app_release="no-such-release").returncode != 0
    assert not host.file("/opt/somos/releases/current").exists


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ({"app_release": "not a tag"}, "app_release (not a tag) does not name a release"),
        ({"app_secrets": {"PEM": "line\nline"}}, "The value of PEM holds a line break"),
        ({"app_env": {"not-a-name": "x"}}, "not-a-name"),
        ({"app_env": {"SECRET_KEY": "x"}}, "app_env sets SECRET_KEY"),
        ({"app_secret_keys": {"flower": ["NOWHERE"]}}, "app_secret_keys names NOWHERE"),
        ({"app_flower_password": "a,b"}, "holds a comma"),
        ({"app_services": ["frontend"]}, "puts the frontend on app without the backend"),
    ],
)
def test_what_cannot_work_is_refused_by_name(variables: dict[str, Any], words: str) -> None:
    role = ["-m", "ansible.builtin.include_role", "-a", "name=somos.infra.app tasks_from=validate"]
    command = ["ansible", "app", "-i", "molecule/inventory.yml", *role, "-e", json.dumps(variables)]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert run.returncode != 0
    assert words in " ".join(run.stdout.split()), run.stdout[-3000:]
