"""The scored checks of docker-bench-security 1.6, by the numbers of the CIS Docker Benchmark, written anew.

Each looks at the facts and returns what is wrong, nothing when all is well, or None when there is nothing to judge.
Its checks that carry no score (notes, manual ones) are left out: they change neither score nor warnings.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from ipaddress import IPv4Address, IPv6Address
from typing import Any

from .docker_facts import Facts, name_of

Check = Callable[[Facts], list[str] | None]
Container = dict[str, Any]

# What Docker itself leaves a container: adding one of these is no more than the default.
DEFAULT_CAPABILITIES = {
    *("AUDIT_WRITE", "CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "MKNOD", "NET_BIND_SERVICE", "NET_RAW"),
    *("SETFCAP", "SETGID", "SETPCAP", "SETUID", "SYS_CHROOT"),
}
EVERYWHERE = {str(IPv4Address(0)), str(IPv6Address(0))}
SENSITIVE = {"/", "/boot", "/dev", "/etc", "/lib", "/proc", "/sys", "/usr"}
AUDITED = {
    "1.1.3": "/usr/bin/dockerd",
    "1.1.4": "/run/containerd",
    "1.1.5": "/var/lib/docker",
    "1.1.6": "/etc/docker",
    "1.1.7": "docker.service",
    "1.1.8": "/run/containerd/containerd.sock",
    "1.1.9": "docker.socket",
    "1.1.10": "/etc/default/docker",
    "1.1.11": "/etc/docker/daemon.json",
    "1.1.12": "/etc/containerd/config.toml",
    "1.1.13": "/etc/sysconfig/docker",
    "1.1.14": "/usr/bin/containerd",
    "1.1.15": "/usr/bin/containerd-shim",
    "1.1.16": "/usr/bin/containerd-shim-runc-v1",
    "1.1.17": "/usr/bin/containerd-shim-runc-v2",
    "1.1.18": "/usr/bin/runc",
}
# Number of the check of the owner, and of the mode after it: file, owner, the most that the mode may grant.
PERMISSIONS = {
    ("3.1", "3.2"): ("docker.service", "root:root", 0o644),
    ("3.3", "3.4"): ("docker.socket", "root:root", 0o644),
    ("3.5", "3.6"): ("/etc/docker", "root:root", 0o755),
    ("3.15", "3.16"): ("/run/docker.sock", "root:docker", 0o660),
    ("3.17", "3.18"): ("/etc/docker/daemon.json", "root:root", 0o644),
    ("3.19", "3.20"): ("/etc/default/docker", "root:root", 0o644),
    ("3.22", "3.21"): ("/etc/sysconfig/docker", "root:root", 0o644),
    ("3.23", "3.24"): ("/run/containerd/containerd.sock", "root:root", 0o660),
}


def judge(facts: Facts) -> dict[str, list[str] | None]:
    """Number → what is wrong. Without a container its section says nothing, as upstream's does."""
    checks = {number: check for number, check in CHECKS.items() if facts.containers or number.partition(".")[0] != "5"}
    return {number: check(facts) for number, check in checks.items()}


def path_of(facts: Facts, name: str) -> str | None:
    """Of a file that is there; a bare name is that of a unit."""
    if name.startswith("/"):
        return name if name in facts.files else None
    return facts.unit(name)


def audited(name: str) -> Check:
    def check(facts: Facts) -> list[str] | None:
        # Upstream wants a rule for these two whether or not they are there.
        path = name if name in ("/usr/bin/dockerd", "/run/containerd") else path_of(facts, name)
        if path is None:
            return None
        rules = [line for line in facts.audit_rules.splitlines() if not line.lstrip().startswith(("#", ";"))]
        return [] if any(path in rule for rule in rules) else [f"no audit rule watches {path}"]

    return check


def owned(name: str, owner: str) -> Check:
    def check(facts: Facts) -> list[str] | None:
        path = path_of(facts, name)
        if path is None:
            return None
        found = facts.files[path].owner
        return [] if found == owner else [f"{path} belongs to {found}"]

    return check


def granted(name: str, most: int) -> Check:
    def check(facts: Facts) -> list[str] | None:
        path = path_of(facts, name)
        if path is None:
            return None
        mode = facts.files[path].mode
        return [f"{path} has mode {mode:04o}"] if mode & ~most else []

    return check


def setting(words: str, test: Callable[[Facts], bool]) -> Check:
    return lambda facts: [] if test(facts) else [words]


def each(test: Callable[[Container], object]) -> Check:
    """Names the containers of which the test holds; what else it returns than True is said of them."""

    def check(facts: Facts) -> list[str]:
        return [
            name_of(container) + ("" if found is True else f": {found}")
            for container in facts.containers
            if (found := test(container))
        ]

    return check


def host(key: str, value: str) -> Check:
    return each(lambda container: container["HostConfig"].get(key) == value)


def bindings(container: Container) -> Iterator[dict[str, str]]:
    for published in (container["NetworkSettings"]["Ports"] or {}).values():
        yield from published or []


def added_capabilities(container: Container) -> str:
    added = {capability.upper().removeprefix("CAP_") for capability in container["HostConfig"]["CapAdd"] or []}
    return " ".join(sorted(added - DEFAULT_CAPABILITIES))


def options(container: Container) -> str:
    return " ".join(container["HostConfig"]["SecurityOpt"] or [])


