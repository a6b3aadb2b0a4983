"""What the files of a server say about it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from ansible_collections.somos.infra.plugins.module_utils._server_state import (
    deaf_router_interfaces,
    installed,
    members,
    read,
    router_interfaces,
    time_daemons,
)

Server = Callable[..., Path]
NOWHERE = "0" * 32
ROUTER = "fe80" + "0" * 27 + "1"


def route(destination: str, length: str, flags: str) -> str:
    return f"{destination} {length} {NOWHERE} 00 {ROUTER} 00000400 00000001 00000000 {flags}     eth0\n"


def test_members_of_a_group() -> None:
    groups = "root:x:0:\nsomos-operators-old:x:991:eva\nsomos-operators:x:990:bob,ana\n"
    assert members(groups, "somos-operators") == ["ana", "bob"]
    assert members(groups, "root") == members(groups, "nobody") == []


def test_packages_that_were_removed_are_not_installed() -> None:
    status = (
        "Package: telnet\nStatus: deinstall ok config-files\n\n"
        "Package: zsh\nStatus: install ok installed\nVersion: 1\n\n"
        "Package: docker.io\nStatus: hold ok installed\n"
    )
    assert installed(status) == ["docker.io", "zsh"]


@pytest.fixture
def server(tmp_path: Path) -> Server:
    def make(routes: str = "", **accept_ra: str) -> Path:
        (tmp_path / "proc/net").mkdir(parents=True)
        (tmp_path / "proc/net/ipv6_route").write_text(routes)
        for name, setting in accept_ra.items():
            interface = tmp_path / "proc/sys/net/ipv6/conf" / name
            interface.mkdir(parents=True)
            (interface / "accept_ra").write_text(f"{setting}\n")
        return tmp_path

    return make


def test_a_default_route_that_a_router_announced_is_needed(server: Server) -> None:
    root = server(route(NOWHERE, "00", "00450003"), eth0="1", eth1="1")
    assert router_interfaces(root) == deaf_router_interfaces(root) == ["eth0"]


@pytest.mark.parametrize(
    "routes",
    [
        "",
        route(NOWHERE, "00", "00000003"),
        route(NOWHERE, "01", "00450003"),
        route("2001" + "0" * 28, "40", "00440001"),
    ],
)
def test_a_route_that_somebody_configured_is_not(server: Server, routes: str) -> None:
    assert router_interfaces(server(routes, eth0="1", lo="1")) == []


def test_who_was_told_to_listen_keeps_listening_while_the_route_is_missing(server: Server) -> None:
    root = server("", all="2", default="2", docker0="2", veth1a2b="2", eth0="2", eth1="0")
    assert router_interfaces(root) == ["eth0"]
    assert deaf_router_interfaces(root) == []


def test_the_time_daemon_is_found_by_its_program(tmp_path: Path) -> None:
    assert time_daemons(tmp_path) == []
    (tmp_path / "usr/sbin").mkdir(parents=True)
    (tmp_path / "usr/sbin/chronyd").touch()
    assert time_daemons(tmp_path) == ["chrony"]


@pytest.mark.parametrize("package", ["ntp", "ntpsec"])
def test_the_two_that_share_a_program_are_told_apart_by_their_units(tmp_path: Path, package: str) -> None:
    for file in ("usr/sbin/ntpd", f"usr/lib/systemd/system/{package}.service"):
        (tmp_path / file).parent.mkdir(parents=True)
        (tmp_path / file).touch()
    assert time_daemons(tmp_path) == [package]


def test_a_file_that_is_not_there_is_empty(tmp_path: Path) -> None:
    assert read(tmp_path, "etc/group") == ""
