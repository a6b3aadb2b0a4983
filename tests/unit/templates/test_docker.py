"""Role docker: daemon.json and the pins, for each source and engine."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from render import render_role, scenario

DAEMON = "etc/docker/daemon.json"
PINS = "etc/apt/preferences.d/docker"


def installed(**packages: str) -> dict[str, Any]:
    """What the probe would have registered."""
    rows = [{"name": name.replace("_", "."), "status": "installed", "version": v} for name, v in packages.items()]
    rows.append({"name": "docker-ce", "status": "not-installed", "version": ""})
    return {"__docker_dpkg": {"stdout": json.dumps(rows)}}


def daemon(**overrides: Any) -> dict[str, Any]:
    return dict(json.loads(render_role("docker", overrides)[DAEMON]))


def test_logs_are_rotated_and_values_have_the_types_the_engine_wants() -> None:
    given = daemon()
    assert (given["log-driver"], given["log-opts"]) == ("local", {"max-size": "10m", "max-file": "3"})
    assert given["default-ulimits"]["nofile"] == {"Name": "nofile", "Soft": 65536, "Hard": 65536}
    assert given["default-address-pools"] == [{"base": "172.20.0.0/16", "size": 24}]


def test_no_storage_driver_is_forced() -> None:
    assert "storage-driver" not in daemon()


@pytest.mark.parametrize(
    ("packages", "newer"),
    [
        ({}, set()),
        ({"docker_io": "20.10.24+dfsg1-1"}, set()),
        ({"docker_io": "26.1.5+dfsg1-9+deb13u1+b1"}, {"metrics-addr"}),
        ({"docker_io": "29.1.3-0ubuntu1~24.04.1"}, {"metrics-addr", "firewall-backend"}),
    ],
)
def test_an_engine_is_told_only_what_it_understands(packages: dict[str, str], newer: set[str]) -> None:
    assert daemon(**installed(**packages)).keys() & {"metrics-addr", "firewall-backend"} == newer


@pytest.mark.parametrize(
    ("release", "addresses", "told"),
    [
        ("26.1.5", ["fe80::1"], True),
        ("20.10.24", ["fe80::1"], False),
        ("26.1.5", [], False),
        ("29.1.3", ["fe80::1"], False),
    ],
)
def test_engine_26_on_a_server_with_ipv6_hands_it_on_to_containers_and_older_ones_do_not(
    release: str, addresses: list[str], told: bool
) -> None:
    facts = {"ansible_facts": {**scenario()["scenario_facts"], "all_ipv6_addresses": addresses}}
    given = daemon(**installed(docker_io=release), **facts)
    assert (given.get("ip6tables", False), given.get("experimental", False)) == (told, told)
    assert "ip6tables" not in daemon(**installed(docker_io=release), **facts, somos_ipv6=False)


def test_the_firewalls_chains_are_kept_alive_on_docker_29() -> None:
    rows = '- {name: "docker-ce", status: "installed", version: "5:29.9.0-1~debian.13~trixie"}\n'
    assert daemon(__docker_dpkg={"stdout": rows})["firewall-backend"] == "iptables"


def test_metrics_are_for_the_server_itself() -> None:
    assert daemon(**installed(docker_io="26.1.5"))["metrics-addr"] == "127.0.0.1:9323"


def test_options_are_merged_key_by_key() -> None:
    given = daemon(docker_daemon_options={"log-opts": {"max-size": "5m"}, "live-restore": False, "mtu": 1400})
    assert given["log-opts"] == {"max-size": "5m", "max-file": "3"}
    assert (given["live-restore"], given["mtu"]) == (False, 1400)


def test_releases_of_dockers_repository_are_held() -> None:
    pins = render_role("docker", {"docker_version": "29.9", "docker_compose_version": "2"})[PINS]
    assert "Package: docker-ce docker-ce-cli\nPin: version 5:29.9.*\n" in pins
    assert "Package: docker-compose-plugin\nPin: version 2.*\n" in pins


def test_the_distributions_packages_are_held_at_the_release_that_is_installed() -> None:
    given = {"docker_source": "distribution"}
    assert "Pin:" not in render_role("docker", given)[PINS], "nothing is installed yet"
    here = installed(docker_io="29.1.3-0ubuntu1~24.04.1")
    here["__docker_dpkg"]["stdout"] = here["__docker_dpkg"]["stdout"].replace(
        "]", ', {"name": "docker-compose-v2", "status": "installed", "version": "2.40.3+ds1-0ubuntu1"}]'
    )
    pins = render_role("docker", given | here)[PINS]
    assert "Package: docker.io docker-cli\nPin: version 29.1.*\n" in pins
    assert "Package: docker-compose docker-compose-v2\nPin: version 2.*\n" in pins
    assert "docker-ce" not in pins


def test_the_distributions_engine_is_held_where_it_is_told_to_be() -> None:
    given = {"docker_source": "distribution", "docker_distribution_version": "28.2"}
    assert "Pin: version 28.2.*\n" in render_role("docker", given | installed(docker_io="29.1.3-0"))[PINS]


def test_live_restore_is_for_engines_outside_of_swarms() -> None:
    assert (daemon()["live-restore"], daemon(docker_swarm=True)["live-restore"]) == (True, False)


def test_containers_of_the_default_bridge_are_kept_apart_and_nobody_gains_privileges() -> None:
    given = daemon()
    assert (given["icc"], given["no-new-privileges"], given["userland-proxy"]) == (False, True, False)


def test_the_removal_of_images_is_told_what_to_keep() -> None:
    files = render_role("docker", {"somos_root": "/srv/somos", "docker_prune_min_age_hours": 24})
    assert json.loads(files["etc/somos/docker-prune.json"]) == {
        "keep": [],
        "min_age_hours": 24,
        "projects": ["/srv/somos"],
        "releases": ["/srv/somos/releases/*"],
    }


def test_the_timer_is_weekly_late_and_catches_up() -> None:
    timer = render_role("docker")["etc/systemd/system/somos-docker-prune.timer"]
    assert {"OnCalendar=Sun *-*-* 04:30:00", "RandomizedDelaySec=1h", "Persistent=true"} <= set(timer.splitlines())


def test_a_changed_service_changes_the_timer_so_that_systemd_reads_it() -> None:
    files = render_role("docker")
    assert re.search(
        r"^# With service [0-9a-f]{64}:", files["etc/systemd/system/somos-docker-prune.timer"], re.MULTILINE
    )


def test_compose_is_one_that_the_collection_at_hand_can_drive() -> None:
    assert "Pin: version 2.*" in render_role("docker", {"__docker_controller": "5.2.1"})[PINS]
    assert "Pin: version 5.*" in render_role("docker", {"__docker_controller": "5.2.2"})[PINS]


def test_a_pool_of_the_whole_system_reaches_the_engine() -> None:
    pool = [{"base": "10.200.0.0/16", "size": 24}]
    assert daemon(somos_docker_address_pools=pool)["default-address-pools"] == pool
    assert "somos_docker_address_pools" not in scenario()
