"""Role docker on a server that was bare a minute ago, with the distribution's packages."""

from __future__ import annotations

import json
import re

import pytest
from testinfra.host import Host


@pytest.fixture(scope="module")
def release(host: Host) -> str:
    """Major and minor of the engine."""
    return ".".join(host.check_output("docker version --format '{{.Server.Version}}'").split(".")[:2])


def test_the_engine_runs_and_starts_with_the_machine(host: Host) -> None:
    assert host.service("docker").is_running
    assert host.service("docker").is_enabled


def test_compose_is_the_plugin_and_one_the_controller_can_drive(host: Host) -> None:
    assert host.check_output("docker compose version --short").startswith("2.")


def test_the_engine_has_read_its_configuration(host: Host) -> None:
    info = json.loads(host.check_output("docker info --format '{{json .}}'"))
    assert info["LoggingDriver"] == "local"
    assert info["LiveRestoreEnabled"]
    assert info["DefaultAddressPools"] == [{"Base": "172.20.0.0/16", "Size": 24}]
    assert info["Labels"] == ["somos.scenario=docker"]


def test_options_of_the_inventory_are_merged_not_swapped(host: Host) -> None:
    daemon = json.loads(host.file("/etc/docker/daemon.json").content_string)
    assert daemon["log-opts"] == {"max-file": "3", "max-size": "5m"}


def test_networks_are_cut_from_the_pool(host: Host) -> None:
    host.check_output("docker network create --label somos.test=1 probe")
    (network,) = json.loads(host.check_output("docker network inspect probe"))
    host.check_output("docker network rm probe")
    assert re.fullmatch(r"172\.20\.\d+\.0/24", network["IPAM"]["Config"][0]["Subnet"])


def test_metrics_are_for_this_server_alone(host: Host, release: str) -> None:
    # Engines older than 24 call them an experiment, and get no address.
    assert host.socket("tcp://127.0.0.1:9323").is_listening is (int(release.split(".")[0]) >= 24)
    assert not host.socket("tcp://0.0.0.0:9323").is_listening


def test_only_who_is_named_is_root_by_way_of_the_group(host: Host) -> None:
    assert host.check_output("getent group docker | cut -d: -f4") == "nobody"


def test_the_default_bridge_keeps_its_containers_apart(host: Host) -> None:
    (bridge,) = json.loads(host.check_output("docker network inspect bridge"))
    assert bridge["Options"]["com.docker.network.bridge.enable_icc"] == "false"


def test_engine_and_compose_are_held_at_their_releases(host: Host, release: str) -> None:
    for package, held in (("docker.io", f"{release}."), ("docker-compose", "2.")):
        assert f"Pin: version {held}*" in host.file("/etc/apt/preferences.d/docker").content_string
        policy = host.check_output("apt-cache policy %s", package)
        assert re.search(rf"^ \*\*\* {re.escape(held)}\S* 1001$", policy, re.MULTILINE), policy


def test_what_benchmarks_say_of_the_engines_files(host: Host) -> None:
    """Section 3 of the Docker benchmark: owner and mode of what the engine reads and of the socket it listens on."""
    wanted = {"/etc/docker": "root:root 755", "/etc/docker/daemon.json": "root:root 644"}
    wanted |= {"/run/docker.sock": "root:docker 660", "/run/containerd/containerd.sock": "root:root 660"}
    unit = host.check_output("systemctl show --property=FragmentPath --value docker.service")
    wanted |= {unit: "root:root 644"}
    assert {path: host.check_output("stat -Lc '%%U:%%G %%a' %s", path) for path in wanted} == wanted
