"""What fail2ban says it bans against what the kernel holds."""

from __future__ import annotations

import json

from ansible_collections.somos.infra.plugins.module_utils._fail2ban import (
    Table,
    addresses,
    lines,
    missing,
    running_jails,
)

STATUS = "Status\n|- Number of jail:\t2\n`- Jail list:\tnginx-http-auth, sshd\n"


def table(*elements: object, drops: bool = True) -> Table:
    rule = {
        "rule": {
            "chain": "sshd",
            "expr": [{"match": {}}, {"counter": {}}, {"drop": None} if drops else {"accept": None}],
        }
    }
    sets = [{"set": {"name": "sshd-4", "elem": list(elements)}}, {"set": {"name": "sshd-6"}}]
    return Table.parse(json.dumps({"nftables": [{"metainfo": {}}, *sets, rule]}))


def test_jails_are_read_from_the_status() -> None:
    assert running_jails(STATUS) == ["nginx-http-auth", "sshd"]
    assert running_jails("Status\n`- Jail list:\t\n") == running_jails("") == []


def test_addresses_come_in_lines_or_in_one() -> None:
    assert addresses("203.0.113.7 2001:DB8::7\n198.51.100.0/24\n") == {"203.0.113.7", "2001:db8::7", "198.51.100.0/24"}


def test_nothing_is_missing_when_the_kernel_knows_all() -> None:
    assert missing({"sshd": {"203.0.113.7"}}, table("203.0.113.7", "192.0.2.1")) == {}


def test_elements_with_a_counter_or_a_prefix_are_understood() -> None:
    held = table({"elem": {"val": "203.0.113.7", "counter": {}}}, {"prefix": {"addr": "198.51.100.0", "len": 24}})
    assert held.sets["sshd"] == {"203.0.113.7", "198.51.100.0/24"}


def test_an_element_that_is_gone_is_missing() -> None:
    assert missing({"sshd": {"203.0.113.7", "203.0.113.8"}}, table("203.0.113.7")) == {"sshd": ["203.0.113.8"]}


def test_a_set_without_the_rule_that_drops_is_worth_nothing() -> None:
    assert missing({"sshd": {"203.0.113.7"}}, table("203.0.113.7", drops=False)) == {"sshd": ["203.0.113.7"]}


def test_without_the_table_all_bans_are_missing_and_a_jail_without_bans_needs_none() -> None:
    assert missing({"sshd": {"203.0.113.7"}, "nginx-limit-req": set()}, Table.parse("")) == {"sshd": ["203.0.113.7"]}


def test_bans_read_as_lines() -> None:
    assert lines({"sshd": ["203.0.113.7"]}) == "sshd: 203.0.113.7 is dropped\n"
