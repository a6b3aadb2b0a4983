"""Who storms the site is shut out and nobody else, by either family: nginx refuses, fail2ban reads, nftables drops."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
import requests

from tests.host.names import DOMAIN
from tests.host.visitors import Visitor, visitors

SERVER = "molecule-site"
# The server by each family, and how a visitor of that family is called.
FAMILIES = [pytest.param("10.77.0.20", "address", id="IPv4"), pytest.param("fd77::20", "address_v6", id="IPv6")]
LOG = "/var/log/somos/nginx/access.log"
# 150 requests are more than 30 a second with a burst of 50 let through; ten that are refused make a ban.
STORM = f"""
import http.client, socket, ssl, sys
context = ssl.create_default_context()
context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
connection = http.client.HTTPConnection(sys.argv[1], 443, timeout=5)
plain = socket.create_connection((sys.argv[1], 443), timeout=5)
connection.sock = context.wrap_socket(plain, server_hostname="app.{DOMAIN}")
refused = 0
try:
    for _ in range(int(sys.argv[3])):
        connection.request("GET", sys.argv[2], headers={{"Host": "app.{DOMAIN}"}})
        answer = connection.getresponse()
        answer.read()
        refused += answer.status == 429
except OSError:
    pass
print(refused)
"""


@pytest.fixture(scope="module")
def two(host: Any) -> Iterator[list[Visitor]]:
    """The one who storms, and a neighbour; both are forgiven afterwards."""
    with visitors(SERVER, "10.77.0.60", "10.77.0.59") as found:
        yield found
    for visitor in found:
        host.run(f"fail2ban-client unban {visitor.address} {visitor.address_v6}")


@pytest.mark.parametrize(("server", "family"), FAMILIES)
def test_each_visitor_is_logged_by_an_address_of_his_own(
    host: Any, two: list[Visitor], server: str, family: str
) -> None:
    path = f"/api/v1/who-{family}"
    for visitor in two:
        assert visitor.python(STORM, server, path, "1").stdout.strip() == "0"
    lines = host.check_output(f"sleep 1; grep --fixed-strings {path} {LOG}").splitlines()
    assert {json.loads(line)["client"] for line in lines} == {getattr(visitor, family) for visitor in two}


@pytest.mark.parametrize(("server", "family"), FAMILIES)
def test_a_storm_on_the_api_is_a_ban_of_its_sender_alone(
    host: Any, visitor: requests.Session, two: list[Visitor], server: str, family: str
) -> None:
    stranger, neighbour = two
    sender = getattr(stranger, family)
    assert stranger.reaches(server, 443)
    storm = stranger.python(STORM, server, "/api/v1/nothing", "150")
    assert int(storm.stdout or 0) >= 10, storm.stderr[-2000:]
    banned = (
        "for n in $(seq 30); do fail2ban-client get nginx-limit-req banip | grep -qw %s && exit; sleep 1; done; exit 1"
    )
    assert host.run(banned, sender).rc == 0, host.check_output("fail2ban-client status nginx-limit-req")
    assert not stranger.reaches(server, 443), "a port of a container"
    assert not stranger.reaches(server, 2222), "a port of the server"
    assert neighbour.reaches(server, 443) and neighbour.reaches(server, 2222)
    assert visitor.get(f"https://app.{DOMAIN}/", timeout=30).status_code == 200
    host.check_output(f"fail2ban-client unban {sender}")
    assert stranger.reaches(server, 443)


def test_the_server_still_hears_its_router_though_docker_has_made_it_one(host: Any) -> None:
    assert host.sysctl("net.ipv6.conf.eth0.forwarding") == 1
    # The router says 30 seconds each second.
    left = host.check_output("sleep 12; ip -6 route show default proto ra dev eth0")
    assert int(left.partition("expires ")[2].partition("sec")[0]) > 20
