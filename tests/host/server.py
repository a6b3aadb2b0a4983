"""Test servers: containers that boot systemd and are reached over SSH like a machine that was just rented."""

from __future__ import annotations

import shutil
import socket
from dataclasses import dataclass
from pathlib import Path

from .container import Container
from .content import short_hash
from .images import ensure_images
from .names import BUILD, CA, DEMO, DEMO_SERVER, DEMO_SERVER_IP, NETWORK, OWNER_LABEL, SITES, SSH_KEY
from .shell import HostError, docker, docker_ok, run, say, step, wait_until

# All that systemd, Docker and a firewall need. Two are missing on purpose: SYS_TIME, with which setting the time zone
# in the server shifts the clock of the whole machine, and SYS_RESOURCE, which many machines have not to give.
CAPABILITIES = (
    *("AUDIT_CONTROL", "AUDIT_READ", "AUDIT_WRITE", "CHOWN", "DAC_OVERRIDE", "DAC_READ_SEARCH", "FOWNER", "FSETID"),
    *("IPC_LOCK", "IPC_OWNER", "KILL", "MKNOD", "NET_ADMIN", "NET_BIND_SERVICE", "NET_BROADCAST", "NET_RAW", "SETFCAP"),
    *("SETGID", "SETPCAP", "SETUID", "SYSLOG", "SYS_ADMIN", "SYS_CHROOT", "SYS_NICE", "SYS_PTRACE"),
)
ACCESS_LABEL = f"{OWNER_LABEL}.access"
SSH_PORTS = (22, 2222)


@dataclass(frozen=True)
class Server:
    name: str
    variant: str = "debian13"
    ip: str | None = None

    @property
    def address(self) -> str | None:
        return self.ip or (DEMO_SERVER_IP if self.name == DEMO_SERVER else None)

    @property
    def names(self) -> list[str]:
        return SITES if self.name == DEMO_SERVER else []

    @property
    def known_hosts(self) -> Path:
        return (DEMO if self.name == DEMO_SERVER else BUILD / "hosts" / self.name) / "known_hosts"

    @property
    def access(self) -> str:
        """What makes a running server useless when it changes: who may enter, whom it trusts, where it is."""
        return short_hash(self.variant, str(self.address), public_key(), CA.read_bytes())


def public_key() -> bytes:
    return SSH_KEY.with_suffix(".pub").read_bytes()


def cgroup_words(version: str) -> list[str]:
    """Kernel words for systemd 256 and later, which refuses cgroup v1 unless it is asked twice."""
    return ["systemd.unified_cgroup_hierarchy=0", "SYSTEMD_CGROUP_ENABLE_LEGACY_FORCE=1"] if version == "1" else []


def as_container(server: Server, image: str, cgroups: str) -> Container:
    return Container(
        name=server.name,
        image=image,
        arguments=[
            f"--hostname={server.name}",
            f"--network={NETWORK}",
            *([f"--ip={server.address}"] if server.address else []),
            *(f"--network-alias={name}" for name in server.names),
            f"--label={ACCESS_LABEL}={server.access}",
            "--tmpfs=/run",
            "--tmpfs=/run/lock",
            "--tmpfs=/tmp:exec",
            *(f"--security-opt={what}=unconfined" for what in ("seccomp", "apparmor", "systempaths")),
            "--cap-drop=ALL",
            *(f"--cap-add={capability}" for capability in CAPABILITIES),
            # A cgroup tree of its own: its services and its containers are counted below it, and vanish with it.
            "--cgroupns=private",
        ],
        command=cgroup_words(cgroups),
        files={
            "/root/.ssh/authorized_keys": public_key(),
            "/usr/local/share/ca-certificates/somos-test.crt": CA.read_bytes(),
        },
        volumes=volumes(server.name),
    )


def volumes(name: str) -> dict[str, str]:
    """Docker's own data must not lie on the layers of another Docker; the other plays a network storage."""
    return {f"{name}-docker": "/var/lib/docker", f"{name}-nas": "/srv/nas"}


