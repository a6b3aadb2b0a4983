"""The weekly removal of images, on an engine that has what a server has after some releases."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from testinfra.host import Host

PRUNE = "/usr/local/lib/somos/docker-prune"
NEEDED = [
    "somos-test/app:2222222",
    "somos-test/app:3333333",
    "somos-test/idle:1",
    "somos-test/named:1",
    "somos-test/keep:1",
]
OLD = ["somos-test/app:1111111", "somos-test/forgotten:1"]

COMPOSE = """
services:
  named: {image: "somos-test/named:1", profiles: [jobs]}
"""


@pytest.fixture(scope="module")
def server(host: Host) -> Iterator[Host]:
    """Two releases that may come back, one that is older, a stopped container, and a project."""
    for name in [*NEEDED, *OLD]:
        # Images of one file each, all different.
        host.check_output(
            "mkdir -p /run/image && echo %s > /run/image/name && tar -C /run/image -c name | docker import - %s",
            name,
            name,
        )
    host.check_output("docker create --name idle somos-test/idle:1 /name")
    host.check_output("mkdir -p /opt/somos/releases")
    host.check_output("echo 3333333 > /opt/somos/releases/current; echo 2222222 > /opt/somos/releases/previous")
    host.check_output("printf %s > /opt/somos/compose.yml", COMPOSE)
    yield host
    host.run("cp -p /run/docker-prune.json /etc/somos/")
    host.run("docker rm idle; docker image prune --all --force; rm -rf /opt/somos /run/image")


def images(host: Host) -> set[str]:
    return set(host.check_output("docker image ls --format '{{.Repository}}:{{.Tag}}'").split())


def test_young_images_stay_whether_they_are_needed_or_not(server: Host) -> None:
    server.check_output("systemctl start somos-docker-prune.service")
    assert images(server) == {*NEEDED, *OLD}


def test_a_dry_run_removes_nothing(server: Host) -> None:
    said = server.check_output(f"{PRUNE} --dry-run --min-age-hours 0").splitlines()
    assert {line for line in said if line.startswith("would")} == {f"would remove {name}" for name in OLD}
    assert images(server) == {*NEEDED, *OLD}


def test_what_nothing_needs_goes_and_a_release_that_may_come_back_stays(server: Host) -> None:
    # The service itself, with everything that it may not do, and an age that lets images of today go.
    server.check_output("cp -p /etc/somos/docker-prune.json /run/ && sed -i s/168/0/ /etc/somos/docker-prune.json")
    server.check_output("systemctl start somos-docker-prune.service")
    assert images(server) == set(NEEDED)


def test_the_second_time_there_is_nothing_to_do(server: Host) -> None:
    assert "remove" not in server.check_output(f"{PRUNE} --min-age-hours 0")
    assert images(server) == set(NEEDED)


def test_it_runs_every_week_and_catches_up(server: Host) -> None:
    assert server.service("somos-docker-prune.timer").is_enabled
    assert server.service("somos-docker-prune.timer").is_running
    shown = server.check_output(
        "systemctl show --property=Persistent,RandomizedDelayUSec,Unit somos-docker-prune.timer"
    )
    assert {"Persistent=yes", "RandomizedDelayUSec=1h", "Unit=somos-docker-prune.service"} <= set(shown.split())


def test_the_service_has_little_to_be_misused_for(server: Host) -> None:
    score = server.check_output("systemd-analyze security --no-pager somos-docker-prune.service | tail -1")
    assert float(score.split(":")[1].split()[0]) < 3.0, score
