"""Role docker on a server that was bare a minute ago, with the distribution's packages."""

from __future__ import annotations

import json
import re

from testinfra.host import Host


def test_the_engine_runs_and_starts_with_the_machine(host: Host) -> None:
    assert host.service("docker").is_running
    assert host.service("docker").is_enabled


def test_compose_is_the_plugin_and_one_the_controller_can_drive(host: Host) -> None:
    assert host.check_output("docker compose version --short").startswith("2.")


def test_the_engine_has_read_its_configuration(host: Host) -> None:
    info = json.loads(host.check_output("docker info --format json"))
    assert info["LoggingDriver"] == "json-file"
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


def test_metrics_are_for_this_server_alone(host: Host) -> None:
    assert host.socket("tcp://127.0.0.1:9323").is_listening
    assert not host.socket("tcp://0.0.0.0:9323").is_listening


def test_nobody_is_root_by_way_of_the_group(host: Host) -> None:
    assert host.check_output("getent group docker | cut -d: -f4") == ""
