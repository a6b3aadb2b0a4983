"""The checks of docker-bench: what each one looks at, and what a score is made of."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import pytest

from tests.audit.docker_bench import score
from tests.audit.docker_checks import judge
from tests.audit.docker_facts import Facts, File, parse_stats

CONTAINER: dict[str, Any] = {
    "Name": "/good",
    "AppArmorProfile": "docker-default",
    "Config": {"User": "999:999"},
    "State": {"Health": {"Status": "healthy"}},
    "Mounts": [{"Source": "/opt/somos/redis", "RW": False, "Propagation": "rprivate"}],
    "NetworkSettings": {"Ports": {"6379/tcp": None}},
    "HostConfig": {
        "CapAdd": None,
        "CgroupParent": "",
        "CpuShares": 512,
        "IpcMode": "private",
        "Memory": 1 << 28,
        "NanoCpus": 0,
        "NetworkMode": "somos_internal",
        "PidMode": "",
        "PidsLimit": 100,
        "Privileged": False,
        "ReadonlyRootfs": True,
        "RestartPolicy": {"Name": "always", "MaximumRetryCount": 0},
        "SecurityOpt": ["no-new-privileges:true"],
        "UTSMode": "",
        "UsernsMode": "",
    },
}
GOOD = Facts(
    containers=[CONTAINER],
    images=[{"Id": "sha256:1", "RepoTags": ["x:1"], "Config": {"Healthcheck": {"Test": ["CMD", "true"]}}}],
    info={
        "Driver": "overlay2",
        "LiveRestoreEnabled": True,
        "LoggingDriver": "local",
        "Swarm": {"LocalNodeState": "inactive"},
    },
    daemon={"icc": False, "no-new-privileges": True, "userland-proxy": False, "userns-remap": "default"},
    argv=["/usr/sbin/dockerd", "-H", "fd://", "--authorization-plugin=x"],
    files={
        "/usr/lib/systemd/system/docker.service": File(0o644, "root:root"),
        "/run/docker.sock": File(0o660, "root:docker"),
    },
    audit_rules="-w /usr/lib/systemd/system/docker.service\n-w /usr/bin/dockerd\n-w /run/containerd",
    data_on_own_mount=True,
    content_trust=True,
)


def with_container(section: str | None, **changes: Any) -> Facts:
    container = copy.deepcopy(CONTAINER)
    (container[section] if section else container).update(changes)
    return replace(GOOD, containers=[CONTAINER, container | {"Name": "/bad"}])


def warnings(facts: Facts) -> set[str]:
    return set(score(facts)["warn"])


def test_a_server_without_fault_gets_a_point_for_each_check_that_applies() -> None:
    found = score(GOOD)
    assert found["warn"] == {}
    assert found["score"] == len(found["pass"])
    assert "3.9" not in found["pass"] and "1.1.6" in found["not applicable"]


def test_a_warning_costs_the_point_and_another_one() -> None:
    assert score(replace(GOOD, content_trust=False))["score"] == score(GOOD)["score"] - 2


@pytest.mark.parametrize(
    ("number", "section", "changes"),
    [
        ("4.1", "Config", {"User": ""}),
        ("4.1", "Config", {"User": "0:0"}),
        ("4.1", "Config", {"User": "root"}),
        ("5.2", None, {"AppArmorProfile": "unconfined"}),
        ("5.2", None, {"AppArmorProfile": ""}),
        ("5.3", "HostConfig", {"SecurityOpt": None}),
        ("5.4", "HostConfig", {"CapAdd": ["CAP_NET_ADMIN"]}),
        ("5.5", "HostConfig", {"Privileged": True}),
        ("5.6", None, {"Mounts": [{"Source": "/etc", "RW": True}]}),
        ("5.10", "HostConfig", {"NetworkMode": "host"}),
        ("5.11", "HostConfig", {"Memory": 0}),
        ("5.12", "HostConfig", {"CpuShares": 0}),
        ("5.13", "HostConfig", {"ReadonlyRootfs": False}),
        ("5.15", "HostConfig", {"RestartPolicy": {"Name": "on-failure", "MaximumRetryCount": 6}}),
        ("5.16", "HostConfig", {"PidMode": "host"}),
        ("5.17", "HostConfig", {"IpcMode": "host"}),
        ("5.20", None, {"Mounts": [{"Source": "/data", "RW": True, "Propagation": "rshared"}]}),
        ("5.21", "HostConfig", {"UTSMode": "host"}),
        ("5.22", "HostConfig", {"SecurityOpt": ["seccomp:unconfined"]}),
        ("5.25", "HostConfig", {"CgroupParent": "/elsewhere"}),
        ("5.27", None, {"State": {}}),
        ("5.29", "HostConfig", {"PidsLimit": None}),
        ("5.29", "HostConfig", {"PidsLimit": -1}),
        ("5.31", "HostConfig", {"UsernsMode": "host"}),
        ("5.32", None, {"Mounts": [{"Source": "/run/docker.sock", "RW": False}]}),
    ],
)
def test_a_container_that_breaks_a_check_is_named(number: str, section: str | None, changes: dict[str, Any]) -> None:
    wrong = score(with_container(section, **changes))["warn"]
    assert set(wrong) == {number}
    assert [words.partition(":")[0] for words in wrong[number]] == ["bad"]


@pytest.mark.parametrize(
    ("number", "daemon"),
    [
        ("2.2", {"icc": True}),
        ("2.3", {"log-level": "debug"}),
        ("2.4", {"iptables": False}),
        ("2.5", {"insecure-registries": ["x:5000"]}),
        ("2.7", {"hosts": ["tcp://127.0.0.1:2375"]}),
        ("2.9", {"userns-remap": ""}),
        ("2.10", {"cgroup-parent": "/x"}),
        ("2.11", {"storage-opts": ["dm.basesize=20G"]}),
        ("2.16", {"userland-proxy": True}),
    ],
)
def test_a_setting_of_the_engine_that_breaks_a_check_is_seen(number: str, daemon: dict[str, Any]) -> None:
    assert warnings(replace(GOOD, daemon=GOOD.daemon | daemon)) == {number}


def test_privileges_that_the_engine_restricts_need_no_word_in_the_container() -> None:
    silent = with_container("HostConfig", SecurityOpt=["label=disable"])
    assert warnings(silent) == set()
    assert warnings(replace(silent, daemon=silent.daemon | {"no-new-privileges": False})) == {"2.14", "5.26"}


def test_the_command_line_of_the_engine_outranks_its_file() -> None:
    assert warnings(replace(GOOD, argv=[*GOOD.argv, "--icc=true", "--userland-proxy"])) == {"2.2", "2.16"}
    assert warnings(replace(GOOD, argv=[*GOOD.argv, "--icc=true", "--icc=false"])) == set()


@pytest.mark.parametrize(
    ("key", "value", "number"),
    [("LoggingDriver", "json-file", "2.13"), ("LiveRestoreEnabled", False, "2.15"), ("Driver", "aufs", "2.6")],
)
def test_what_the_engine_says_of_itself_counts(key: str, value: object, number: str) -> None:
    assert warnings(replace(GOOD, info=GOOD.info | {key: value})) == {number}


@pytest.mark.parametrize(
    ("bound", "numbers"),
    [
        ({"HostIp": "::", "HostPort": "443"}, {"5.8", "5.9", "5.14"}),
        ({"HostIp": "127.0.0.1", "HostPort": "6379"}, {"5.9"}),
    ],
)
def test_published_ports_are_judged_by_address_and_number(bound: dict[str, str], numbers: set[str]) -> None:
    assert warnings(with_container(None, NetworkSettings={"Ports": {"443/tcp": [bound]}})) == numbers


def test_an_image_without_a_health_check_is_named() -> None:
    images = [*GOOD.images, {"Id": "sha256:2", "RepoTags": [], "Config": {}}]
    assert score(replace(GOOD, images=images))["warn"] == {"4.6": ["sha256:2"]}


def test_an_ssh_daemon_in_a_container_is_found() -> None:
    assert warnings(replace(GOOD, processes={"good": "PID COMMAND\n7 sshd: /usr/sbin/sshd -D"})) == {"5.7"}


def test_files_are_judged_by_owner_and_by_every_bit_of_their_mode() -> None:
    files = GOOD.files | {
        "/usr/lib/systemd/system/docker.service": File(0o466, "root:root"),
        "/run/docker.sock": File(0o660, "root:root"),
    }
    assert warnings(replace(GOOD, files=files)) == {"3.2", "3.15"}


def test_only_rules_that_are_in_force_count_as_auditing() -> None:
    commented = "\n".join(f"# {rule}" for rule in GOOD.audit_rules.splitlines())
    assert warnings(replace(GOOD, audit_rules=commented)) == {"1.1.3", "1.1.4", "1.1.7"}


def test_without_containers_their_section_is_silent() -> None:
    assert not [number for number in judge(replace(GOOD, containers=[])) if number.startswith("5.")]


def test_stat_s_lines_are_read_from_the_right() -> None:
    assert parse_stats("/etc/docker 755 root:root\n/a b 4755 root:docker\n") == {
        "/etc/docker": File(0o755, "root:root"),
        "/a b": File(0o4755, "root:docker"),
    }
