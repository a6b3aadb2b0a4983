"""The move of sshd, killed before each of its tasks: somebody can log in afterwards, and the next run ends like one
that was left alone.

One server. For every task of an undisturbed run the server is put back to port 22, `ansible-playbook` is killed with
SIGKILL when that task begins, sshd is restarted as a reboot would, and a login is tried, each over a connection of its
own. Then the play runs again to the end. TORTURE_IMAGE (debian13) names the server's image.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SERVER = "somos-torture-ssh"
ADDRESS = "10.77.0.41"
IMAGE = os.environ.get("TORTURE_IMAGE", "debian13")
KNOWN_HOSTS = ROOT / "build" / "hosts" / SERVER / "known_hosts"
KEY = ROOT / "build" / "demo" / "id_ed25519"
DOORS = (("root", 22, "id -u"), ("deploy", 2222, "sudo id -u"))
# The tasks of a run that moves a server; a role that has more fails test_every_task_has_its_turn.
TASKS = 34


@dataclass(frozen=True)
class Server:
    """The server before the move, and what a move that was left alone made of it."""

    tasks: int
    state: str

    @staticmethod
    def put_back() -> None:
        """As it was before the move, and as it knows of itself."""
        inside(
            "rm -rf /etc/ssh /var/lib/somos/units/ssh.service /var/lib/somos/config_tree/ssh.*"
            " && tar -C / -xpf /root/etc-ssh.tar && systemctl restart ssh"
        )


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    host("down", SERVER)
    host("up", SERVER, "--image", IMAGE, "--ip", ADDRESS)
    play("molecule/ssh/prepare.yml")
    inside("tar -C / -cpf /root/etc-ssh.tar etc/ssh")
    output = play("molecule/ssh/converge.yml")
    yield Server(output.count("\nTASK ["), state())
    host("down", SERVER)


def test_every_task_has_its_turn(server: Server) -> None:
    assert server.tasks == TASKS


@pytest.mark.parametrize("task", range(1, TASKS + 1))
def test_a_login_works_whenever_the_move_was_killed(server: Server, tmp_path: Path, task: int) -> None:
    server.put_back()
    killed = kill_at(task, tmp_path)
    print(f"\nkilled at task {task}, {killed}: ", end="")
    for moment in ("at once", "after a restart of sshd"):
        doors = [f"{account}@{port}" for account, port, command in DOORS if logs_in(account, port, command)]
        assert doors, f"nobody can log in {moment}, after a kill at {killed}"
        print(f"{moment} {', '.join(doors)}; ", end="", flush=True)
        inside("systemctl restart ssh")
    play("molecule/ssh/converge.yml")
    assert logs_in(*DOORS[1]) and not logs_in(*DOORS[0])
    assert state() == server.state


def kill_at(task: int, control: Path) -> str:
    """Start the play, kill it when its n-th task begins, and say which that was."""
    started = subprocess.Popen(
        command("molecule/ssh/converge.yml"),
        cwd=ROOT,
        env=environment() | {"ANSIBLE_SSH_CONTROL_PATH_DIR": str(control)},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )
    assert started.stdout
    seen = 0
    for line in started.stdout:
        seen += line.startswith("TASK [")
        if seen == task:
            os.killpg(started.pid, signal.SIGKILL)
            started.wait()
            return line.split("]")[0].removeprefix("TASK [")
    raise AssertionError(f"the play has only {seen} tasks")


def logs_in(account: str, port: int, what: str) -> bool:
    options = ("-F/dev/null", "-oBatchMode=yes", "-oControlPath=none", "-oConnectTimeout=5", "-oIdentitiesOnly=yes")
    argv = [
        "ssh",
        *options,
        f"-oUserKnownHostsFile={KNOWN_HOSTS}",
        f"-i{KEY}",
        f"-p{port}",
        f"{account}@{ADDRESS}",
        what,
    ]
    return subprocess.run(argv, capture_output=True, text=True, check=False).stdout == "0\n"


def state() -> str:
    """The role's files, the groups, how long the keys are, and who listens where."""
    return inside(
        "cat /etc/ssh/sshd_config.d/00-somos.conf; stat -c '%n %a' /etc/ssh/* /etc/ssh/sshd_config.d/*;"
        " sha256sum /etc/ssh/moduli /etc/ssh/sshd_config; ssh-keygen -lf /etc/ssh/ssh_host_rsa_key | cut -d' ' -f1;"
        " ss -Hltn | awk '{print $4}' | sort"
    )


def command(playbook: str) -> list[str]:
    arguments = f"-o UserKnownHostsFile={KNOWN_HOSTS} -o IdentitiesOnly=yes"
    # Inventory and variables are those of the scenario; only the server is another one.
    return [
        *("ansible-playbook", "-i", "molecule/inventory.yml", playbook),
        *("-e", f"ansible_host={ADDRESS}", "-e", f"ansible_ssh_common_args='{arguments}'"),
    ]


def environment() -> dict[str, str]:
    return {**os.environ, "MOLECULE_SCENARIO_NAME": "ssh"}


def play(playbook: str) -> str:
    run = subprocess.run(command(playbook), cwd=ROOT, env=environment(), capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout[-6000:] + run.stderr[-2000:]
    return run.stdout


def inside(script: str) -> str:
    return subprocess.run(
        ["docker", "exec", SERVER, "sh", "-c", script], capture_output=True, text=True, check=True
    ).stdout


def host(*words: str) -> None:
    subprocess.run([sys.executable, "-m", "tests.host", *words], cwd=ROOT, check=True)