def up(server: Server) -> None:
    """A healthy server stays as it is; one that is stopped is started; anything else is made anew."""
    image = ensure_images([f"host:{server.variant}"])[f"host:{server.variant}"]
    cgroups = docker("info", "--format", "{{.CgroupVersion}}")
    container = as_container(server, image, cgroups)
    state = container.usable_state(ACCESS_LABEL, server.access)
    if state:
        if not state["State"]["Running"]:
            say(f"starting {server.name} again")
            docker_ok("start", server.name)
        if is_healthy(server):
            if state["Config"]["Image"] != image:
                say(f"{server.name} runs an older image; `down {server.name}` first to have the present one")
            write_known_hosts(server)
            say(f"{server.name} is up at {current_address(server)}")
            return
        say(f"{server.name} is broken and will be replaced")
    with step(f"Server {server.name} ({server.variant})"):
        container.remove(with_volumes=True)
        container.create()
        wait_until(lambda: has_booted(server), seconds=90, what=f"systemd in {server.name} is up")
        write_known_hosts(server)
        wait_until(lambda: root_logs_in(server), seconds=30, what=f"root@{server.name} logs in over SSH")
    say(f"{server.name} is up at {current_address(server)}")


def down(server: Server) -> None:
    # Only name and volumes matter here.
    Container(server.name, image="", arguments=[], volumes=volumes(server.name)).remove(with_volumes=True)
    server.known_hosts.unlink(missing_ok=True)
    if server.name != DEMO_SERVER:
        shutil.rmtree(server.known_hosts.parent, ignore_errors=True)
    say(f"{server.name} is gone")


def current_address(server: Server) -> str:
    form = f'{{{{(index .NetworkSettings.Networks "{NETWORK}").IPAddress}}}}'
    return docker("container", "inspect", "--format", form, server.name)


def has_booted(server: Server) -> bool:
    """`degraded` counts: what a role has broken is the role's matter, not the server's."""
    if docker("container", "inspect", "--format", "{{.State.Running}}", server.name) != "true":
        log = run(["docker", "logs", "--tail", "20", server.name], check=False)
        raise HostError(f"{server.name} has stopped:\n{(log.stdout + log.stderr).decode(errors='replace')}")
    words = run(["docker", "exec", server.name, "systemctl", "is-system-running"], check=False).stdout.decode().strip()
    return words in ("running", "degraded")


def is_healthy(server: Server) -> bool:
    try:
        wait_until(lambda: has_booted(server) and ssh_answers(current_address(server)), seconds=30, what="healthy")
    except HostError:
        return False
    return True


def ssh_answers(address: str) -> bool:
    """On the port of a fresh server or on the one it is moved to; who may log in is up to the roles by then."""
    for port in SSH_PORTS:
        try:
            with socket.create_connection((address, port), timeout=2) as connection:
                connection.settimeout(2)
                if connection.recv(4) == b"SSH-":
                    return True
        except OSError:
            continue
    return False


def root_logs_in(server: Server) -> bool:
    options = ["-o", "BatchMode=yes", "-o", "ConnectTimeout=3", "-o", f"UserKnownHostsFile={server.known_hosts}"]
    argv = ["ssh", "-i", str(SSH_KEY), *options, f"root@{current_address(server)}", "true"]
    return run(argv, check=False).returncode == 0


def write_known_hosts(server: Server) -> None:
    """Asked of the container itself, so that not even the first connection is taken on trust."""
    keys = docker("exec", server.name, "sh", "-c", "cat /etc/ssh/ssh_host_*_key.pub")
    names = [current_address(server), server.name, *server.names]
    hosts = names + [f"[{name}]:2222" for name in names]
    lines = [" ".join([",".join(hosts), *key.split()[:2]]) for key in keys.splitlines()]
    server.known_hosts.parent.mkdir(parents=True, exist_ok=True)
    text = "\n".join(lines) + "\n"
    if not server.known_hosts.exists() or server.known_hosts.read_text() != text:
        server.known_hosts.write_text(text)
