"""Machines of strangers beside a test server, each with an address of its own in either family."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from .names import NETWORK, OWNER_LABEL
from .shell import docker, docker_ok

# The network of the test world has no IPv6 of its own: these addresses reach no further than it does.
PREFIX_V6 = "fd77::"


@dataclass(frozen=True)
class Visitor:
    """A container with Python and OpenSSH's client; its IPv6 address ends like the other one."""

    name: str
    address: str

    @property
    def address_v6(self) -> str:
        return PREFIX_V6 + self.address.rpartition(".")[2]

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Never fails by itself: what is refused is what most tests ask."""
        return subprocess.run(["docker", "exec", self.name, *command], capture_output=True, text=True, check=False)

    def python(self, program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        return self.run("python3", "-c", program, *arguments)

    def reaches(self, address: str, port: int) -> bool:
        """Whether anything accepts a connection there."""
        connect = "import socket, sys; socket.create_connection((sys.argv[1], int(sys.argv[2])), 2).close()"
        return self.python(connect, address, str(port)).returncode == 0


@contextmanager
def visitors(server: str, *addresses: str) -> Iterator[list[Visitor]]:
    """One for each address, made of the server's own image and gone afterwards."""
    image = docker("inspect", "--format", "{{.Config.Image}}", server)
    found = [Visitor(f"{server}-visitor-{address.rpartition('.')[2]}", address) for address in addresses]
    try:
        for visitor in found:
            docker_ok("rm", "--force", visitor.name)
            options = [f"--label={OWNER_LABEL}=container", f"--network={NETWORK}", f"--ip={visitor.address}"]
            options += ["--cap-add=NET_ADMIN", "--sysctl=net.ipv6.conf.all.disable_ipv6=0"]
            docker("run", "--detach", "--name", visitor.name, *options, "--entrypoint=sleep", image, "infinity")
            add = ("ip", "-6", "address", "replace", f"{visitor.address_v6}/64", "dev", "eth0", "nodad")
            docker("exec", visitor.name, *add)
        yield found
    finally:
        for visitor in found:
            docker_ok("rm", "--force", visitor.name)
