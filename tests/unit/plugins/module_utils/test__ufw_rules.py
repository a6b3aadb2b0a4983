"""Rules of UFW: what is wanted, what there is, and the commands between."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.somos.infra.plugins.module_utils._ufw_rules import (
    Rule,
    RuleError,
    parse,
    plan,
    verdict,
    wanted,
    with_connection,
)

# As UFW 0.36 writes its files.
USER_RULES = """
### RULES ###

### tuple ### allow tcp 2222 0.0.0.0/0 any 0.0.0.0/0 in comment=736f6d6f733a20535348
-A ufw-user-input -p tcp --dport 2222 -j ACCEPT
### tuple ### allow tcp 22 0.0.0.0/0 any 0.0.0.0/0 OpenSSH - in
### tuple ### route:allow any any 0.0.0.0/0 any 0.0.0.0/0 in_eth0!out_eth1
### tuple ### deny any any 0.0.0.0/0 any 203.0.113.0/24 in
"""
SSH = {"name": "SSH", "port": 2222, "proto": "tcp"}


def rule(port: int, *sources: str, **more: Any) -> dict[str, Any]:
    return {
        "name": f"port {port}",
        "port": port,
        "proto": "tcp",
        **({"from": list(sources)} if sources else {}),
        **more,
    }


def ports(*given: dict[str, Any]) -> list[Rule]:
    return [found for found in wanted(given, []) if found.port != "any"]


def test_a_rule_for_everybody_is_for_both_families() -> None:
    assert [str(found) for found in ports(SSH)] == [
        "allow proto tcp from any to any port 2222  # somos: SSH",
        "allow proto tcp from any to any port 2222 (IPv6)  # somos: SSH",
    ]


def test_a_list_goes_to_each_network_s_own_family_and_once_for_all_ports() -> None:
    listed = ("173.245.48.0/20", "2400:cb00::/32", "10.0.0.5/24", "10.0.0.11/32")
    assert [found.words for found in ports(rule(443, *listed), rule(80, *listed))] == [
        ["allow", "proto", "tcp", "from", source, "to", "any", "port", "80,443"]
        for source in ("173.245.48.0/20", "2400:cb00::/32", "10.0.0.0/24", "10.0.0.11")
    ]


def test_a_cdn_of_22_networks_costs_22_rules() -> None:
    networks = [f"198.51.{number}.0/24" for number in range(15)] + [f"2001:db8:{number}::/48" for number in range(7)]
    assert len(ports(rule(80, *networks), rule(443, *networks))) == 22


def test_more_ports_than_iptables_takes_in_one_rule_are_split() -> None:
    found = ports(*(rule(port, "10.0.0.1") for port in range(1000, 1020)))
    assert [len(item.port.split(",")) for item in found] == [15, 5]


def test_nobody_and_nonsense_are_refused_by_name() -> None:
    with pytest.raises(RuleError, match=r"from of the firewall rule 'web' is empty: leave from out"):
        wanted([{"name": "web", "port": 80, "proto": "tcp", "from": []}], [])
    with pytest.raises(RuleError, match=r"'10\.0\.0\.300'"):
        ports(rule(80, "10.0.0.300"))


def test_what_goes_out_names_where_to() -> None:
    outgoing = [
        {"name": "DNS", "port": 53, "proto": "udp", "to": ["1.1.1.1"]},
        {"name": "web", "port": 443, "proto": "tcp"},
    ]
    assert [found.words for found in wanted([], outgoing) if found.direction == "out"] == [
        ["allow", "out", "proto", "udp", "from", "any", "to", "1.1.1.1", "port", "53"],
        *[["allow", "out", "proto", "tcp", "from", "any", "to", "any", "port", "443"]] * 2,
    ]


def test_loopback_is_open_and_cannot_be_pretended() -> None:
    said = {" ".join(found.words) for found in wanted([], [])}
    assert said == {"allow in on lo", "allow out on lo", "deny from 127.0.0.0/8 to any", "deny from ::1 to any"}


def test_ufw_s_file_is_understood() -> None:
    first, profile, route, deny = parse(USER_RULES)
    assert first == Rule("allow", "tcp", "2222", "0.0.0.0/0", "0.0.0.0/0", "in", "somos: SSH")
    assert (profile.port, profile.direction, profile.ours) == ("22", "in", False)
    assert (route.action, deny.source) == ("route:allow", "203.0.113.0/24")


def test_nothing_is_to_do_when_all_is_there() -> None:
    rules = wanted([SSH], [])
    assert plan(rules, rules).commands == []


def test_a_rule_of_which_one_family_is_gone_is_told_again() -> None:
    rules = wanted([SSH], [])
    present = [found for found in rules if not (found.port == "2222" and found.v6)]
    command = ["allow", "proto", "tcp", "from", "any", "to", "any", "port", "2222", "comment", "somos: SSH"]
    assert plan(present, rules).commands == [command]


@pytest.mark.parametrize("changed", [{"action": "limit"}, {"action": "deny"}, {"comment": "by hand"}])
def test_a_rule_of_ours_that_was_changed_is_put_right_and_not_somebody_else_s(changed: dict[str, str]) -> None:
    rules = wanted([SSH], [])
    present = [Rule(**{**vars(found), **changed}) if found.port == "2222" else found for found in rules]
    found = plan(present, rules)
    assert [command[:1] for command in found.commands] == [["allow"]]
    assert found.foreign == []


def test_what_is_missing_is_added_before_what_is_stale_goes() -> None:
    commands = plan(wanted([rule(8080)], []), wanted([SSH], [])).commands
    assert [command[0] for command in commands] == ["allow", "delete"]
    assert commands[1] == ["delete", "allow", "proto", "tcp", "from", "any", "to", "any", "port", "8080"]


def test_rules_of_others_stay() -> None:
    found = plan(parse(USER_RULES), wanted([], []))
    assert [item.action for item in found.foreign] == ["allow", "route:allow", "deny"]
    assert [command for command in found.commands if command[0] == "delete"] == [
        ["delete", "allow", "proto", "tcp", "from", "any", "to", "any", "port", "2222"]
    ]


@pytest.mark.parametrize(
    ("client", "port", "action"),
    [
        ("203.0.113.9", 2222, "allow"),
        ("203.0.113.9", 443, "deny"),
        ("192.0.2.1", 22, "allow"),
        ("192.0.2.1", 443, None),
        ("2001:db8::1", 2222, None),
    ],
)
def test_the_first_rule_that_matches_decides(client: str, port: int, action: str | None) -> None:
    found = verdict(parse(USER_RULES), client, port)
    assert (found and found.action) == action


@pytest.mark.parametrize("client", ["127.0.0.1", "::1"])
def test_the_end_of_a_tunnel_on_the_server_comes_in_by_the_loopback_interface(client: str) -> None:
    found = verdict(wanted([], []), client, 2222)
    assert found and found.action == "allow"


def test_a_connection_that_is_let_in_needs_no_rule_of_its_own() -> None:
    rules = wanted([SSH], [])
    assert with_connection(rules, "203.0.113.7", 2222) == (rules, None)
    assert with_connection(rules, "2001:db8::7", 2222) == (rules, None)
    assert with_connection(rules, None, 2222) == (rules, None)


@pytest.mark.parametrize("client", ["203.0.113.7", None])
def test_a_port_that_no_rule_names_is_kept_open_for_everybody(client: str | None) -> None:
    rules, extra = with_connection(wanted([SSH], []), client, 22)
    assert extra and extra.source == "0.0.0.0/0"
    assert {found.v6 for found in rules if found.port == "22"} == {True, False}


def test_a_port_with_a_list_is_kept_open_for_the_one_who_is_here_alone() -> None:
    rules, extra = with_connection(ports(rule(2222, "10.0.0.0/8")), "2001:db8::7", 2222)
    assert extra and extra.words == ["allow", "proto", "tcp", "from", "2001:db8::7", "to", "any", "port", "2222"]
    assert rules[-1] == extra
