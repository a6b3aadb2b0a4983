"""The reverse proxy as its visitors meet it."""

from __future__ import annotations

import base64
import http.client
import json
import re
import ssl
from typing import Any

import pytest
from client import OWN_ADDRESS, anyone, ask, connect, eventually

APP, S3, MONITOR = "https://app.somos.test", "https://s3.somos.test", "https://monitor.somos.test"
COMPOSE = "docker compose --project-directory /opt/somos"
LOG = "/var/log/somos/nginx/access.log"


def test_plain_http_leads_to_https() -> None:
    answer = ask("http://app.somos.test/a?b=c")
    assert (answer.status, answer.headers["Location"]) == (301, f"{APP}/a?b=c")
    assert "Strict-Transport-Security" not in answer.headers


def test_the_certificate_authority_finds_its_challenge_over_plain_http(host: Any) -> None:
    host.check_output("mkdir -p /var/lib/somos/acme/.well-known/acme-challenge")
    host.check_output("echo -n proof > /var/lib/somos/acme/.well-known/acme-challenge/token")
    assert ask("http://app.somos.test/.well-known/acme-challenge/token").body == b"proof"


def test_a_name_of_nobody_gets_neither_page_nor_certificate() -> None:
    with pytest.raises(ssl.SSLError, match="unrecognized name"):
        connect("other.somos.test")
    with pytest.raises(http.client.RemoteDisconnected):
        ask("http://other.somos.test/")


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_modern_tls_is_spoken_with_http2(version: ssl.TLSVersion) -> None:
    context = anyone()
    context.minimum_version = context.maximum_version = version
    context.set_alpn_protocols(["h2", "http/1.1"])
    with connect("app.somos.test", context) as connection:
        assert connection.selected_alpn_protocol() == "h2"


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_old_tls_is_not_spoken() -> None:
    context = anyone()
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.minimum_version = ssl.TLSVersion.TLSv1
    context.maximum_version = ssl.TLSVersion.TLSv1_1
    with pytest.raises(ssl.SSLError):
        connect("app.somos.test", context)


@pytest.mark.parametrize(
    ("url", "status"),
    [
        (f"{APP}/", 200),
        (f"{APP}/missing", 404),
        (f"{APP}/api/x", 200),
        (f"{APP}/api/missing", 404),
        (f"{APP}/_next/static/x", 200),
        (f"{APP}/storage/bucket/x", 200),
        (f"{APP}/dead/", 502),
        (f"{S3}/bucket/x", 200),
        (f"{MONITOR}/", 404),
        (f"{MONITOR}/private/", 401),
    ],
)
def test_every_answer_carries_the_security_headers_once(url: str, status: int) -> None:
    answer = ask(url)
    assert answer.status == status
    assert answer.headers.get_all("Strict-Transport-Security") == ["max-age=63072000"]
    assert answer.headers.get_all("X-Content-Type-Options") == ["nosniff"]
    assert answer.headers.get_all("X-Frame-Options") == ["SAMEORIGIN"]
    assert answer.headers.get_all("Referrer-Policy") == ["strict-origin-when-cross-origin"]
    assert answer.headers["Server"] == "nginx"
    assert "X-Powered-By" not in answer.headers
    if url.startswith(APP):
        assert "default-src 'self'" in answer.headers.get_all("Content-Security-Policy", [])


def test_a_banned_address_is_answered_403_with_every_header_until_the_ban_ends(host: Any) -> None:
    reload = f"{COMPOSE} exec -T nginx nginx -s reload"
    host.check_output(f"mkdir -p /opt/somos/nginx/deny && echo '{OWN_ADDRESS} sshd;' > /opt/somos/nginx/deny/test.map")
    try:
        host.check_output(reload)
        assert eventually(lambda: ask(f"{APP}/").status == 403)
        for url in (f"{APP}/", f"{APP}/api/x", f"{S3}/bucket/x", f"{MONITOR}/private/"):
            test_every_answer_carries_the_security_headers_once(url, 403)
    finally:
        host.check_output(f"rm -r /opt/somos/nginx/deny && {reload}")
    assert eventually(lambda: ask(f"{APP}/").status == 200)


