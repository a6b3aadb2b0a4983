"""Qdrant as its neighbours and its operators meet it."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[3]
SECRETS = json.loads((ROOT / "build" / "demo" / "secrets.json").read_text())
KEY, READ_ONLY_KEY = SECRETS["qdrant_api_key"], SECRETS["qdrant_read_only_api_key"]

COMPOSE = "cd /opt/somos && docker compose"
CONFIG = "/opt/somos/secrets/qdrant/config.yaml"
UUID = "8b56dc1b-2678-445f-8798-0d2725c01d8f"

ASK = """
import http.client, json
connection = http.client.HTTPConnection("127.0.0.1", 6333, timeout=10)
connection.request({method!r}, {path!r}, {text!r}, {headers!r})
answer = connection.getresponse()
print(json.dumps([answer.status, answer.read().decode()]))
"""


def ask(host: Any, method: str, path: str, body: Any = None, key: str | None = KEY) -> tuple[int, str]:
    """Status and body of what Qdrant answers. Asked on the server, for the port is on its loopback."""
    script = ASK.format(
        method=method,
        path=path,
        text=None if body is None else json.dumps(body),
        headers={"api-key": key} if key else {},
    )
    packed = base64.b64encode(script.encode()).decode()
    status, answer = json.loads(host.check_output(f"echo {packed} | base64 -d | python3"))
    return status, answer


def result(host: Any, method: str, path: str, body: Any = None, key: str = KEY) -> Any:
    status, answer = ask(host, method, path, body, key)
    assert status == 200, answer
    return json.loads(answer)["result"]


def nearest(host: Any, path: str, **options: Any) -> list[Any]:
    found = result(host, "POST", f"{path}/points/query", {"query": [0, 1, 0], **options}, READ_ONLY_KEY)
    return [point["id"] for point in found["points"]]


@pytest.fixture
def collection(host: Any) -> Iterator[str]:
    """The path of a collection with a few points; removed afterwards."""
    path = "/collections/molecule"
    result(host, "PUT", path, {"vectors": {"size": 3, "distance": "Cosine"}})
    points = [
        {"id": 1, "vector": [1, 0, 0], "payload": {"kind": "a"}},
        {"id": UUID, "vector": [0, 1, 0], "payload": {"kind": "b"}},
        {"id": 3, "vector": [0.1, 0.9, 0], "payload": {"kind": "a"}},
    ]
    result(host, "PUT", f"{path}/points?wait=true", {"points": points})
    yield path
    result(host, "DELETE", path)


def test_the_service_is_healthy(host: Any) -> None:
    assert host.check_output(f"{COMPOSE} ps --format '{{{{.Service}}}} {{{{.Health}}}}'") == "qdrant healthy"


def test_the_port_answers_on_loopback_only(host: Any) -> None:
    listeners = host.check_output("ss -Hltn sport = :6333").splitlines()
    assert [line.split()[3] for line in listeners] == ["127.0.0.1:6333"]


def test_nobody_gets_in_without_a_key_or_with_a_wrong_one(host: Any) -> None:
    assert ask(host, "GET", "/collections", key=None)[0] == 401
    assert ask(host, "GET", "/collections", key="wrong")[0] == 401
    assert ask(host, "GET", "/metrics", key=None)[0] == 401


def test_the_read_only_key_reads_and_changes_nothing(host: Any, collection: str) -> None:
    assert result(host, "POST", f"{collection}/points/count", {}, READ_ONLY_KEY) == {"count": 3}
    assert ask(host, "DELETE", collection, key=READ_ONLY_KEY)[0] == 403
    assert result(host, "POST", f"{collection}/points/count", {}) == {"count": 3}


def test_points_are_found_by_their_vector_and_by_their_payload(host: Any, collection: str) -> None:
    assert nearest(host, collection) == [UUID, 3, 1]
    assert nearest(host, collection, filter={"must": [{"key": "kind", "match": {"value": "a"}}]}) == [3, 1]
    assert nearest(host, collection, filter={"must_not": [{"has_id": [UUID]}]}, limit=1) == [3]
    page = result(host, "POST", f"{collection}/points/scroll", {"limit": 2, "with_vector": True}, READ_ONLY_KEY)
    assert [point["id"] for point in page["points"]] == [1, 3]
    assert page["points"][0]["vector"] == [1, 0, 0]
    assert page["next_page_offset"] == UUID
    refused, reason = ask(host, "PUT", f"{collection}/points", {"points": [{"id": 4, "vector": [1]}]})
    assert refused == 400
    assert "dimension" in reason


def test_data_survives_a_killed_and_a_new_container(host: Any, collection: str) -> None:
    host.check_output(f"{COMPOSE} kill --signal KILL qdrant && docker compose up --detach --wait qdrant")
    assert nearest(host, collection) == [UUID, 3, 1]
    host.check_output(f"{COMPOSE} up --detach --wait --force-recreate qdrant")
    assert nearest(host, collection) == [UUID, 3, 1]


def test_keys_are_readable_by_the_server_s_uid_only(host: Any) -> None:
    config = host.file(CONFIG)
    assert (config.uid, config.gid, oct(config.mode)) == (1000, 1000, "0o400")
    assert oct(host.file("/opt/somos/secrets").mode) == "0o711"
    assert host.check_output(f"{COMPOSE} exec -T qdrant id -u") == "1000"


def test_keys_are_neither_in_docker_inspect_nor_in_the_process_list(host: Any) -> None:
    seen = host.check_output("docker ps --all --quiet | xargs docker inspect; ps -eo args")
    assert "/run/secrets/config.yaml" in seen
    assert [key for key in (KEY, READ_ONLY_KEY) if key in seen] == []


def test_the_memory_limit_is_in_force(host: Any) -> None:
    limit = host.check_output("docker inspect --format '{{.HostConfig.Memory}}' somos-qdrant-1")
    files = "/sys/fs/cgroup/memory.max /sys/fs/cgroup/memory/memory.limit_in_bytes"
    assert int(limit) > 0
    assert host.check_output(f"{COMPOSE} exec -T qdrant bash -c 'cat {files} 2>/dev/null || true'") == limit


def test_the_container_cannot_change_itself_nor_run_what_it_wrote(host: Any) -> None:
    assert host.run(f"{COMPOSE} exec -T qdrant grep -q ' / overlay ro,' /proc/mounts").rc == 0
    assert host.run(f"{COMPOSE} exec -T qdrant cp /bin/true /tmp/true").rc == 0
    assert host.run(f"{COMPOSE} exec -T qdrant /tmp/true").rc != 0


def test_a_server_without_its_configuration_is_not_called_healthy(host: Any) -> None:
    image = host.check_output("docker inspect --format '{{.Config.Image}}' somos-qdrant-1")
    host.check_output(
        f"docker run --detach --name open --volume /opt/somos/qdrant:/etc/somos:ro {image}"
        " ./entrypoint.sh --config-path /run/secrets/config.yaml"
    )
    try:
        ready = "exec 3<>/dev/tcp/127.0.0.1/6333"
        host.check_output(f"docker exec open bash -c 'for i in {{1..50}}; do ({ready}) && break; sleep 0.2; done'")
        check = host.run("docker exec open bash /etc/somos/healthcheck.sh")
        assert check.rc != 0
        assert "without a key /collections 200" in check.stdout
    finally:
        host.check_output("docker rm --force --volumes open")
