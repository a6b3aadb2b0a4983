"""Role firewall, seen from other machines on the network: what is open, for whom, and after what accidents."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from testinfra.host import Host

from tests.host.shell import docker
from tests.host.visitors import visitors

SERVER = "molecule-firewall"
ADDRESSES = {"v4": "10.77.0.31", "v6": "fd77::31"}
# Listed for 8443 and 8444 is the visitor, for IPv4 only; the neighbour is on no list.
VISITOR, NEIGHBOUR = "10.77.0.51", "10.77.0.52"
PORTS = (22, 80, 443, 2222, 5432, 8080, 8443, 8444)
OPEN = {
    VISITOR: {"v4 22", "v4 80", "v4 8443", "v4 8444", "v6 22", "v6 80"},
    NEIGHBOUR: {"v4 22", "v4 80", "v6 22", "v6 80"},
}
PROBE = """
import json, socket, sys
from concurrent.futures import ThreadPoolExecutor
def opens(target):
    try:
        socket.create_connection(target[1:], timeout=1).close()
    except OSError:
        return False
    return True
targets = [(f"{family} {port}", address, port) for family, address, port in json.loads(sys.argv[1])]
with ThreadPoolExecutor(len(targets)) as pool:
    print(json.dumps([target[0] for target, found in zip(targets, pool.map(opens, targets)) if found]))
"""
Look = Callable[[str], set[str]]


@pytest.fixture(scope="module")
def look() -> Iterator[Look]:
    """Which ports answer a machine of that address, by family; the machines are containers beside the server."""
    targets = json.dumps([(family, address, port) for family, address in ADDRESSES.items() for port in PORTS])
    with visitors(SERVER, VISITOR, NEIGHBOUR) as found:
        machines = {visitor.address: visitor for visitor in found}
        yield lambda address: set(json.loads(machines[address].python(PROBE, targets).stdout))


def on_server(command: str) -> str:
    """Not over SSH: what is tried here may cut that off."""
    return docker("exec", SERVER, "sh", "-c", command)


def succeeds(*words: str) -> bool:
    return subprocess.run(["docker", "exec", SERVER, *words], capture_output=True, check=False).returncode == 0


def expect_the_policy(look: Look) -> None:
    with ThreadPoolExecutor() as pool:
        assert dict(zip(OPEN, pool.map(look, OPEN), strict=True)) == OPEN


def test_ports_that_are_published_by_mistake_are_there_and_answer_the_server_itself() -> None:
    """Without this, the tests below would prove nothing."""
    for port in (8080, 8443):
        assert on_server(f"ss -Hltn 'sport = :{port}' | wc -l").strip() == "2"
        on_server(f"python3 -c 'import socket; socket.create_connection((\"127.0.0.1\", {port}), 2)'")


def test_visitors_reach_what_the_rules_say_and_nothing_else(look: Look) -> None:
    expect_the_policy(look)


@pytest.mark.parametrize(
    "accident",
    [
        "ufw reload",
        "systemctl restart docker",
        "ufw disable && ufw --force enable",
        "systemctl stop docker docker.socket && ufw reload && systemctl start docker",
    ],
)
def test_the_policy_stands_after(accident: str, look: Look) -> None:
    # systemd allows three starts of Docker a minute, which is more than a server sees and less than these tests.
    on_server(f"systemctl reset-failed docker; {accident}")
    wait_for_containers()
    expect_the_policy(look)


def test_a_container_gets_out_and_reaches_its_neighbour_by_name() -> None:
    assert "open" in on_server("docker exec open curl -skm 3 -o /dev/null https://10.77.0.2:5000 && echo open")
    assert "open" in on_server("docker exec open curl -sm 3 -o /dev/null http://mistake && echo open")


def test_nothing_leaves_an_isolated_bridge_and_its_published_port_still_answers_the_server() -> None:
    left = on_server("docker exec shut curl -skm 3 -o /dev/null https://10.77.0.2:5000 || echo shut")
    assert left.strip() == "shut"
    on_server("python3 -c 'import socket; socket.create_connection((\"127.0.0.1\", 5432), 2)'")
    dropped = on_server("iptables -v -S DOCKER-USER | grep -- '-i br-shut ! -o br-shut'")
    assert " -c 0 0 " not in dropped, "somebody else stopped it"


def test_a_packet_for_a_container_s_own_address_is_dropped(look: Look) -> None:
    """As a neighbour on the provider's network would send it, routed over this server."""
    inside = on_server("docker inspect --format '{{.NetworkSettings.Networks.seen.IPAddress}}' open").strip()
    docker("exec", f"{SERVER}-visitor-51", "ip", "route", "replace", f"{inside}/32", "via", ADDRESSES["v4"])
    before = on_server("iptables -v -S DOCKER-USER | grep -- '! --ctstate DNAT'")
    targets = json.dumps([("v4", inside, 80)])
    assert json.loads(docker("exec", f"{SERVER}-visitor-51", "python3", "-c", PROBE, targets)) == []
    assert on_server("iptables -v -S DOCKER-USER | grep -- '! --ctstate DNAT'") != before


def test_a_long_list_for_two_ports_costs_one_rule_a_network(host: Host) -> None:
    rules = host.check_output("iptables -S; ip6tables -S").splitlines()
    assert len([rule for rule in rules if "173.245.48.0/20" in rule]) == 2


def test_ufw_is_as_an_auditor_wants_it(host: Host) -> None:
    status = host.check_output("LC_ALL=C ufw status verbose")
    assert "Default: deny (incoming), allow (outgoing), deny (routed)" in status
    assert "Logging: on (low)" in status
    for line in ("Anywhere on lo", "DENY IN     127.0.0.0/8", "DENY IN     ::1", "ALLOW OUT   Anywhere on lo"):
        assert line in status
    assert host.service("ufw").is_enabled
    assert host.service("ufw").is_running


def test_no_timer_is_left_that_would_switch_the_firewall_off(host: Host) -> None:
    assert "somos-firewall-undo" not in host.check_output("systemctl list-units --all --no-legend")


def test_the_policy_stands_after_a_restart_of_the_server(look: Look) -> None:
    """UFW starts before Docker then."""
    docker("restart", SERVER)
    deadline = time.monotonic() + 60
    while not succeeds("systemctl", "is-active", "--quiet", "docker"):
        assert time.monotonic() < deadline, "Docker does not start"
        time.sleep(0.5)
    names = " ".join(f"net.ipv6.conf.{name}.disable_ipv6=0" for name in ("all", "lo", "eth0"))
    on_server(f"sysctl -qw {names} && ip -6 address replace {ADDRESSES['v6']}/64 dev eth0 nodad")
    on_server("systemctl restart docker")
    wait_for_containers()
    expect_the_policy(look)


def wait_for_containers() -> None:
    deadline = time.monotonic() + 30
    answer = 'import socket; [socket.create_connection(("127.0.0.1", port), 2) for port in (80, 8080, 8443)]'
    while not succeeds("python3", "-c", answer):
        assert time.monotonic() < deadline, "the containers do not answer"
        time.sleep(0.3)
