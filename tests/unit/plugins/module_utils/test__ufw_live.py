"""The kernel's rules compared with those of UFW's files."""

from __future__ import annotations

from ansible_collections.somos.infra.plugins.module_utils._ufw_live import Drift, Table, compare

OURS = [
    "-A DOCKER-USER -i br-+ -m comment --comment somos -j RETURN",
    "-A DOCKER-USER -m comment --comment somos -j DROP",
]
EXPECTED = [
    *("-P INPUT DROP", "-P FORWARD DROP", "-P OUTPUT ACCEPT", "-N DOCKER-USER", "-N SOMOS-FROM-1", "-N ufw-user-input"),
    *("-A INPUT -j ufw-before-input", "-A INPUT -j ufw-user-input", "-A FORWARD -j ufw-before-forward", *OURS),
    *("-A SOMOS-FROM-1 -j DROP", "-A ufw-user-input -p tcp -m tcp --dport 22 -j ACCEPT"),
]
DOCKER = ["-N DOCKER", "-A FORWARD -j DOCKER-USER", "-A FORWARD -o docker0 -j DOCKER"]


def drift(*live: str) -> Drift:
    return compare(Table.parse("\n".join(live)), Table.parse("\n".join(EXPECTED)))


def with_(*more: str, without: str = "\n") -> list[str]:
    return [*more, *(line for line in EXPECTED if without not in line)]


def test_what_docker_adds_is_no_drift() -> None:
    found = drift(*DOCKER, *EXPECTED, "-A DOCKER-USER -j RETURN")
    assert not found.found and not found.kept and not found.holes and not found.unhooked


def test_a_policy_a_rule_and_a_jump_that_are_gone_are_shown() -> None:
    found = drift("-P INPUT ACCEPT", *with_(without="INPUT DROP"))
    assert (found.before, found.after) == (["-P INPUT ACCEPT"], ["-P INPUT DROP"])
    assert drift(*with_(without="--dport 22")).after == [EXPECTED[-1]]
    assert drift(*with_(without="INPUT -j ufw-user-input")).after == ["-A INPUT -j ufw-user-input"]


def test_rules_in_another_order_are_drift() -> None:
    swapped = [line for line in EXPECTED if line not in OURS] + OURS[::-1]
    assert drift(*swapped).after == OURS


def test_a_flushed_chain_is_drift() -> None:
    assert drift(*with_(without="somos")).after == OURS


def test_a_rule_of_others_that_takes_away_is_kept_and_no_drift() -> None:
    rule = "-A DOCKER-USER -s 198.51.100.66/32 -j DROP"
    found = drift(rule, *EXPECTED)
    assert found.kept == [rule] and not found.found


def test_a_rule_of_others_that_lets_in_past_the_policy_is_drift() -> None:
    for target in ("ACCEPT", "RETURN"):
        rule = f"-A DOCKER-USER -p tcp -m tcp --dport 80 -j {target}"
        found = drift(rule, *EXPECTED)
        assert found.holes == [rule] and found.before == [rule]


def test_docker_s_own_return_in_front_would_open_everything() -> None:
    assert drift("-A DOCKER-USER -j RETURN", *EXPECTED).found


def test_a_hole_in_input_is_reported_and_left() -> None:
    rule = "-A INPUT -p tcp -m tcp --dport 8080 -j ACCEPT"
    found = drift(rule, *EXPECTED)
    assert found.holes == [rule] and not found.found


def test_docker_s_traffic_has_to_pass_our_chain_first() -> None:
    assert drift("-N DOCKER", "-A FORWARD -o docker0 -j DOCKER", *EXPECTED).unhooked
    assert drift("-N DOCKER", "-A FORWARD -i docker0 -j ACCEPT", "-A FORWARD -j DOCKER-USER", *EXPECTED).unhooked
    assert drift("-N DOCKER", "-A FORWARD -j DOCKER-FORWARD", "-A FORWARD -j DOCKER-USER", *EXPECTED).unhooked
    assert not drift(*EXPECTED).unhooked, "no Docker, nothing to hook"


def test_isolation_of_networks_may_come_first() -> None:
    """As after a restart of engine 26: it only drops."""
    first = ("-N DOCKER", "-A FORWARD -j DOCKER-ISOLATION-STAGE-1", "-A FORWARD -j DOCKER-USER")
    assert not drift(*first, *EXPECTED).unhooked


def test_lists_that_nobody_uses_any_more_are_named() -> None:
    assert drift("-N SOMOS-FROM-2", *EXPECTED).stale_chains == ["SOMOS-FROM-2"]
