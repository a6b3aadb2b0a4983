"""Role fail2ban with real attackers: containers beside the server, one of them behaving."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timezone

import pytest
from testinfra.host import Host

from tests.host.shell import docker
from tests.host.visitors import Visitor, visitors

SERVER = "molecule-fail2ban"
ADDRESS, ADDRESS_V6 = "10.77.0.32", "fd77::32"
ATTACKER, NEIGHBOUR, IGNORED = "10.77.0.53", "10.77.0.54", "10.77.0.55"
LOG = "/var/log/somos/nginx/error.log"
MACHINES: dict[str, Visitor] = {}
# The key is one that the server does not know.
WRONG_LOGINS = f"""
ssh-keygen -qN '' -t ed25519 -f /tmp/key 2>/dev/null <<<n
for attempt in 1 2 3 4 5 6; do
  timeout 3 ssh -F/dev/null -oBatchMode=yes -oStrictHostKeyChecking=no -oConnectTimeout=2 -i/tmp/key root@{ADDRESS} true
done
true
"""


def on_server(command: str) -> str:
    return docker("exec", SERVER, "sh", "-c", command)


@pytest.fixture(scope="module", autouse=True)
def machines() -> Iterator[None]:
    on_server(f"sysctl -qw net.ipv6.conf.eth0.disable_ipv6=0; ip -6 address replace {ADDRESS_V6}/64 dev eth0 nodad")
    with visitors(SERVER, ATTACKER, NEIGHBOUR, IGNORED) as found:
        MACHINES.update({visitor.address: visitor for visitor in found})
        yield


def reaches(visitor: str, port: int, address: str = ADDRESS) -> bool:
    return MACHINES[visitor].reaches(address, port)


def banned(jail: str) -> list[str]:
    return on_server(f"fail2ban-client get {jail} banip").split()


def expect(what: Callable[[], bool], message: str) -> None:
    deadline = time.monotonic() + 15
    while not what():
        assert time.monotonic() < deadline, message
        time.sleep(0.3)


def nginx_says(address: str, times: int) -> None:
    """As nginx of the stack writes it, in the time zone of its container."""
    now = datetime.now(timezone.utc).strftime("%Y/%m/%d %H:%M:%S")
    line = f'{now} [error] 29#29: *7 limiting requests, excess: 5.7 by zone "api", client: {address}, server: x'
    on_server(f'for n in $(seq {times}); do echo \'{line}, request: "GET / HTTP/1.1", host: "x"\' >> {LOG}; done')


def test_the_jails_run_before_nginx_has_ever_written_a_line(host: Host) -> None:
    status = host.check_output("fail2ban-client status")
    assert all(jail in status for jail in ("sshd", "nginx-http-auth", "nginx-limit-req"))


def test_who_only_looks_whether_the_port_answers_is_no_attacker() -> None:
    """As Ansible does before it logs in, and a monitor all day."""
    assert all(reaches(NEIGHBOUR, 22) for _ in range(5))
    time.sleep(3)
    assert NEIGHBOUR not in banned("sshd")


def test_six_wrong_logins_and_no_packet_of_the_attacker_arrives_any_more() -> None:
    assert reaches(ATTACKER, 22) and reaches(ATTACKER, 80)
    MACHINES[ATTACKER].run("bash", "-c", WRONG_LOGINS)
    expect(lambda: ATTACKER in banned("sshd"), "no ban")
    expect(lambda: not reaches(ATTACKER, 22), "the server's own port answers")
    assert not reaches(ATTACKER, 80), "a container's port answers"


def test_a_neighbour_goes_on() -> None:
    assert reaches(NEIGHBOUR, 22) and reaches(NEIGHBOUR, 80)


def test_who_is_to_be_ignored_may_be_wrong_six_times() -> None:
    MACHINES[IGNORED].run("bash", "-c", WRONG_LOGINS)
    time.sleep(1)
    assert IGNORED not in banned("sshd")
    assert reaches(IGNORED, 80)


def test_the_controller_of_this_run_is_ignored(host: Host) -> None:
    controller = host.check_output("printenv SSH_CONNECTION").split()[0]
    assert controller in on_server("fail2ban-client get sshd ignoreip")


@pytest.mark.parametrize(
    "accident",
    [
        "ufw reload",
        "systemctl restart docker",
        "systemctl restart fail2ban",
        "kill -9 $(cat /run/fail2ban/fail2ban.pid)",
    ],
)
def test_the_ban_stands_after(accident: str) -> None:
    on_server(accident)
    expect(lambda: reaches(NEIGHBOUR, 80), "the container does not answer")
    expect(lambda: not reaches(ATTACKER, 80), "the ban is lost")
    assert not reaches(ATTACKER, 22)


def test_unban_lets_the_packets_through_again() -> None:
    expect(lambda: ATTACKER in banned("sshd"), "fail2ban has not restored the ban yet")
    on_server(f"fail2ban-client unban {ATTACKER}")
    expect(lambda: reaches(ATTACKER, 80), "still shut out")


def test_a_burst_over_the_limits_of_nginx_is_a_ban_for_ssh_too() -> None:
    nginx_says(ATTACKER, 12)
    expect(lambda: ATTACKER in banned("nginx-limit-req"), "no ban")
    expect(lambda: not reaches(ATTACKER, 80) and not reaches(ATTACKER, 22), "packets arrive")
    on_server(f"fail2ban-client unban {ATTACKER}")


def test_wrong_passwords_for_a_page_are_a_ban() -> None:
    now = datetime.now(timezone.utc).strftime("%Y/%m/%d %H:%M:%S")
    line = (
        f'{now} [error] 29#29: *8 user "x": password mismatch, client: {ATTACKER}, server: m, request: "GET / HTTP/1.1"'
    )
    on_server(f"for n in 1 2 3; do echo '{line}, host: \"m\"' >> {LOG}; done")
    expect(lambda: ATTACKER in banned("nginx-http-auth"), "no ban")
    on_server(f"fail2ban-client unban {ATTACKER}")


def test_a_ban_holds_for_ipv6() -> None:
    v6 = f"fd77::{ATTACKER.rpartition('.')[2]}"
    assert reaches(ATTACKER, 22, ADDRESS_V6)
    nginx_says(v6, 12)
    expect(lambda: v6 in banned("nginx-limit-req"), "no ban")
    expect(lambda: not reaches(ATTACKER, 22, ADDRESS_V6), "packets arrive")
    assert reaches(ATTACKER, 22), "its other address did nothing"
    on_server(f"fail2ban-client unban {v6}")


def test_the_second_ban_is_longer_than_the_first() -> None:
    on_server("fail2ban-client set nginx-limit-req bantime 2")
    lengths = []
    for _ in range(2):
        # To lift a ban would have it forgotten: it has to end.
        expect(lambda: ATTACKER not in banned("nginx-limit-req"), "the first ban does not end")
        nginx_says(ATTACKER, 12)
        expect(lambda: ATTACKER in banned("nginx-limit-req"), "no ban")
        text = on_server("fail2ban-client get nginx-limit-req banip --with-time")
        lengths.append(int(text.split("+")[1].split()[0]))
    assert lengths[0] == 2 < lengths[1]
    on_server(f"fail2ban-client unban {ATTACKER}")


def test_a_log_that_is_gone_keeps_no_jail_from_starting() -> None:
    on_server(f"rm -r {LOG} && systemctl restart fail2ban")
    expect(lambda: "nginx-limit-req" in on_server("fail2ban-client status || true"), "fail2ban does not start")
    assert "sshd" in on_server("fail2ban-client status")
    assert on_server(f"stat -c '%u:%g %a' {LOG}").strip() == "101:101 640", "nginx could not write to it"


def test_the_service_of_nftables_that_would_empty_all_tables_is_off(host: Host) -> None:
    assert not host.service("nftables").is_enabled
    tables = json.loads(host.check_output("nft --json list tables"))["nftables"]
    assert {"family": "inet", "name": "f2b-somos"} in [
        {key: item["table"][key] for key in ("family", "name")} for item in tables if "table" in item
    ]
