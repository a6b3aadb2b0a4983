"""The block that holds Docker's ports to the policy, and its place in UFW's files."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.somos.infra.plugins.module_utils._ufw_docker import (
    BEGIN,
    END,
    block,
    put,
    rival,
    without,
)
from ansible_collections.somos.infra.plugins.module_utils._ufw_rules import RuleError

FILE = "*filter\n:ufw-after-input - [0:0]\nCOMMIT\n"


def rule(port: int, *sources: str, proto: str = "tcp") -> dict[str, Any]:
    return {"name": "x", "port": port, "proto": proto, **({"from": list(sources)} if sources else {})}


def lines(*rules: dict[str, Any], version: int = 4, **more: Any) -> list[str]:
    text = block(rules, version, **more)
    return [line.replace(" -m comment --comment somos", "") for line in text.splitlines()]


def test_it_ends_with_a_drop_that_names_no_interface() -> None:
    found = lines(rule(80), bridges=["docker0", "br-+"])
    assert found[-3:] == ["-A DOCKER-USER -j DROP", "COMMIT", END]
    assert "-A DOCKER-USER -i br-+ -j RETURN" in found


@pytest.mark.parametrize("version", [4, 6])
def test_a_port_for_everybody_is_let_in_by_the_number_that_was_asked_for(version: int) -> None:
    match = "-A DOCKER-USER -p udp -m conntrack --ctstate NEW --ctorigdstport 443 --ctdir ORIGINAL -j RETURN"
    assert match in lines(rule(443, proto="udp"), version=version)


def test_a_list_is_one_chain_for_all_its_ports_and_drops_the_others() -> None:
    listed = ("10.0.0.0/8", "2001:db8::/32")
    found = lines(rule(80, *listed), rule(443, *listed))
    assert [line for line in found if line.startswith("-A SOMOS-FROM-")] == [
        "-A SOMOS-FROM-1 -s 10.0.0.0/8 -j RETURN",
        "-A SOMOS-FROM-1 -j DROP",
    ]
    for port in (80, 443):
        jump, let_in = [line.rpartition(" ")[2] for line in found if f"--ctorigdstport {port} " in line]
        assert (jump, let_in) == ("SOMOS-FROM-1", "RETURN")


def test_a_list_without_networks_of_a_family_lets_nobody_of_it_in() -> None:
    found = lines(rule(80, "10.0.0.0/8"), version=6)
    assert [line for line in found if line.startswith("-A SOMOS-FROM-")] == ["-A SOMOS-FROM-1 -j DROP"]


def test_lists_for_one_port_add_up_and_everybody_is_more_than_any_list() -> None:
    both = lines(rule(80, "10.0.0.1"), rule(80, "10.0.0.2"))
    assert {"-A SOMOS-FROM-1 -s 10.0.0.1/32 -j RETURN", "-A SOMOS-FROM-1 -s 10.0.0.2/32 -j RETURN"} <= set(both)
    assert len([line for line in both if "--ctorigdstport 80 " in line]) == 2
    for order in ([rule(80, "10.0.0.1"), rule(80)], [rule(80), rule(80, "10.0.0.1")]):
        assert not any("SOMOS-FROM" in line for line in lines(*order))


def test_an_isolated_bridge_is_shut_before_bridges_are_let_through() -> None:
    found = lines(bridges=["br-+"], isolated=["br-int"])
    assert found.index("-A DOCKER-USER -i br-int ! -o br-int -j DROP") < found.index("-A DOCKER-USER -i br-+ -j RETURN")


def test_rules_of_the_inventory_go_to_their_family_and_before_the_ports() -> None:
    extra = ["-s 203.0.113.7/32 -j DROP", "-s 2001:db8::/32 -j DROP", "-i wg0 -j RETURN"]
    four, six = (lines(rule(80), version=version, extra=extra) for version in (4, 6))
    assert "-A DOCKER-USER -s 203.0.113.7/32 -j DROP" in four and "-A DOCKER-USER -s 203.0.113.7/32 -j DROP" not in six
    assert "-A DOCKER-USER -s 2001:db8::/32 -j DROP" in six and "-A DOCKER-USER -s 2001:db8::/32 -j DROP" not in four
    for found in (four, six):
        assert found.index("-A DOCKER-USER -i wg0 -j RETURN") < next(
            number for number, line in enumerate(found) if "--ctorigdstport" in line
        )


@pytest.mark.parametrize("bad", [{"extra": ["DROP"]}, {"extra": ["-j DROP\n-j X"]}, {"bridges": ["br -j X"]}])
def test_what_is_no_rule_and_no_name_is_refused(bad: dict[str, list[str]]) -> None:
    with pytest.raises(RuleError):
        block([], 4, **bad)


def test_every_rule_of_ours_in_the_chain_says_so() -> None:
    found = block([rule(80, "10.0.0.1")], 4, bridges=["br-+"], isolated=["br-x"], extra=["-i wg0 -j RETURN"])
    assert all("--comment somos" in line for line in found.splitlines() if line.startswith("-A DOCKER-USER"))


def test_it_is_put_at_the_end_once() -> None:
    new = block([rule(80)], 4)
    once = put(FILE, new)
    assert once.startswith(FILE) and once.endswith(new)
    assert put(once, new) == once
    assert put(once.replace(new, new.replace("80", "81") + "# later\n"), new) == f"{FILE}# later\n\n{new}"


def test_a_block_whose_end_was_lost_is_replaced_too() -> None:
    new = block([rule(80)], 4)
    assert put(put(FILE, new).replace(END, ""), new) == put(FILE, new)


def test_a_rival_in_the_same_file_is_found_and_our_own_block_is_none() -> None:
    ours = put(FILE, block([rule(80)], 4))
    assert rival(ours) is None
    assert rival(f"{FILE}*filter\n:DOCKER-USER - [0:0]\nCOMMIT\n") == 5
    assert BEGIN not in without(ours)
