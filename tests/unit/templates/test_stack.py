"""Role stack: the networks that the fragments join."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from render import render_role, scenario


def networks(**overrides: Any) -> dict[str, Any]:
    return dict(yaml.safe_load(render_role("stack", overrides)["compose.d/stack.yml"])["networks"])


def facts(*addresses: str) -> dict[str, Any]:
    return {"ansible_facts": {**scenario()["scenario_facts"], "all_ipv6_addresses": list(addresses)}}


def test_a_server_that_speaks_ipv6_lets_visitors_come_by_it_as_themselves() -> None:
    edge = networks(**facts("fe80::1"), somos_docker_ipv6_subnet="fd00:9::/64")["edge"]
    assert (edge["enable_ipv6"], edge["ipam"]) == (True, {"config": [{"subnet": "fd00:9::/64"}]})


@pytest.mark.parametrize("given", [facts(), {**facts("fe80::1"), "somos_ipv6": False}])
def test_another_has_no_ipv6_anywhere(given: dict[str, Any]) -> None:
    assert not [name for name, network in networks(**given).items() if "enable_ipv6" in network]


def test_it_bears_the_same_name_with_ipv6_and_without() -> None:
    """A container that was made in it does not start again without a network of that name."""
    assert not any("name" in network for ipv6 in (True, False) for network in networks(somos_ipv6=ipv6).values())


def test_only_the_edge_has_ipv6() -> None:
    assert [name for name, network in networks(somos_ipv6=True).items() if "enable_ipv6" in network] == ["edge"]