def test_what_the_application_says_about_itself_wins() -> None:
    answer = ask(f"{APP}/api/strict")
    assert answer.headers.get_all("X-Frame-Options") == ["DENY"]
    assert answer.headers.get_all("Content-Security-Policy") == ["default-src 'none'"]


def test_static_files_are_cached_and_others_as_the_application_says() -> None:
    assert ask(f"{APP}/_next/static/x").headers.get_all("Cache-Control") == ["public, max-age=31536000, immutable"]
    assert ask(f"{APP}/_next/static/missing").headers.get_all("Cache-Control") is None
    assert ask(f"{APP}/api/x").headers.get_all("Cache-Control") == ["no-store"]


def test_the_application_is_told_the_truth_about_the_client() -> None:
    forged = {"X_Forwarded_For": "6.6.6.6", "X_Forwarded_Proto": "http", "X_Request_ID": "forged"}
    answer = ask(f"{APP}/api/x?y=z", **forged)
    seen = answer.json()
    assert seen["path"] == "/api/x?y=z"
    assert seen["headers"]["Host"] == seen["headers"]["X-Forwarded-Host"] == "app.somos.test"
    assert seen["headers"]["X-Forwarded-For"] == seen["headers"]["X-Real-IP"] == OWN_ADDRESS
    assert seen["headers"]["X-Forwarded-Proto"] == "https"
    assert seen["headers"]["X-Request-ID"] == answer.headers["X-Request-ID"] != "forged"


def test_a_login_may_be_tried_a_few_times() -> None:
    answers = [ask(f"{APP}/api/v1/auth/login", "POST") for _ in range(8)]
    assert [answer.status for answer in answers].count(429) >= 4
    assert answers[0].status == 200
    assert "Strict-Transport-Security" in answers[-1].headers


def test_a_websocket_is_upgraded_and_echoes() -> None:
    with connect("app.somos.test") as connection:
        connection.sendall(
            b"GET /ws/ HTTP/1.1\r\nHost: app.somos.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
        )
        assert connection.recv(4096).startswith(b"HTTP/1.1 101 ")
        connection.sendall(b"eco")
        assert connection.recv(16) == b"eco"


def test_an_s3_request_passes_untouched_and_at_any_size() -> None:
    body = bytes(101 * 1024 * 1024)
    signed = {"Host": "s3.somos.test:443", "Authorization": "AWS4-HMAC-SHA256 x", "x_amz_meta.odd": "kept"}
    seen = ask(f"{S3}/bucket/a%2Fb?X-Amz-Signature=1", "PUT", body, **signed).json()
    assert (seen["path"], seen["length"]) == ("/bucket/a%2Fb?X-Amz-Signature=1", len(body))
    assert seen["headers"]["Host"] == "s3.somos.test:443"
    assert seen["headers"]["Authorization"] == "AWS4-HMAC-SHA256 x"
    assert seen["headers"]["x-amz-meta.odd"] == "kept"


def test_another_site_takes_bodies_up_to_its_limit() -> None:
    assert ask(f"{APP}/api/x", "POST", bytes(20 * 1024 * 1024)).json()["length"] == 20 * 1024 * 1024
    assert ask(f"{APP}/api/x", "POST", **{"Content_Length": str(101 * 1024 * 1024)}).status == 413


def test_public_objects_can_only_be_read_and_without_credentials() -> None:
    answer = ask(f"{APP}/storage/bucket/x", Authorization="AWS4-HMAC-SHA256 x")
    assert answer.json()["path"] == "/bucket/x"
    assert "Authorization" not in answer.json()["headers"]
    assert "sandbox" in answer.headers.get_all("Content-Security-Policy", [])
    assert ask(f"{APP}/storage/bucket/x", "PUT", b"x").status == 403


