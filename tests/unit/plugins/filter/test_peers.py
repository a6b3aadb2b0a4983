"""The filter peers, for one host and for four."""

from __future__ import annotations

from typing import Any

import pytest
from ansible.errors import AnsibleFilterError

from ansible_collections.somos.infra.plugins.filter.peers import FilterModule

peers = FilterModule().filters()["peers"]

PLACEMENT = {
    "nginx": "app",
    "backend": "app",
    "postgres": "database",
    "redis": "database",
    "celery-worker": "workers",
    "object-storage": "storage",
}
GROUPS = ("app", "database", "workers", "storage")
FOUR = {group: [f"{group}1"] for group in GROUPS}
FOUR_HOSTVARS = {f"{group}1": {"somos_private_address": f"10.0.0.{place}"} for place, group in enumerate(GROUPS, 1)}


def test_on_one_server_every_peer_is_a_container_and_nothing_is_published_beyond_loopback() -> None:
    found = peers(PLACEMENT, {group: ["vps"] for group in GROUPS}, {"vps": {}}, "vps")
    assert found == {
        service: {"address": service, "addresses": [service], "local": True, "publish": ["127.0.0.1"]}
        for service in PLACEMENT
    }


def test_on_four_servers_a_peer_elsewhere_is_reached_at_its_private_address() -> None:
    found = peers(PLACEMENT, FOUR, FOUR_HOSTVARS, "app1")
    publish = ["127.0.0.1", "10.0.0.1"]
    assert found["backend"] == {"address": "backend", "addresses": ["backend"], "local": True, "publish": publish}
    assert found["postgres"] == {"address": "10.0.0.2", "addresses": ["10.0.0.2"], "local": False, "publish": publish}
    assert found["object-storage"]["address"] == "10.0.0.4"


@pytest.mark.parametrize("host", FOUR_HOSTVARS)
def test_each_of_four_servers_publishes_on_its_own_private_address(host: str) -> None:
    found = peers(PLACEMENT, FOUR, FOUR_HOSTVARS, host)
    own = FOUR_HOSTVARS[host]["somos_private_address"]
    assert all(peer["publish"] == ["127.0.0.1", own] for peer in found.values())
    assert {service for service, peer in found.items() if peer["local"]} == {
        service for service, group in PLACEMENT.items() if FOUR[group] == [host]
    }


def test_of_several_hosts_in_a_group_the_first_is_the_address_on_every_host() -> None:
    groups = {**FOUR, "app": ["app1", "app2"]}
    hostvars = {**FOUR_HOSTVARS, "app2": {"somos_private_address": "10.0.0.9"}}
    on_first, on_second, elsewhere = (
        peers(PLACEMENT, groups, hostvars, host)["backend"] for host in ("app1", "app2", "database1")
    )
    assert (on_first["address"], on_first["local"], on_first["addresses"]) == ("backend", True, ["backend", "10.0.0.9"])
    assert (on_second["address"], on_second["local"]) == ("10.0.0.1", False)
    assert on_second["addresses"] == ["10.0.0.1", "backend"]
    assert elsewhere["addresses"] == ["10.0.0.1", "10.0.0.9"]


def test_a_missing_private_address_is_named_with_host_and_variable() -> None:
    hostvars = {**FOUR_HOSTVARS, "database1": {}}
    with pytest.raises(AnsibleFilterError, match=r"somos_private_address of host database1 is missing"):
        peers(PLACEMENT, FOUR, hostvars, "app1")
    with pytest.raises(AnsibleFilterError, match=r"set somos_private_address of database1 to the IPv4 address"):
        peers(PLACEMENT, FOUR, hostvars, "database1")


@pytest.mark.parametrize("value", ["0.0.0.0", "127.0.0.1", "224.0.0.1", "8.8.8.8"])  # noqa: S104
def test_an_address_where_databases_must_not_be_published_is_refused(value: str) -> None:
    hostvars: dict[str, Any] = {**FOUR_HOSTVARS, "app1": {"somos_private_address": value}}
    with pytest.raises(AnsibleFilterError, match=rf"of host app1 is {value}, which is not a private address"):
        peers(PLACEMENT, FOUR, hostvars, "app1")


@pytest.mark.parametrize("value", ["", "db.internal", "10.0.0.0/24", 10, "fd00::1"])
def test_what_is_no_address_is_refused(value: Any) -> None:
    hostvars = {**FOUR_HOSTVARS, "app1": {"somos_private_address": value}}
    with pytest.raises(AnsibleFilterError, match=r"of host app1 is '.*', not an IPv4 address"):
        peers(PLACEMENT, FOUR, hostvars, "app1")


@pytest.mark.parametrize("empty", [{"database": []}, {}])
def test_a_group_without_hosts_is_named_with_its_service(empty: dict[str, list[str]]) -> None:
    groups = {group: hosts for group, hosts in FOUR.items() if group != "database"} | empty
    with pytest.raises(AnsibleFilterError, match=r"service postgres is placed in the inventory group database, which"):
        peers(PLACEMENT, groups, FOUR_HOSTVARS, "app1")
