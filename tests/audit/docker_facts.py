"""What the Docker checks look at, read from the server once."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from .servers import Audited

# Permissions are judged of these; of two places of a unit, the first that is there counts.
UNITS = ("/etc/systemd/system", "/usr/lib/systemd/system")
FILES = (
    *(f"{folder}/docker.{kind}" for folder in UNITS for kind in ("service", "socket")),
    "/etc/docker",
    "/etc/docker/daemon.json",
    "/etc/default/docker",
    "/etc/sysconfig/docker",
    "/etc/containerd/config.toml",
    "/run/docker.sock",
    "/run/containerd",
    "/run/containerd/containerd.sock",
    "/usr/bin/containerd",
    "/usr/bin/containerd-shim",
    "/usr/bin/containerd-shim-runc-v1",
    "/usr/bin/containerd-shim-runc-v2",
    "/usr/bin/dockerd",
    "/usr/bin/runc",
    "/var/lib/docker",
)
INSPECT = "{} | xargs --no-run-if-empty docker inspect"


@dataclass(frozen=True)
class File:
    mode: int
    owner: str  # user:group


@dataclass(frozen=True)
class Facts:
    """The engine's own words, unshortened; `{}` and `[]` mean that it has none."""

    containers: list[dict[str, Any]] = field(default_factory=list)
    images: list[dict[str, Any]] = field(default_factory=list)
    info: dict[str, Any] = field(default_factory=dict)
    daemon: dict[str, Any] = field(default_factory=dict)
    argv: list[str] = field(default_factory=list)
    files: dict[str, File] = field(default_factory=dict)
    processes: dict[str, str] = field(default_factory=dict)  # of each container, as `docker top` shows them
    audit_rules: str = ""
    data_on_own_mount: bool = False
    content_trust: bool = False

    def option(self, key: str, flag: str | None = None) -> str:
        """A setting of the engine: from its command line, of a repeated flag the last value, or from its file."""
        given = [word for word in self.argv if word.partition("=")[0] == f"--{flag or key}"]
        if given:
            return given[-1].partition("=")[2] or "true"
        value = self.daemon.get(key)
        if value in (None, "", [], {}):
            return ""
        return str(value).lower() if isinstance(value, bool) else json.dumps(value)

    def unit(self, name: str) -> str | None:
        return next((f"{folder}/{name}" for folder in UNITS if f"{folder}/{name}" in self.files), None)


def name_of(container: dict[str, Any]) -> str:
    return str(container["Name"]).lstrip("/")


def collect(server: Audited) -> Facts:
    containers = json.loads(server.run(INSPECT.format("docker ps --quiet")) or "[]")
    stats = server.run(f"stat --dereference --format '%n %a %U:%G' {' '.join(FILES)} 2>/dev/null", check=False)
    mounted = server.run("mountpoint -q $(docker info --format '{{.DockerRootDir}}') && echo yes", check=False)
    rules = "if command -v auditctl >/dev/null; then auditctl -l; else cat /etc/audit/audit.rules; fi 2>/dev/null"
    return Facts(
        containers=containers,
        images=json.loads(server.run(INSPECT.format("docker images --quiet | sort -u")) or "[]"),
        info=json.loads(server.run("docker info --format '{{json .}}'")),
        daemon=json.loads(server.run("cat /etc/docker/daemon.json", check=False) or "{}"),
        argv=server.run("tr '\\0' '\\n' < /proc/$(pidof dockerd)/cmdline").split("\n"),
        files=parse_stats(stats),
        processes={name_of(each): server.run(f"docker top {each['Id']} -eo pid,args") for each in containers},
        audit_rules=server.run(rules, check=False),
        data_on_own_mount=mounted.strip() == "yes",
        content_trust="DOCKER_CONTENT_TRUST=1" in server.run("cat /etc/environment", check=False),
    )


def parse_stats(lines: str) -> dict[str, File]:
    found = (line.rsplit(" ", 2) for line in lines.splitlines())
    return {path: File(int(mode, 8), owner) for path, mode, owner in found}
