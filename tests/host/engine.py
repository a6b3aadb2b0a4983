"""A Docker engine that answers: the machine's own where there is one, else Debian's, started here."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from .names import ENGINE_LOG
from .shell import HostError, as_root, run, say, step, wait_until

# Everything that is run on the machine itself to make the test world, and the package it comes from.
TOOLS = {
    "mmdebstrap": "mmdebstrap",
    "openssl": "openssl",
    "ssh": "openssh-client",
    "ssh-keygen": "openssh-client",
}
KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
PID_FILES = {
    "dockerd": Path("/var/run/docker.pid"),
    "containerd": Path("/var/run/docker/containerd/containerd.pid"),
}


def answers() -> bool:
    return shutil.which("docker") is not None and run(["docker", "info"], check=False).returncode == 0


def ensure_engine() -> None:
    packages = missing_packages()
    if answers() and not packages:
        return
    if packages:
        with step(f"Installing {' '.join(packages)}"):
            install(packages)
    if answers():
        return
    with step("Starting the Docker engine"):
        start()


def missing_packages() -> list[str]:
    packages = {package for tool, package in TOOLS.items() if shutil.which(tool) is None}
    if not KEYRING.exists():
        packages.add("debian-archive-keyring")
    if not answers() and shutil.which("dockerd") is None:
        packages |= {"docker.io", "iptables"}
    if shutil.which("docker") is None:
        # Debian 13 has the client in a package of its own, earlier releases within docker.io.
        packages.add("docker-cli" if known_to_apt("docker-cli") else "docker.io")
    return sorted(packages)


def known_to_apt(package: str) -> bool:
    return shutil.which("apt-cache") is not None and run(["apt-cache", "show", package], check=False).returncode == 0


def install(packages: list[str]) -> None:
    if shutil.which("apt-get") is None:
        raise HostError(f"missing on this machine: {' '.join(packages)}. Without apt-get, please install them yourself")
    apt = [*as_root(), "env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "--quiet"]
    run([*apt, "update"])
    run([*apt, "install", "--yes", "--no-install-recommends", *packages])


def start() -> None:
    if Path("/run/systemd/system").is_dir():
        run([*as_root(), "systemctl", "start", "docker"])
        wait_until(answers, seconds=30, what="the Docker engine answers (see `journalctl -u docker`)")
        return
    if os.geteuid() != 0:
        raise HostError("no Docker engine answers. Start it, or run this as root")
    for program, pid_file in PID_FILES.items():
        remove_stale(pid_file, program)
    if PID_FILES["dockerd"].exists():
        wait_until(answers, seconds=60, what="dockerd is running, and answers")
        return
    ENGINE_LOG.parent.mkdir(parents=True, exist_ok=True)
    with ENGINE_LOG.open("ab") as log:
        # A session of its own: the engine outlives this program.
        engine = subprocess.Popen(["dockerd"], stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
    try:
        wait_until(lambda: answers() or engine.poll() is not None, seconds=60, what="the Docker engine answers")
    except HostError as slow:
        raise HostError(f"{slow}\n{log_tail()}") from slow
    if not answers():
        raise HostError(f"dockerd ended with exit code {engine.returncode}:\n{log_tail()}")


def remove_stale(pid_file: Path, program: str) -> None:
    """A machine that was cut off leaves pid files; their numbers may belong to other programs by now."""
    if not pid_file.exists():
        return
    if not is_alive(pid_file.read_text().strip(), program):
        say(f"removing stale {pid_file}")
        pid_file.unlink()


def is_alive(pid: str, program: str) -> bool:
    status = Path(f"/proc/{pid}/status")
    if not pid.isdigit() or not status.exists():
        return False
    lines = dict(line.split(":\t", 1) for line in status.read_text().splitlines() if ":\t" in line)
    # A zombie has ended; only nobody has asked for its exit code.
    return lines["Name"] == program and not lines["State"].startswith("Z")


def log_tail() -> str:
    return "\n".join([f"--- end of {ENGINE_LOG}", *ENGINE_LOG.read_text(errors="replace").splitlines()[-20:]])
