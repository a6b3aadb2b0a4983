"""Role fail2ban: the jails, the ways to ban, and the programs that two of them run."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from configparser import RawConfigParser
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from render import ROOT, render_files, render_role

JAILS = "etc/fail2ban/jail.d/zz-somos.local"
ACTIONS = "etc/fail2ban/action.d"
CLOUDFLARE = {
    "fail2ban_nginx_ban": "cloudflare_api",
    "fail2ban_cloudflare_zone": "z1",
    "fail2ban_cloudflare_token": "t0k3n",
}

# The networks that the engine gives its containers.
DOCKER = ["172.20.0.0/16", "fd73:6f6d:6f73::/64"]


def jails(**overrides: Any) -> RawConfigParser:
    parser = RawConfigParser()
    parser.read_string(render_role("fail2ban", overrides)[JAILS])
    return parser


def test_every_jail_says_itself_how_it_reads_and_bans() -> None:
    found = jails()
    assert found["sshd"]["backend"] == "systemd"
    assert found["sshd"]["journalmatch"] == "_SYSTEMD_UNIT=ssh.service"
    for name in ("nginx-http-auth", "nginx-limit-req"):
        assert found[name]["backend"] == "polling"
        assert found[name]["logpath"] == "/var/log/somos/nginx/error.log"
    assert all(found[name]["enabled"] == "true" for name in found.sections())


def test_who_is_never_banned() -> None:
    connection = {"__fail2ban_connection": {"stdout": "198.51.100.9 50000 203.0.113.2 2222"}}
    ignored = jails(fail2ban_ignore=["192.0.2.0/24"], **connection)["DEFAULT"]["ignoreip"].split()
    assert ignored == ["127.0.0.0/8", "::1", *DOCKER, "192.0.2.0/24", "198.51.100.9"]


def test_without_a_connection_by_ssh_nobody_is_made_up() -> None:
    ignored = jails(__fail2ban_connection={"rc": 1, "stdout": ""})["DEFAULT"]["ignoreip"].split()
    assert ignored == ["127.0.0.0/8", "::1", *DOCKER]


def test_docker_s_networks_are_those_of_the_whole_system() -> None:
    own = {
        "somos_docker_address_pools": [{"base": "10.200.0.0/16", "size": 24}],
        "somos_docker_ipv6_subnet": "fd00:9::/64",
    }
    assert {"10.200.0.0/16", "fd00:9::/64"} < set(jails(**own)["DEFAULT"]["ignoreip"].split())


def test_there_is_no_mail() -> None:
    assert "sendmail" not in render_role("fail2ban")[JAILS]
    assert jails()["DEFAULT"]["action"] == "somos-packets[name=%(__name__)s]"


def test_bans_are_remembered_for_longer_than_the_longest() -> None:
    text = render_role("fail2ban", {"fail2ban_max_ban_time_s": 1000})["etc/fail2ban/fail2ban.d/somos.local"]
    assert "dbpurgeage = 605800" in text


@pytest.mark.parametrize("way", ["packets", "nginx_map", "cloudflare_api"])
def test_a_way_to_ban_brings_its_own_files_alone_and_ssh_is_always_packets(way: str) -> None:
    files = render_role("fail2ban", CLOUDFLARE | {"fail2ban_nginx_ban": way})
    actions = {path.removeprefix(f"{ACTIONS}/") for path in files if path.startswith(ACTIONS)}
    own = {"packets": "somos-packets", "nginx_map": "somos-nginx-map", "cloudflare_api": "somos-cloudflare"}[way]
    assert actions == {"somos-packets.conf", f"{own}.conf"}
    found = jails(**CLOUDFLARE | {"fail2ban_nginx_ban": way})
    assert found["nginx-limit-req"]["action"] == f"{own}[name=%(__name__)s]"
    assert "action" not in set(found["sshd"]) - set(found.defaults())


def test_without_a_log_there_are_no_jails_for_the_web_and_nothing_of_theirs() -> None:
    files = render_role("fail2ban", CLOUDFLARE | {"fail2ban_nginx_log": ""})
    assert "nginx" not in files[JAILS]
    assert not [path for path in files if "cloudflare" in path or "nginx" in path]


def test_the_token_stands_in_one_file_that_root_alone_reads() -> None:
    files = render_files("fail2ban", CLOUDFLARE)
    (path,) = [path for path, file in files.items() if "t0k3n" in file.text]
    assert (files[path].mode, files[path].owner, files[path].secret) == ("0400", "root", True)


# --- the map of nginx -----------------------------------------------------------------------------------------------
@pytest.fixture
def deny(tmp_path: Path) -> Iterator[Any]:
    """Run the program; returns what nginx would read afterwards, and how often it was told to."""
    reload = ["sh", "-c", f"echo >> {tmp_path}/reloads"]
    text = render_role(
        "fail2ban",
        {
            "fail2ban_nginx_ban": "nginx_map",
            "fail2ban_nginx_map": f"{tmp_path}/deny/fail2ban.map",
            "fail2ban_nginx_reload": reload,
        },
    )["usr/local/lib/somos/fail2ban-nginx-map"]
    (tmp_path / "program").write_text(text)

    def run(*words: str) -> tuple[list[str], int]:
        subprocess.run([sys.executable, str(tmp_path / "program"), *words], check=True, timeout=20)
        reloads = tmp_path / "reloads"
        map_ = tmp_path / "deny" / "fail2ban.map"
        return (map_.read_text().splitlines() if map_.exists() else []), (
            len(reloads.read_text().splitlines()) if reloads.exists() else 0
        )

    yield run


def test_a_ban_is_a_line_that_nginx_understands_and_is_told_of_once(deny: Any) -> None:
    assert deny("ban", "sshd", "203.0.113.7") == (["203.0.113.7 sshd;"], 1)
    assert deny("ban", "sshd", "203.0.113.7") == (["203.0.113.7 sshd;"], 1)
    assert deny("ban", "web", "2001:DB8:0::7") == (["2001:db8::7 web;", "203.0.113.7 sshd;"], 2)


def test_an_address_banned_by_two_jails_stands_there_once(deny: Any) -> None:
    deny("ban", "one", "203.0.113.7")
    assert deny("ban", "two", "203.0.113.7") == (["203.0.113.7 one;"], 1)
    assert deny("unban", "two", "203.0.113.7") == (["203.0.113.7 one;"], 1)
    assert deny("unban", "one", "203.0.113.7") == ([], 2)


def test_a_jail_that_stops_takes_its_own_bans_alone(deny: Any) -> None:
    deny("ban", "one", "203.0.113.7")
    deny("ban", "two", "203.0.113.8")
    assert deny("flush", "one")[0] == ["203.0.113.8 two;"]


# --- Cloudflare -----------------------------------------------------------------------------------------------------
@pytest.fixture
def cloudflare(tmp_path: Path) -> Iterator[Any]:
    """A stand-in of the API with one rule that is there already, and the program that talks to it."""
    told: list[tuple[str, str, Any, str]] = []

    def answer(request: BaseHTTPRequestHandler) -> None:
        body = json.loads(request.rfile.read(int(request.headers.get("Content-Length") or 0)) or "null")
        told.append((request.command, request.path, body, request.headers["Authorization"]))
        value = body["configuration"]["value"] if body else ""
        errors = [{"code": 10009, "message": "duplicate"}] if value == "203.0.113.9" else []
        errors += [{"code": 9109, "message": "Invalid access token"}] if value == "203.0.113.10" else []
        text = json.dumps({"success": not errors, "errors": errors, "result": [{"id": "r1"}]}).encode()
        request.send_response(400 if errors else 200)
        request.send_header("Content-Length", str(len(text)))
        request.end_headers()
        request.wfile.write(text)

    methods = dict.fromkeys(("do_GET", "do_POST", "do_DELETE"), answer)
    api = type("Api", (BaseHTTPRequestHandler,), {**methods, "log_message": lambda *_: None})
    server = HTTPServer(("127.0.0.1", 0), api)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    settings = tmp_path / "settings.json"
    settings.write_text(json.dumps({"url": f"http://127.0.0.1:{server.server_port}", "zone": "z1", "token": "t0k3n"}))
    program = ROOT / "roles/fail2ban/templates/usr/local/lib/somos/fail2ban-cloudflare"

    def run(*words: str) -> tuple[subprocess.CompletedProcess[str], list[tuple[str, str, Any, str]]]:
        environment = {"SOMOS_CLOUDFLARE": str(settings), "PATH": "/usr/bin:/bin"}
        argv = [sys.executable, str(program), *words]
        done = subprocess.run(argv, env=environment, capture_output=True, text=True, timeout=20, check=False)
        return done, told

    yield run
    server.shutdown()


def test_a_ban_becomes_a_rule_of_the_zone(cloudflare: Any) -> None:
    done, told = cloudflare("ban", "sshd", "2001:db8::7")
    body = {"mode": "block", "configuration": {"target": "ip6", "value": "2001:db8::7"}, "notes": "fail2ban sshd"}
    assert done.returncode == 0
    assert told == [("POST", "/zones/z1/firewall/access_rules/rules", body, "Bearer t0k3n")]


def test_an_unban_removes_the_rules_of_this_jail_and_address(cloudflare: Any) -> None:
    done, told = cloudflare("unban", "sshd", "203.0.113.7")
    assert done.returncode == 0
    assert [request[0] for request in told] == ["GET", "DELETE"]
    assert "configuration.value=203.0.113.7" in told[0][1] and "notes=fail2ban+sshd" in told[0][1]
    assert told[1][1].endswith("/rules/r1")


def test_a_rule_that_is_there_already_is_as_good(cloudflare: Any) -> None:
    assert cloudflare("ban", "sshd", "203.0.113.9")[0].returncode == 0


def test_a_refusal_is_an_error_in_cloudflares_words_and_without_the_token(cloudflare: Any) -> None:
    done, _ = cloudflare("ban", "sshd", "203.0.113.10")
    assert done.returncode == 1
    assert "Invalid access token" in done.stderr and "t0k3n" not in done.stderr + done.stdout