def health_of_images(facts: Facts) -> list[str]:
    silent = [image for image in facts.images if not image["Config"].get("Healthcheck")]
    return [" ".join(image.get("RepoTags") or [image["Id"]]) for image in silent]


def ssh_daemons(facts: Facts) -> list[str]:
    return [name for name, processes in facts.processes.items() if re.search(r"\bsshd\b", processes)]


def new_privileges(facts: Facts) -> list[str] | None:
    if facts.option("no-new-privileges") == "true":
        return []
    return each(lambda container: "no-new-privileges" not in options(container))(facts)


def tcp_sockets(facts: Facts) -> list[str] | None:
    hosts = [word for word in [*facts.argv, *facts.daemon.get("hosts", [])] if "tcp://" in word]
    if not hosts:
        return None
    return [] if facts.option("tlsverify") == "true" else hosts


def no_swarm(facts: Facts) -> list[str]:
    state = facts.info["Swarm"]["LocalNodeState"]
    return [] if state == "inactive" else [f"swarm is {state}, which these checks do not judge"]


CHECKS: dict[str, Check] = {
    "1.1.1": setting("Docker's data share a file system with the rest", lambda facts: facts.data_on_own_mount),
    **{number: audited(name) for number, name in AUDITED.items()},
    "2.2": setting("icc is on", lambda facts: facts.option("icc") == "false"),
    "2.3": setting("log-level is not info", lambda facts: facts.option("log-level").strip('"') in ("", "info")),
    "2.4": setting("iptables is off", lambda facts: facts.option("iptables") != "false"),
    "2.5": setting(
        "there are insecure registries", lambda facts: not facts.option("insecure-registries", "insecure-registry")
    ),
    "2.6": setting("the storage driver is aufs", lambda facts: facts.info["Driver"] != "aufs"),
    "2.7": tcp_sockets,
    "2.9": setting("userns-remap is off", lambda facts: bool(facts.option("userns-remap"))),
    "2.10": setting("cgroup-parent is set", lambda facts: not facts.option("cgroup-parent")),
    "2.11": setting(
        "dm.basesize is set", lambda facts: "dm.basesize" not in facts.option("storage-opts", "storage-opt")
    ),
    "2.12": setting(
        "no authorization plugin", lambda facts: bool(facts.option("authorization-plugins", "authorization-plugin"))
    ),
    "2.13": setting("the log driver is json-file", lambda facts: facts.info["LoggingDriver"] != "json-file"),
    "2.14": setting("no-new-privileges is off", lambda facts: facts.option("no-new-privileges") == "true"),
    "2.15": setting("live-restore is off", lambda facts: facts.info["LiveRestoreEnabled"]),
    "2.16": setting("userland-proxy is on", lambda facts: facts.option("userland-proxy") == "false"),
    **{numbers[0]: owned(name, owner) for numbers, (name, owner, _) in PERMISSIONS.items()},
    **{numbers[1]: granted(name, most) for numbers, (name, _, most) in PERMISSIONS.items()},
    "4.1": each(lambda container: (container["Config"]["User"] or "0").partition(":")[0] in ("0", "root")),
    "4.5": setting("DOCKER_CONTENT_TRUST is not 1 in /etc/environment", lambda facts: facts.content_trust),
    "4.6": health_of_images,
    "5.1": no_swarm,
    "5.2": each(lambda container: container["AppArmorProfile"] in ("", "unconfined")),
    "5.3": each(lambda container: not options(container)),
    "5.4": each(added_capabilities),
    "5.5": each(lambda container: container["HostConfig"]["Privileged"]),
    "5.6": each(
        lambda container: " ".join(
            mount["Source"] for mount in container["Mounts"] if mount["RW"] and mount["Source"] in SENSITIVE
        )
    ),
    "5.7": ssh_daemons,
    "5.8": each(lambda container: " ".join({b["HostPort"] for b in bindings(container) if int(b["HostPort"]) < 1025})),
    "5.9": each(lambda container: " ".join({b["HostPort"] for b in bindings(container)})),
    "5.10": host("NetworkMode", "host"),
    "5.11": each(lambda container: container["HostConfig"]["Memory"] == 0),
    "5.12": each(lambda container: not (container["HostConfig"]["CpuShares"] or container["HostConfig"]["NanoCpus"])),
    "5.13": each(lambda container: not container["HostConfig"]["ReadonlyRootfs"]),
    "5.14": each(lambda container: any(binding["HostIp"] in EVERYWHERE for binding in bindings(container))),
    "5.15": each(lambda container: container["HostConfig"]["RestartPolicy"]["MaximumRetryCount"] > 5),
    "5.16": host("PidMode", "host"),
    "5.17": host("IpcMode", "host"),
    "5.20": each(lambda container: any("shared" in mount.get("Propagation", "") for mount in container["Mounts"])),
    "5.21": host("UTSMode", "host"),
    "5.22": each(lambda container: "seccomp=unconfined" in options(container).replace("seccomp:", "seccomp=")),
    "5.25": each(lambda container: container["HostConfig"]["CgroupParent"]),
    "5.26": new_privileges,
    "5.27": each(lambda container: "Health" not in container["State"]),
    "5.29": each(lambda container: (container["HostConfig"]["PidsLimit"] or 0) <= 0),
    "5.31": host("UsernsMode", "host"),
    "5.32": each(lambda container: any("docker.sock" in mount["Source"] for mount in container["Mounts"])),
    **dict.fromkeys(("7.1", "7.2", "7.3", "7.5"), no_swarm),
}
