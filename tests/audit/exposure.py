"""Secrets that more than their owner can see, and containers that may do more than they need.

Critical is what gives a stranger on the server, or whoever may call `docker inspect`, a secret or the host itself.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import asdict, dataclass
from typing import Any

from tests.host.names import SECRETS

from .docker_checks import DEFAULT_CAPABILITIES
from .docker_facts import INSPECT, name_of
from .report import Figure, Measured
from .servers import Audited

CRITICAL, MEDIUM = "critical", "medium"
HOST = "(host)"
# Where roles, packages and people leave files. The data of the services are in Docker's volumes, for root alone.
FOLDERS = "/etc /home /opt /root /srv /tmp /usr/local /var/backups /var/cache /var/lib/somos /var/log /var/tmp"
NOBODY = "setpriv --reuid=65534 --regid=65534 --clear-groups"
SECRET_NAME = re.compile(r"(?i)(password|passwd|secret|token|api_?key|access_?key|private_?key)")
# A path, a switch or a number is no secret, whatever the variable is called.
NO_SECRET = re.compile(r"(?i)^(|/.*|true|false|on|off|yes|no|\d+)$")
# Of linux/capability.h, by their numbers.
CAPABILITIES = (
    *("CHOWN", "DAC_OVERRIDE", "DAC_READ_SEARCH", "FOWNER", "FSETID", "KILL", "SETGID", "SETUID", "SETPCAP"),
    *("LINUX_IMMUTABLE", "NET_BIND_SERVICE", "NET_BROADCAST", "NET_ADMIN", "NET_RAW", "IPC_LOCK", "IPC_OWNER"),
    *("SYS_MODULE", "SYS_RAWIO", "SYS_CHROOT", "SYS_PTRACE", "SYS_PACCT", "SYS_ADMIN", "SYS_BOOT", "SYS_NICE"),
    *("SYS_RESOURCE", "SYS_TIME", "SYS_TTY_CONFIG", "MKNOD", "LEASE", "AUDIT_WRITE", "AUDIT_CONTROL", "SETFCAP"),
    *("MAC_OVERRIDE", "MAC_ADMIN", "SYSLOG", "WAKE_ALARM", "BLOCK_SUSPEND", "AUDIT_READ", "PERFMON", "BPF"),
    "CHECKPOINT_RESTORE",
)


@dataclass(frozen=True)
class Finding:
    severity: str
    where: str  # a container, or the host
    what: str


def measure(server: Audited) -> Measured:
    secrets = json.loads(SECRETS.read_text())
    containers = json.loads(server.run(INSPECT.format("docker ps --all --quiet")) or "[]")
    findings = [
        *seen("docker inspect shows", {name_of(each): json.dumps(each) for each in containers}, secrets),
        *seen("an argument of a process is", {HOST: server.run("ps -ww -eo args")}, secrets),
        *readable(server, secrets),
        *(finding for each in containers for finding in of_container(each)),
        *(finding for each in containers if each["State"]["Running"] for finding in of_processes(server, each)),
    ]
    by_container = Counter(finding.where for finding in findings if finding.where != HOST)
    critical = sum(finding.severity == CRITICAL for finding in findings)
    figures = [
        Figure(server.name, "exposure", "critical findings", critical, "<=", 0),
        Figure(
            server.name, "exposure", "findings, most of one container", max(by_container.values(), default=0), "<=", 1
        ),
        Figure(server.name, "exposure", "findings", len(findings)),
    ]
    return Measured(figures, [asdict(finding) for finding in findings])


def seen(words: str, texts: dict[str, str], secrets: dict[str, str]) -> list[Finding]:
    """The secrets, by their names, that a text holds."""
    return [
        Finding(CRITICAL, where, f"{words} {name}")
        for where, text in texts.items()
        for name, value in secrets.items()
        if value in text
    ]


def readable(server: Audited, secrets: dict[str, str]) -> list[Finding]:
    """Files that hold a secret and that an account without any rights can open. The values travel by standard input."""
    holders = server.run(f"grep -rlsFf - {FOLDERS}", stdin="\n".join(secrets.values()), check=False)
    script = f'while read -r path; do {NOBODY} test -r "$path" && echo "$path"; done; true'
    return [
        Finding(CRITICAL, HOST, f"anybody can read {path}, which holds a secret")
        for path in server.run(script, stdin=holders).splitlines()
    ]


def of_container(container: dict[str, Any]) -> list[Finding]:
    """What its configuration gives it."""
    host, config, name = container["HostConfig"], container["Config"], name_of(container)
    options = " ".join(host["SecurityOpt"] or [])
    wrong = {
        "is privileged": (CRITICAL, host["Privileged"]),
        "can talk to the engine": (CRITICAL, any("docker.sock" in mount["Source"] for mount in container["Mounts"])),
        "has no seccomp filter": (CRITICAL, re.search("seccomp[=:]unconfined", options)),
        "runs as root": (MEDIUM, (config["User"] or "0").partition(":")[0] in ("0", "root")),
        "has no memory limit": (MEDIUM, not host["Memory"]),
        "has no limit of processes": (MEDIUM, (host["PidsLimit"] or 0) <= 0),
        "may gain privileges": (MEDIUM, not re.search(r"no-new-privileges(?![=:]false)", options)),
        "keeps Docker's default capabilities": (MEDIUM, "ALL" not in (host["CapDrop"] or [])),
        "can write to its root file system": (MEDIUM, not host["ReadonlyRootfs"]),
        f"runs a floating image, {config['Image']}": (MEDIUM, floats(config["Image"])),
    }
    named = [entry.partition("=")[::2] for entry in config["Env"] or []]
    return [
        *(Finding(severity, name, what) for what, (severity, holds) in wrong.items() if holds),
        *(
            Finding(CRITICAL, name, f"docker inspect shows {variable}")
            for variable, value in named
            if SECRET_NAME.search(variable) and not NO_SECRET.match(value)
        ),
    ]


def floats(image: str) -> bool:
    tag = image.rpartition("/")[2].partition(":")[2]
    return "@sha256:" not in image and tag in ("", "latest", "stable", "edge", "main")


def of_processes(server: Audited, container: dict[str, Any]) -> list[Finding]:
    """What its processes really have, whatever was configured."""
    script = f"for pid in $(docker top {container['Id']} -eo pid | tail -n +2); do cat /proc/$pid/status; done; true"
    mounts = server.run(f"cat /proc/{container['State']['Pid']}/mounts")
    return [
        *beyond(name_of(container), server.run(script), declared(container["HostConfig"])),
        *loose_mounts(name_of(container), mounts),
    ]


def declared(host: dict[str, Any]) -> set[str]:
    added = {capability.upper().removeprefix("CAP_") for capability in host["CapAdd"] or []}
    return added | (set() if "ALL" in (host["CapDrop"] or []) else DEFAULT_CAPABILITIES)


def beyond(name: str, status: str, allowed: set[str]) -> list[Finding]:
    """Capabilities that a process has, or may get, and that its container was not given."""
    masks = [int(mask, 16) for mask in re.findall(r"^Cap(?:Eff|Prm|Bnd|Amb):\s*([0-9a-f]+)$", status, re.MULTILINE)]
    held = {capability for number, capability in enumerate(CAPABILITIES) if any(mask >> number & 1 for mask in masks)}
    extra = " ".join(sorted(held - allowed))
    return [Finding(MEDIUM, name, f"has capabilities beyond those it was given: {extra}")] if extra else []


def loose_mounts(name: str, mounts: str) -> list[Finding]:
    """Memory file systems from which a program, or a set-uid bit, would count. Docker's own below /proc mask files."""
    found = []
    for line in mounts.splitlines():
        _, path, kind, options, *_ = line.split()
        missing = {"noexec", "nosuid"} - set(options.split(","))
        own = path == "/dev" or path.startswith("/proc/")
        if kind == "tmpfs" and not own and "rw" in options.split(",") and missing:
            found.append(Finding(MEDIUM, name, f"mounts {path} without {' '.join(sorted(missing))}"))
    return found
