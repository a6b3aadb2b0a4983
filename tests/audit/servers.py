"""The servers that are measured, and the container that looks at them from outside."""

from __future__ import annotations

import ipaddress
import os
import subprocess
import sys
from dataclasses import dataclass

from tests.host import images
from tests.host.names import BUILD, NETWORK, OWNER_LABEL, ROOT
from tests.host.server import Server, has_booted
from tests.host.shell import HostError, docker, run, say, step, wait_until

INVENTORY = ROOT / "tests" / "audit" / "inventory"
LOGS = BUILD / "audit"
# Named as an auditor's in the inventory: fail2ban and sshd would soon shut out who asks as ssh-audit does.
AUDITOR = "10.77.0.111"
# The network of the tests has no IPv6; these addresses are added to both ends of it, and reach no further.
V6_NETWORK = ipaddress.IPv6Network("fd00:77::/64")


@dataclass(frozen=True)
class Audited:
    """A server, how it is made, and how much of the site it runs."""

    name: str
    image: str
    address: str
    tags: str = ""  # of the playbook; all when empty
    stack: bool = False

    @property
    def address_v6(self) -> str:
        return str(V6_NETWORK[int(self.address.rpartition(".")[2], 16)])

    def bring_up(self) -> None:
        """Fresh, since instruments stay installed on the one of the last run."""
        tests_host("down", self.name)
        tests_host("up", self.name, "--image", self.image, "--ip", self.address)
        # Before the roles run, as a rented server has its address from the start.
        self.give_ipv6()

    def give_ipv6(self) -> None:
        settings = "net.ipv6.conf.all.disable_ipv6=0\nnet.ipv6.conf.default.disable_ipv6=0\n"
        # Also before Docker starts the next time.
        self.run(
            "cat > /etc/sysctl.d/00-test-world.conf && sysctl -qp /etc/sysctl.d/00-test-world.conf", stdin=settings
        )
        self.run(f"ip -6 address replace {self.address_v6}/64 dev eth0 nodad")

    def restart(self) -> None:
        """As by the provider's button. What the network of the tests has given it, it gets again."""
        docker("restart", self.name)
        wait_until(lambda: has_booted(Server(self.name)), seconds=90, what=f"systemd in {self.name} is up")
        self.give_ipv6()

    def converge(self) -> None:
        LOGS.mkdir(parents=True, exist_ok=True)
        log = LOGS / f"{self.name}.log"
        inventory = INVENTORY / f"{self.image}.yml"
        argv = ["ansible-playbook", "-i", str(inventory.relative_to(ROOT)), "playbooks/site.yml"]
        with step(f"{self.name}: site.yml{f' --tags {self.tags}' if self.tags else ''}"), log.open("wb") as output:
            done = subprocess.run(
                [*argv, *(["--tags", self.tags] if self.tags else [])],
                cwd=ROOT,
                stdout=output,
                stderr=output,
                check=False,
                env={**os.environ, "ANSIBLE_FORCE_COLOR": "0"},
            )
        if done.returncode:
            end = "\n".join(log.read_text(errors="replace").splitlines()[-40:])
            raise HostError(f"{self.name} does not converge ({log.relative_to(ROOT)}):\n{end}")

    def down(self) -> None:
        tests_host("down", self.name)

    def run(self, command: str, *, stdin: str = "", check: bool = True) -> str:
        """What a shell of root on the server prints. Nothing of it passes through sshd, which is measured too."""
        argv = ["docker", "exec", "--interactive", self.name, "sh", "-c", command]
        return run(argv, stdin=stdin.encode(), check=check).stdout.decode(errors="replace")

    def install(self, *packages: str) -> None:
        """Instruments come after the roles, so that no measured setting can depend on their being there."""
        say(f"{self.name}: installing {', '.join(packages)}")
        self.run(
            "apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends "
            + " ".join(packages)
        )


SERVERS = (
    Audited("somos-audit-13", "debian13", "10.77.0.113", stack=True),
    Audited("somos-audit-12", "debian12", "10.77.0.112", tags="base,ssh,firewall,fail2ban,docker"),
)


def tests_host(*words: str) -> None:
    subprocess.run([sys.executable, "-m", "tests.host", *words], cwd=ROOT, check=True)


def outside(*argv: str, address: str = "", capabilities: tuple[str, ...] = ()) -> subprocess.CompletedProcess[bytes]:
    """Runs a program in a container beside the server, as an attacker in the same network would."""
    image = images.ensure_images(["auditor"])["auditor"]
    options = [
        "--rm",
        f"--network={NETWORK}",
        *([f"--ip={address}"] if address else []),
        f"--label={OWNER_LABEL}=container",
        "--sysctl=net.ipv6.conf.all.disable_ipv6=0",
        *(f"--cap-add={capability}" for capability in capabilities),
    ]
    return run(["docker", "run", *options, image, *argv], check=False)


def copy_from_auditor(path: str, server: Audited, to: str) -> None:
    """A data file of the auditor's packages that the server's own release does not have."""
    image = images.ensure_images(["auditor"])["auditor"]
    content = run(["docker", "run", "--rm", f"--label={OWNER_LABEL}=container", image, "cat", path]).stdout
    docker("exec", "--interactive", server.name, "sh", "-c", f"cat > {to}", stdin=content)
