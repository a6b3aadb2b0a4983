"""The role firewall, cut off before each of its steps: a login works at every moment, and the next run converges.

UFW's program is replaced by one that kills whoever calls it the n-th time, in place of doing what it was asked: every
step of the first run is the last one once. The last round lets all of them pass, to see that there were no more.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SERVER, ADDRESS = "somos-torture-firewall", "10.77.0.41"
KEY, KNOWN_HOSTS = ROOT / "build/demo/id_ed25519", ROOT / "build/hosts" / SERVER / "known_hosts"
RULES = [
    {"name": "SSH", "port": 2222},
    {"name": "HTTP", "port": 80},
    {"name": "far", "port": 443, "from": ["10.9.0.0/16"]},
]
STEPS = 12

TRAP = """#!/bin/sh
n=$(($(cat /run/calls) + 1)); echo $n > /run/calls
if [ $n -eq "$(cat /run/last)" ]; then kill -9 $PPID; exit 1; fi
exec /usr/sbin/ufw.real "$@"
"""
BARE = """
systemctl stop somos-firewall-undo.timer 2>/dev/null
/usr/sbin/ufw.real --force reset >/dev/null
rm -f /etc/ufw/*.rules.2*
sed -i '/^# BEGIN somos/,/^# END somos/d' /etc/ufw/after.rules /etc/ufw/after6.rules
"""


@pytest.fixture(scope="module", autouse=True)
def server() -> Iterator[None]:
    host("down", SERVER)
    host("up", SERVER, "--image", "debian13", "--ip", ADDRESS)
    assert role().returncode == 0
    on_server("test -e /usr/sbin/ufw.real || mv /usr/sbin/ufw /usr/sbin/ufw.real")
    subprocess.run(
        ["docker", "exec", "-i", SERVER, "sh", "-c", "cat > /usr/sbin/ufw && chmod 0755 /usr/sbin/ufw"],
        input=TRAP,
        text=True,
        check=True,
    )
    yield
    host("down", SERVER)


@pytest.mark.parametrize("last", range(1, STEPS + 1))
def test_a_login_works_wherever_the_run_is_killed_and_the_next_one_converges(last: int) -> None:
    on_server(BARE)
    on_server(f"echo 0 > /run/calls; echo {last} > /run/last")
    killed = role()
    calls = int(on_server("cat /run/calls"))
    assert (killed.returncode != 0) == (calls == last), killed.stdout
    if last == STEPS:
        assert calls < last, "there are more steps than rounds: raise STEPS"
    assert login(), f"nobody gets in after {calls} calls of ufw"

    on_server("echo 0 > /run/last")
    done = role()
    assert done.returncode == 0, done.stdout
    assert login()
    assert "Status: active" in on_server("/usr/sbin/ufw.real status")
    assert "somos-firewall-undo" not in on_server("ls /run/systemd/transient")
    again = role()
    assert again.returncode == 0 and "CHANGED" not in again.stdout, again.stdout


def test_who_would_be_shut_out_by_something_else_has_the_firewall_switched_off_again() -> None:
    """A filter of somebody else, which UFW loads when it is switched on, and which its rules know nothing of."""
    on_server(BARE)
    drop = "-A ufw-before-input -p tcp --dport 22 --syn -j DROP"
    on_server(f"sed -i 's/^# End required lines/&\\n{drop}/' /etc/ufw/before.rules; echo 0 > /run/last")
    try:
        shut_out = role()
        assert shut_out.returncode != 0 and "UFW is off again" in shut_out.stdout, shut_out.stdout
        assert login()
        assert "Status: inactive" in on_server("/usr/sbin/ufw.real status")
    finally:
        on_server(f"sed -i '/^{drop}$/d' /etc/ufw/before.rules")
    assert role().returncode == 0


def role() -> subprocess.CompletedProcess[str]:
    variables = {
        "firewall_rules": RULES,
        "ansible_user": "root",
        "ansible_ssh_private_key_file": str(KEY),
        "ansible_ssh_common_args": f"-o UserKnownHostsFile={KNOWN_HOSTS} -o IdentitiesOnly=yes",
    }
    argv = [
        "ansible",
        "all",
        "-i",
        f"{ADDRESS},",
        "-m",
        "ansible.builtin.include_role",
        "-a",
        "name=somos.infra.firewall",
    ]
    return subprocess.run(
        [*argv, "-e", json.dumps(variables)], cwd=ROOT, capture_output=True, text=True, timeout=300, check=False
    )


def login() -> bool:
    """A connection of its own, as a person would make it."""
    options = ["-F/dev/null", "-oBatchMode=yes", "-oIdentitiesOnly=yes", "-oConnectTimeout=5", "-oControlPath=none"]
    argv = ["ssh", *options, f"-i{KEY}", f"-oUserKnownHostsFile={KNOWN_HOSTS}", f"root@{ADDRESS}", "true"]
    return subprocess.run(argv, capture_output=True, timeout=30, check=False).returncode == 0


def on_server(command: str) -> str:
    argv = ["docker", "exec", SERVER, "sh", "-c", command]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    return done.stdout


def host(*words: str) -> None:
    subprocess.run([sys.executable, "-m", "tests.host", *words], cwd=ROOT, check=True)
