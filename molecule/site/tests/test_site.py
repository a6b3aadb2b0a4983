"""The site from outside, over TLS, as its users and its operators meet it."""

from __future__ import annotations

import json
import os
import re
import socket
import ssl
import subprocess
from pathlib import Path
from typing import Any

import pytest
import requests
import websockets.sync.client

from tests.host import application

ROOT = Path(__file__).parents[3]
CA = ROOT / "build" / "demo" / "ca.pem"
DOMAIN = "somos.test"
APP = f"https://app.{DOMAIN}"
LOGIN = f"{APP}/api/v1/auth/login"


def test_every_dependency_of_the_application_is_green(visitor: requests.Session) -> None:
    answer = visitor.get(f"{APP}/api/health", timeout=30)
    assert answer.status_code == 200, answer.text
    checks = answer.json()["checks"]
    assert set(checks) == {"database", "cache", "queue", "vectors", "objects"}
    assert {name for name, check in checks.items() if check["status"] != "ok"} == set()


def test_the_page_shows_data_of_the_api(visitor: requests.Session) -> None:
    projects = visitor.get(f"{APP}/api/v1/projects?limit=3", timeout=30).json()
    page = visitor.get(f"{APP}/", timeout=30)
    assert page.status_code == 200
    assert len(projects) == 3
    for project in projects:
        assert project["title"] in page.text
    assert "Tudo funcionando" in page.text


def test_a_wrong_password_is_refused(visitor: requests.Session) -> None:
    answer = visitor.post(LOGIN, json={"username": application.USER, "password": "wrong"}, timeout=30)
    assert answer.status_code == 401


def test_a_websocket_echoes() -> None:
    context = ssl.create_default_context(cafile=str(CA))
    with websockets.sync.client.connect(f"wss://app.{DOMAIN}/ws/", ssl=context, proxy=None) as connection:
        connection.send("eco")
        assert "eco" in str(connection.recv(timeout=10))


def test_an_object_goes_up_and_comes_back_through_presigned_urls(visitor: requests.Session) -> None:
    credentials = {"username": application.USER, "password": application.password()}
    token = visitor.post(LOGIN, json=credentials, timeout=30).json()["access_token"]
    bearer = {"Authorization": f"Bearer {token}"}
    urls = visitor.post(f"{APP}/api/v1/uploads", json={"filename": "take.bin"}, headers=bearer, timeout=30).json()
    body = bytes(range(256)) * 4096
    assert urls["put_url"].startswith(f"https://s3.{DOMAIN}/")
    put = visitor.put(urls["put_url"], data=body, timeout=60)
    assert put.status_code == 200, put.text
    got = visitor.get(urls["get_url"], timeout=60)
    assert got.content == body
    spoiled = re.sub(r"(X-Amz-Signature=)[0-9a-f]{8}", r"\g<1>00000000", urls["get_url"])
    assert visitor.get(spoiled, timeout=30).status_code == 403


def test_plain_http_leads_to_https(visitor: requests.Session) -> None:
    answer = visitor.get(f"http://app.{DOMAIN}/x", allow_redirects=False, timeout=10)
    assert (answer.status_code, answer.headers["Location"]) == (301, f"{APP}/x")


def test_every_service_is_healthy(host: Any) -> None:
    services = compose_ps(host)
    assert {service["Service"] for service in services} == {
        "nginx", "frontend", "backend", "celery-worker", "celery-beat", "flower",
        "postgres", "redis", "redis-cache", "qdrant", "object-storage",
    }  # fmt: skip
    assert {s["Name"]: s["Health"] for s in services if s["Health"] != "healthy"} == {}
    assert sum(service["Service"] == "backend" for service in services) == 2
    assert sum(service["Service"] == "frontend" for service in services) == 2


def test_every_container_has_a_memory_limit(host: Any) -> None:
    limits = host.check_output("docker ps -q | xargs docker inspect --format '{{.Name}} {{.HostConfig.Memory}}'")
    assert [line for line in limits.splitlines() if line.endswith(" 0")] == []


def test_only_the_proxy_is_published_beyond_loopback(host: Any) -> None:
    published = {
        (service["Service"], port["PublishedPort"])
        for service in compose_ps(host)
        for port in service.get("Publishers") or []
        if port["PublishedPort"] and not port["URL"].startswith("127.")
    }
    assert published == {("nginx", 80), ("nginx", 443)}


@pytest.mark.parametrize("port", [22, 5432, 6333, 6379, 6380, 8000, 9000, 9001])
def test_nothing_else_answers_from_outside(address: str, port: int) -> None:
    with socket.socket() as attempt, pytest.raises(OSError, match=r"refused|timed out"):
        attempt.settimeout(2)
        attempt.connect((address, port))


def test_no_secret_is_visible_in_docker_inspect_or_process_lists(host: Any) -> None:
    secrets = json.loads((ROOT / "build" / "demo" / "secrets.json").read_text())
    seen = host.check_output("docker ps --all --quiet | xargs docker inspect; ps -eo args")
    assert [name for name, value in secrets.items() if value in seen] == []


def test_compose_by_hand_and_through_the_module_see_the_same_project(host: Any) -> None:
    by_hand = host.check_output("cd /opt/somos && docker compose config --hash '*'")
    by_module = host.check_output("docker compose --project-directory /opt/somos config --hash '*'")
    assert by_hand == by_module
    running = host.check_output(
        'docker ps --format \'{{.Label "com.docker.compose.service"}} {{.Label "com.docker.compose.config-hash"}}\''
    )
    assert set(running.splitlines()) <= set(by_hand.splitlines())


def test_check_mode_on_the_converged_server_reports_no_change() -> None:
    command = "ansible-playbook -i molecule/site/inventory.yml playbooks/site.yml --check --diff -e somos_hosts=site"
    plain = {**os.environ, "ANSIBLE_FORCE_COLOR": "0"}
    run = subprocess.run(command.split(), cwd=ROOT, env=plain, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout[-4000:] + run.stderr[-2000:]
    assert re.search(r"^site\s+: .*changed=0\s", run.stdout, re.MULTILINE), run.stdout[-4000:]


def compose_ps(host: Any) -> list[dict[str, Any]]:
    out = host.check_output("cd /opt/somos && docker compose ps --all --format json")
    return [json.loads(line) for line in out.splitlines()]
