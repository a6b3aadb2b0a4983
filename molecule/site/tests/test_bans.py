"""Who storms the site is shut out, and nobody else is: nginx refuses, fail2ban reads, the kernel drops."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from typing import Any

import pytest
import requests

from tests.host.names import DOMAIN, NETWORK

SERVER, STRANGER = "molecule-site", "10.77.0.60"
PROBE = """
import socket, sys
try:
    socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=3).close()
except OSError:
    sys.exit(1)
"""
# 150 requests are more than 30 a second with a burst of 50 let through; ten that are refused make a ban.
STORM = """
import http.client, socket, ssl, sys
context = ssl.create_default_context()
context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
connection = http.client.HTTPConnection(sys.argv[1], 443, timeout=5)
plain = socket.create_connection((sys.argv[1], 443), timeout=5)
connection.sock = context.wrap_socket(plain, server_hostname="app.DOMAIN")
refused = 0
try:
    for _ in range(150):
        connection.request("GET", "/api/v1/nothing", headers={"Host": "app.DOMAIN"})
        answer = connection.getresponse()
        answer.read()
        refused += answer.status == 429
except OSError:
    pass
print(refused)
"""


@pytest.fixture
def stranger(host: Any) -> Iterator[Any]:
    """A program run from an address of its own, which is forgiven afterwards."""
    image = subprocess.run(
        ["docker", "inspect", "--format", "{{.Config.Image}}", SERVER], capture_output=True, text=True, check=True
    ).stdout.strip()
    run = ["docker", "run", "--rm", "--network", NETWORK, "--ip", STRANGER, "--entrypoint", "python3", image, "-c"]

    def runs(program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([*run, program, *arguments], capture_output=True, text=True, check=False)

    yield runs
    host.run(f"fail2ban-client unban {STRANGER}")


def test_a_storm_on_the_api_is_a_ban_of_its_sender_alone(
    host: Any, address: str, visitor: requests.Session, stranger: Any
) -> None:
    assert stranger(PROBE, address, "443").returncode == 0
    storm = stranger(STORM.replace("DOMAIN", DOMAIN), address)
    assert int(storm.stdout or 0) >= 10, storm.stderr[-2000:]
    banned = (
        "for n in $(seq 30); do fail2ban-client get nginx-limit-req banip | grep -qw %s && exit; sleep 1; done; exit 1"
    )
    assert host.run(banned, STRANGER).rc == 0, host.check_output("fail2ban-client status nginx-limit-req")
    assert stranger(PROBE, address, "443").returncode == 1, "a port of a container"
    assert stranger(PROBE, address, "2222").returncode == 1, "a port of the server"
    assert visitor.get(f"https://app.{DOMAIN}/", timeout=30).status_code == 200
    host.check_output(f"fail2ban-client unban {STRANGER}")
    assert stranger(PROBE, address, "443").returncode == 0
