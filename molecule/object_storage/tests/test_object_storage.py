"""The object storage as the application, a browser and an intruder meet it."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import pytest

ROOT = Path(__file__).parents[3]
SECRETS = json.loads((ROOT / "build" / "demo" / "secrets.json").read_text())
ACCESS_KEY, SECRET_KEY = SECRETS["object_storage_access_key"], SECRETS["object_storage_secret_key"]

COMPOSE = "cd /opt/somos && docker compose"
PUBLIC = "s3.somos.test"
CREDENTIALS = "/opt/somos/secrets/object-storage/s3.json"

ASK = """
import http.client, json
connection = http.client.HTTPConnection("127.0.0.1", 9000, timeout=10)
connection.request({method!r}, {path!r}, {body!r}, {headers!r})
answer = connection.getresponse()
print(json.dumps([answer.status, dict(answer.getheaders()), answer.read().decode()]))
"""

# A server without TLS greets every HTTP/2 client; one that asks for a certificate hangs up.
GREET = """
import socket
with socket.create_connection(({address!r}, 19000), timeout=5) as connection:
    connection.sendall(b"PRI * HTTP/2.0\\r\\n\\r\\nSM\\r\\n\\r\\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0]))
    try:
        print(len(connection.recv(100)))
    except ConnectionResetError:
        print(0)
"""


def presigned(method: str, path: str, host: str = PUBLIC, secret_key: str = SECRET_KEY) -> str:
    """Path and query of a URL that is signed for a host (AWS signature version 4)."""
    now = datetime.now(timezone.utc)
    scope = [f"{now:%Y%m%d}", "us-east-1", "s3", "aws4_request"]
    query = urlencode(
        {
            "X-Amz-Algorithm": "AWS4-HMAC-SHA256",
            "X-Amz-Credential": "/".join([ACCESS_KEY, *scope]),
            "X-Amz-Date": f"{now:%Y%m%dT%H%M%SZ}",
            "X-Amz-Expires": "300",
            "X-Amz-SignedHeaders": "host",
        },
        quote_via=quote,
        safe="",
    )
    canonical = f"{method}\n{path}\n{query}\nhost:{host}\n\nhost\nUNSIGNED-PAYLOAD"
    to_sign = "\n".join(
        ["AWS4-HMAC-SHA256", f"{now:%Y%m%dT%H%M%SZ}", "/".join(scope), hashlib.sha256(canonical.encode()).hexdigest()]
    )
    key = f"AWS4{secret_key}".encode()
    for part in scope:
        key = hmac.digest(key, part.encode(), "sha256")
    return f"{path}?{query}&X-Amz-Signature={hmac.digest(key, to_sign.encode(), 'sha256').hex()}"


def on_the_server(host: Any, script: str) -> str:
    packed = base64.b64encode(script.encode()).decode()
    return str(host.check_output(f"echo {packed} | base64 -d | python3"))


def ask(host: Any, method: str, path: str, body: str | None = None, **headers: str) -> tuple[int, dict[str, str], str]:
    """Status, headers and body of what S3 answers. Asked on the server, for the port is on its loopback."""
    script = ASK.format(method=method, path=path, body=body, headers={"Host": PUBLIC} | headers)
    status, answered, text = json.loads(on_the_server(host, script))
    return status, answered, text


@pytest.fixture
def bucket(host: Any) -> Iterator[str]:
    """The path of a new bucket; removed afterwards."""
    path = f"/molecule-{secrets.token_hex(4)}"
    assert ask(host, "PUT", presigned("PUT", path))[0] == 200
    yield path
    assert ask(host, "DELETE", presigned("DELETE", path))[0] == 204


@pytest.fixture
def stored(host: Any, bucket: str) -> str:
    """The path of an object with the content `take one`."""
    path = f"{bucket}/media/take.txt"
    status, _, answer = ask(host, "PUT", presigned("PUT", path), "take one")
    assert status == 200, answer
    return path


def get(host: Any, path: str) -> str:
    status, _, answer = ask(host, "GET", presigned("GET", path))
    assert status == 200, answer
    return answer


def test_the_service_is_healthy(host: Any) -> None:
    assert host.check_output(f"{COMPOSE} ps --format '{{{{.Service}}}} {{{{.Health}}}}'") == "object-storage healthy"


def test_s3_answers_on_loopback_only_and_nothing_else_is_published(host: Any) -> None:
    assert host.check_output("docker port somos-object-storage-1") == "9000/tcp -> 127.0.0.1:9000"


def test_an_object_comes_back_through_urls_signed_for_the_public_name(host: Any, stored: str) -> None:
    assert get(host, stored) == "take one"


def test_a_signature_holds_for_its_host_its_key_and_its_path_only(host: Any, stored: str) -> None:
    for url in (
        presigned("GET", stored, host="evil.test"),
        presigned("GET", stored, secret_key="wrong" * 8),
        presigned("GET", f"{stored}x").replace(f"{stored}x", stored),
        stored,
    ):
        assert ask(host, "GET", url)[0] == 403


def test_an_upload_creates_no_bucket(host: Any) -> None:
    status, _, answer = ask(host, "PUT", presigned("PUT", "/absent-bucket/a"), "a")
    assert status == 404
    assert "NoSuchBucket" in answer


def test_only_pages_of_the_application_may_use_presigned_urls(host: Any, stored: str) -> None:
    def allowed(origin: str) -> str | None:
        return ask(host, "OPTIONS", stored, Origin=origin, **{"Access-Control-Request-Method": "PUT"})[1].get(
            "Access-Control-Allow-Origin"
        )

    assert allowed("https://app.somos.test") == "https://app.somos.test"
    assert allowed("https://evil.test") is None


def test_objects_survive_a_killed_and_a_new_container(host: Any, stored: str) -> None:
    host.check_output(
        f"{COMPOSE} kill --signal KILL object-storage && docker compose up --detach --wait object-storage"
    )
    assert get(host, stored) == "take one"
    host.check_output(f"{COMPOSE} up --detach --wait --force-recreate object-storage")
    assert get(host, stored) == "take one"


def test_neighbours_reach_s3_only(host: Any) -> None:
    address = host.check_output(
        "docker inspect --format '{{.NetworkSettings.Networks.somos_internal.IPAddress}}' somos-object-storage-1"
    )
    assert host.run(f"timeout 3 bash -c '</dev/tcp/{address}/9000'").rc == 0
    for port in (8080, 8888, 9333, 18080, 18888, 19333):
        assert host.run(f"timeout 3 bash -c '</dev/tcp/{address}/{port}'").rc != 0, f"port {port} answers"
    assert on_the_server(host, GREET.format(address=address)) == "0"


def test_the_name_of_old_configurations_leads_to_it(host: Any) -> None:
    image = host.check_output("docker inspect --format '{{.Config.Image}}' somos-object-storage-1")
    look_up = f"docker run --rm --network somos_internal --entrypoint getent {image} hosts"
    assert host.check_output(f"{look_up} minio").split()[0] == host.check_output(f"{look_up} object-storage").split()[0]


def test_credentials_are_readable_by_the_server_s_uid_only(host: Any) -> None:
    credentials = host.file(CREDENTIALS)
    assert (credentials.uid, credentials.gid, oct(credentials.mode)) == (1000, 1000, "0o400")
    assert host.check_output("ls /opt/somos/secrets/object-storage").split() == ["access_key", "s3.json", "secret_key"]
    assert oct(host.file("/opt/somos/secrets").mode) == "0o711"


def test_credentials_are_neither_in_docker_inspect_nor_in_the_process_list(host: Any) -> None:
    seen = host.check_output("docker ps --all --quiet | xargs docker inspect; ps -eo args")
    assert "-s3.config=/run/secrets/s3.json" in seen
    assert [key for key in (ACCESS_KEY, SECRET_KEY) if key in seen] == []


def test_the_memory_limit_is_in_force(host: Any) -> None:
    limit = host.check_output("docker inspect --format '{{.HostConfig.Memory}}' somos-object-storage-1")
    files = "/sys/fs/cgroup/memory.max /sys/fs/cgroup/memory/memory.limit_in_bytes"
    assert int(limit) > 0
    assert host.check_output(f"{COMPOSE} exec -T object-storage sh -c 'cat {files} 2>/dev/null || true'") == limit


def test_the_container_cannot_change_itself_nor_run_what_it_wrote(host: Any) -> None:
    assert host.run(f"{COMPOSE} exec -T object-storage grep -q ' / overlay ro,' /proc/mounts").rc == 0
    assert host.run(f"{COMPOSE} exec -T object-storage cp /bin/true /tmp/true").rc == 0
    assert host.run(f"{COMPOSE} exec -T object-storage /tmp/true").rc != 0
