"""Visitors who come by IPv6 are told apart, and what runs is led into the network that makes it so without a stop."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest
from client import eventually
from test_nginx_changes import RUNNING, converge

from tests.host.visitors import Visitor, visitors

SERVER, ADDRESS, ADDRESS_V6 = "molecule-nginx", "10.77.0.27", "fd77::27"
LOG = "/var/log/somos/nginx/access.log"
# One request after another; prints the status of each. Of a connection that breaks, 0.
ASK = """
import http.client, socket, ssl, sys, time
address, path, times, pause = sys.argv[1], sys.argv[2], int(sys.argv[3]), float(sys.argv[4])
context = ssl.create_default_context()
context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
for _ in range(times):
    try:
        connection = http.client.HTTPConnection(address, 443, timeout=3)
        plain = socket.create_connection((address, 443), timeout=3)
        connection.sock = context.wrap_socket(plain, server_hostname="app.somos.test")
        connection.request("POST" if "login" in path else "GET", path, headers={"Host": "app.somos.test"})
        status = connection.getresponse().status
        connection.close()
    except OSError:
        status = 0
    print(status, flush=True)
    time.sleep(pause)
"""


@pytest.fixture(scope="module")
def two() -> Iterator[list[Visitor]]:
    with visitors(SERVER, "10.77.0.61", "10.77.0.62") as found:
        yield found


def asks(visitor: Visitor, path: str, times: int = 1, address: str = ADDRESS_V6) -> list[int]:
    asked = visitor.python(ASK, address, path, str(times), "0")
    assert asked.returncode == 0, asked.stderr[-2000:]
    return [int(status) for status in asked.stdout.split()]


def seen(host: Any, path: str) -> set[str]:
    lines = host.run(f"grep --fixed-strings {path} {LOG}").stdout.splitlines()
    return {json.loads(line)["client"] for line in lines}


def has_ipv6(host: Any) -> bool:
    form = "{{.NetworkSettings.Networks.somos_edge.GlobalIPv6Address}}"
    return bool(host.check_output("docker inspect --format %s somos-nginx-1", form).strip())


def test_each_visitor_has_an_address_of_its_own_in_the_log_whatever_it_comes_by(host: Any, two: list[Visitor]) -> None:
    for visitor in two:
        assert asks(visitor, "/api/by-ipv6") == [200]
        assert asks(visitor, "/api/by-ipv4", address=ADDRESS) == [200]
    assert eventually(lambda: seen(host, "/api/by-ipv6") == {visitor.address_v6 for visitor in two})
    assert eventually(lambda: seen(host, "/api/by-ipv4") == {visitor.address for visitor in two})


def test_one_who_asks_too_often_costs_another_nothing(two: list[Visitor]) -> None:
    assert asks(two[0], "/api/v1/auth/login", 8).count(429) >= 4
    assert asks(two[1], "/api/v1/auth/login") == [200]


def test_what_runs_is_led_into_the_other_network_and_back_while_visitors_come(host: Any, two: list[Visitor]) -> None:
    before = host.check_output(RUNNING)
    for wanted in (False, True):
        watch = ["docker", "exec", two[0].name, "timeout", "300", "python3", "-c", ASK, ADDRESS, "/", "10000", "0.1"]
        with subprocess.Popen(watch, stdout=subprocess.PIPE, text=True) as watching:
            run = converge(stack_ipv6=wanted)
            watching.kill()
            answers = watching.stdout.read().split() if watching.stdout else []
        assert run.returncode == 0, run.stdout[-3000:]
        assert (has_ipv6(host), host.check_output(RUNNING)) == (wanted, before)
        # They are answered again before the run is over; nothing stopped for it.
        assert (answers[0], answers[-1]) == ("200", "200"), answers
        assert eventually(lambda: set(asks(two[1], "/", 3, ADDRESS)) == {200})
        assert "changed=0" in converge(stack_ipv6=wanted).stdout
    assert asks(two[1], "/api/by-ipv6") == [200]


def test_they_are_there_again_after_a_restart_of_the_engine(host: Any, two: list[Visitor]) -> None:
    """What was led into another network starts by itself, in it."""
    host.check_output("systemctl reset-failed docker; systemctl restart docker; docker start somos-page-1")
    assert eventually(lambda: asks(two[1], "/api/by-ipv6") == [200] == asks(two[1], "/"), 60)


@pytest.mark.parametrize(
    "moment",
    [
        "out nginx",
        "out page && out nginx",
        "out page && out nginx && docker network rm somos_edge",
    ],
)
def test_a_run_that_was_cut_off_while_nobody_was_in_the_network_is_completed(
    host: Any, two: list[Visitor], moment: str
) -> None:
    host.check_output(f"out() {{ docker network disconnect somos_edge somos-$1-1; }}; {moment}")
    assert asks(two[1], "/") == [0]
    run = converge()
    assert run.returncode == 0, run.stdout[-3000:]
    assert eventually(lambda: asks(two[1], "/") == [200])


def test_addresses_that_are_taken_leave_the_network_as_it_was(host: Any, two: list[Visitor]) -> None:
    host.check_output("docker network create --ipv6 --subnet fd99::/64 taken")
    try:
        run = converge(stack_ipv6_subnet="fd99::/64")
        assert run.returncode != 0
        assert "is as it was" in " ".join(run.stdout.split()), run.stdout[-3000:]
        assert eventually(lambda: asks(two[1], "/") == [200])
    finally:
        host.check_output("docker network rm taken")
    assert converge().returncode == 0
