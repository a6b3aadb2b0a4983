"""What counts as exposed, and how badly."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from tests.audit.exposure import CRITICAL, HOST, MEDIUM, beyond, declared, floats, loose_mounts, of_container, seen

CONTAINER: dict[str, Any] = {
    "Name": "/good",
    "Config": {"User": "999:999", "Image": "r.test:5000/redis:8.2", "Env": ["POSTGRES_PASSWORD_FILE=/run/secrets/x"]},
    "Mounts": [],
    "HostConfig": {
        "CapAdd": None,
        "CapDrop": ["ALL"],
        "Memory": 1 << 28,
        "PidsLimit": 100,
        "Privileged": False,
        "ReadonlyRootfs": True,
        "SecurityOpt": ["no-new-privileges:true"],
    },
}
STATUS = "Name:\tredis\nCapInh:\t0000000000000000\nCapEff:\t{0:016x}\nCapBnd:\t{0:016x}\nCapAmb:\t0000000000000000\n"


def changed(section: str | None, **changes: Any) -> dict[str, Any]:
    container = copy.deepcopy(CONTAINER)
    (container[section] if section else container).update(changes)
    return container


def test_a_container_that_holds_nothing_back_has_no_finding() -> None:
    assert of_container(CONTAINER) == []


@pytest.mark.parametrize(
    ("section", "changes", "severity", "words"),
    [
        ("HostConfig", {"Privileged": True}, CRITICAL, "is privileged"),
        (None, {"Mounts": [{"Source": "/var/run/docker.sock"}]}, CRITICAL, "can talk to the engine"),
        ("HostConfig", {"SecurityOpt": ["no-new-privileges", "seccomp=unconfined"]}, CRITICAL, "has no seccomp filter"),
        ("Config", {"User": ""}, MEDIUM, "runs as root"),
        ("HostConfig", {"Memory": 0}, MEDIUM, "has no memory limit"),
        ("HostConfig", {"PidsLimit": None}, MEDIUM, "has no limit of processes"),
        ("HostConfig", {"SecurityOpt": ["no-new-privileges:false"]}, MEDIUM, "may gain privileges"),
        ("HostConfig", {"CapDrop": ["NET_RAW"]}, MEDIUM, "keeps Docker's default capabilities"),
        ("HostConfig", {"ReadonlyRootfs": False}, MEDIUM, "can write to its root file system"),
        ("Config", {"Image": "redis:latest"}, MEDIUM, "runs a floating image, redis:latest"),
        ("Config", {"Env": ["MINIO_ROOT_PASSWORD=hunter2"]}, CRITICAL, "docker inspect shows MINIO_ROOT_PASSWORD"),
        ("Config", {"Env": ["SECRET_KEY=a=b"]}, CRITICAL, "docker inspect shows SECRET_KEY"),
    ],
)
def test_what_a_container_has_too_much_is_one_finding(
    section: str | None, changes: dict[str, Any], severity: str, words: str
) -> None:
    findings = of_container(changed(section, **changes))
    assert [(finding.severity, finding.where, finding.what) for finding in findings] == [(severity, "good", words)]


@pytest.mark.parametrize("variable", ["PASSWORD_FILE=/run/x", "TOKEN=", "REQUIRE_PASSWORD=true", "TOKEN_SECONDS=60"])
def test_a_path_a_switch_or_a_number_is_no_secret(variable: str) -> None:
    assert of_container(changed("Config", Env=[variable])) == []


def test_a_secret_s_value_is_found_wherever_it_stands_and_called_by_its_name() -> None:
    found = seen(
        "an argument of a process is", {HOST: "redis-cli -a s3cr3t ping"}, {"redis_password": "s3cr3t", "b": "x1"}
    )
    assert [(finding.severity, finding.what) for finding in found] == [
        (CRITICAL, "an argument of a process is redis_password")
    ]
    assert "s3cr3t" not in repr(found)


@pytest.mark.parametrize(
    ("image", "answer"),
    [
        ("redis", True),
        ("r.test:5000/redis", True),
        ("redis:latest", True),
        ("redis:8.2.3", False),
        ("r.test:5000/redis@sha256:0f", False),
    ],
)
def test_an_image_floats_without_a_tag_that_means_one_release(image: str, answer: bool) -> None:
    assert floats(image) is answer


def test_capabilities_beyond_the_given_ones_are_named() -> None:
    given = declared({"CapDrop": ["ALL"], "CapAdd": ["CAP_CHOWN", "NET_BIND_SERVICE"]})
    assert given == {"CHOWN", "NET_BIND_SERVICE"}
    assert beyond("x", STATUS.format(1 << 0 | 1 << 10), given) == []
    assert "SYS_ADMIN" in beyond("x", STATUS.format(1 << 0 | 1 << 21), given)[0].what


def test_a_container_that_drops_nothing_was_given_docker_s_own() -> None:
    assert {"CHOWN", "NET_RAW"} < declared({"CapDrop": None, "CapAdd": None})


def test_a_memory_file_system_that_runs_programs_is_found_and_docker_s_own_is_not() -> None:
    mounts = (
        "tmpfs /dev tmpfs rw,nosuid,size=65536k,mode=755 0 0\n"
        "tmpfs /proc/keys tmpfs rw,nosuid,size=65536k 0 0\n"
        "tmpfs /sys/firmware tmpfs ro,relatime 0 0\n"
        "tmpfs /run tmpfs rw,nosuid,nodev,noexec,relatime 0 0\n"
        "tmpfs /tmp tmpfs rw,nosuid,nodev,relatime 0 0\n"
    )
    assert [finding.what for finding in loose_mounts("x", mounts)] == ["mounts /tmp without noexec"]