def test_a_private_location_asks_for_the_password() -> None:
    credentials = base64.b64encode(b"operator:open sesame").decode()
    assert ask(f"{MONITOR}/private/").status == 401
    assert ask(f"{MONITOR}/private/", Authorization=f"Basic {credentials}").status == 200


def test_the_log_has_a_line_of_json_without_the_query(host: Any) -> None:
    identity = ask(f"{APP}/api/logged?token=do-not-keep").headers["X-Request-ID"]
    assert eventually(lambda: host.run(f"grep --quiet {identity} {LOG}").rc == 0)
    line = json.loads(host.check_output(f"grep {identity} {LOG}"))
    assert (line["path"], line["status"], line["client"]) == ("/api/logged", "200", OWN_ADDRESS)
    assert "do-not-keep" not in host.file(LOG).content_string


def test_logs_are_rotated_and_written_on_also_after_a_restart(host: Any) -> None:
    rotate = host.file("/etc/logrotate.d/somos-nginx").content_string
    command = rotate.partition("postrotate\n")[2].partition("endscript")[0]
    host.check_output(f"mv {LOG} {LOG}.1")
    host.check_output(command)
    # Asked anew each time: each worker opens the new file in its own time.
    assert eventually(lambda: is_logged(host, "/api/rotated"))
    assert (host.file(LOG).uid, host.file("/var/log/somos/nginx").uid) == (101, 0)
    host.check_output(f"{COMPOSE} restart nginx && {COMPOSE} up --detach --wait nginx")
    assert eventually(lambda: is_logged(host, "/api/restarted"))


def is_logged(host: Any, path: str) -> bool:
    identity = ask(f"{APP}{path}").headers["X-Request-ID"]
    return bool(host.run(f"grep --quiet {identity} {LOG}").rc == 0)


def test_a_replaced_container_is_found_at_its_new_address(host: Any) -> None:
    def address(container: str) -> str:
        form = '{{(index .NetworkSettings.Networks "somos_edge").IPAddress}}'
        return str(host.check_output("docker inspect --format %s %s", form, container))

    image = host.check_output("docker inspect --format '{{.Config.Image}}' somos-page-1")
    before, squatters = address("somos-page-1"), []
    host.check_output(f"{COMPOSE} rm --stop --force page")
    try:
        while not squatters or address(squatters[-1]) != before:
            squatters.append(host.check_output(f"docker run --detach --network somos_edge {image} sleep 60"))
        host.check_output(f"{COMPOSE} up --detach page")
        assert eventually(lambda: ask(f"{APP}/").status == 200)
    finally:
        host.check_output(f"docker rm --force {' '.join(squatters)}")


def test_only_the_two_ports_are_open_and_privileges_are_few(host: Any) -> None:
    container = json.loads(host.check_output("docker inspect somos-nginx-1"))[0]
    assert {port for port, bound in container["NetworkSettings"]["Ports"].items() if bound} == {"80/tcp", "443/tcp"}
    assert container["HostConfig"]["ReadonlyRootfs"]
    status = host.check_output(f"{COMPOSE} exec -T nginx cat /proc/1/status")
    assert re.findall(r"^Cap(?:Prm|Eff|Bnd|Amb):\s*(\w+)$", status, re.MULTILINE) == ["0" * 16] * 4
    for secret in ("nginx-certs/certificate.pem", "nginx/htpasswd"):
        file = host.file(f"/opt/somos/{secret}")
        assert (file.uid, file.mode) == (101, 0o400), secret


def test_no_process_of_it_is_root(host: Any) -> None:
    users = host.check_output("docker top somos-nginx-1 -eo uid,pid").splitlines()[1:]
    assert {line.split()[0] for line in users} == {"101"}
