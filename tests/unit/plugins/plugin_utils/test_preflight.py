"""What preflight finds, and what it lets pass."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import pytest

from ansible_collections.somos.infra.plugins.plugin_utils import _preflight as preflight
from ansible_collections.somos.infra.plugins.plugin_utils._preflight import Problem, Unreadable

LONG = "f3b1c9d2a4e85760"
FACTS: dict[str, Any] = {
    "distribution": "Debian",
    "distribution_version": "13.8",
    "distribution_major_version": "13",
    "architecture": "x86_64",
    "processor_vcpus": 8,
    "memtotal_mb": 32051,
    "mounts": [
        {"mount": "/", "size_total": 500 * 10**9},
        {"mount": "/var/lib/docker", "size_total": 900 * 10**9},
    ],
    "interfaces": ["lo", "eth0", "eth-1", "docker0", "br-0123456789ab", "br-somos-int", "veth0abc"],
    "lo": {"ipv4": {"address": "127.0.0.1", "netmask": "255.0.0.0"}},
    "eth0": {
        "ipv4": {"address": "203.0.113.11", "netmask": "255.255.255.0"},
        "ipv6": [{"address": "2001:db8:7::11", "prefix": "64"}, {"address": "fe80::1", "prefix": "64"}],
    },
    "eth_1": {
        "ipv4": {"address": "10.0.0.11", "netmask": "255.255.0.0"},
        "ipv4_secondaries": [{"address": "10.99.0.1", "netmask": "255.255.255.0"}],
    },
    "docker0": {"ipv4": {"address": "172.20.0.1", "netmask": "255.255.255.0"}},
    "br_0123456789ab": {"ipv4": {"address": "172.20.1.1", "netmask": "255.255.255.0"}},
    "br_somos_int": {
        "ipv4": {"address": "172.20.2.1", "netmask": "255.255.255.0"},
        "ipv6": [{"address": "fd73:6f6d:6f73::1", "prefix": "64"}],
    },
    "default_ipv4": {"gateway": "203.0.113.1"},
}


def names(problems: Iterable[Problem]) -> list[str]:
    return [problem.name for problem in problems]


def only(problems: Iterable[Problem]) -> str:
    (problem,) = problems
    return str(problem)


def facts(**changes: Any) -> Mapping[str, Any]:
    return {**FACTS, **changes}


def test_a_sound_server_and_inventory_pass() -> None:
    assert not [
        *preflight.required({"somos_domain": "somos.test", "keys": ["ssh-ed25519 AAAA you@example"]}),
        *preflight.secrets({"vault_a": LONG, "vault_b": LONG[::-1]}, 16),
        *preflight.domain("app.somosprodutora.com.br"),
        *preflight.operating_system(FACTS),
        *preflight.resources(FACTS, 8, 32000, 800),
        *preflight.address_pools([{"base": "172.20.0.0/16", "size": 24}], FACTS),
        *preflight.ipv6_subnet("fd73:6f6d:6f73::/64", FACTS),
        *preflight.controller("2.19.14", "4.8.5", "2"),
        *preflight.groups({"app": ["one"]}, ["app", "monitoring"], ["monitoring"]),
    ]


@pytest.mark.parametrize(
    ("value", "says"),
    [
        (Unreadable("is not set"), "somos_domain is not set. Set it"),
        ("", "is empty"),
        (None, "is empty"),
        ([], "is empty"),
        ("CHANGE_ME", "placeholder 'CHANGE_ME'"),
        (["ssh-ed25519 CHANGE_ME you@home"], "placeholder 'CHANGE_ME'"),
        ({"host": "ghcr.io", "username": "<your name>"}, "placeholder '<your name>'"),
    ],
)
def test_a_variable_left_as_the_example_has_it_is_named(value: Any, says: str) -> None:
    assert says in only(preflight.required({"somos_domain": value}))


@pytest.mark.parametrize("value", [0, False, 5432, "a < b"])
def test_a_value_that_only_looks_empty_passes(value: Any) -> None:
    assert not list(preflight.required({"x": value}))


@pytest.mark.parametrize(
    ("value", "says"),
    [
        (Unreadable("is not set"), "vault_a is not set"),
        ("", "empty"),
        (1234567890123456, "in quotes"),
        ("CHANGE_ME_CHANGE_ME", "placeholder"),
        ("changeme-changeme-1", "placeholder"),
        ("<generate-one-here>", "placeholder"),
        ("example-password-01", "placeholder"),
        ("your-secret-key-here", "placeholder"),
        ("short", "only 5 characters long, 16 is the least"),
    ],
)
def test_a_secret_nobody_chose_is_named(value: Any, says: str) -> None:
    assert says in only(preflight.secrets({"vault_a": value}, 16))


def test_a_secret_used_twice_is_named_with_its_twin() -> None:
    assert "vault_b is the same secret as vault_a" in only(preflight.secrets({"vault_a": LONG, "vault_b": LONG}, 16))


def test_no_message_holds_a_secret() -> None:
    values = ["hunter2", "changeme-hunter2", "hunter2-hunter2-hunter2", "hunter2-hunter2-hunter2", "<hunter2>"]
    problems = list(preflight.secrets({f"vault_{number}": value for number, value in enumerate(values)}, 16))
    assert len(problems) == 4
    assert "hunter2" not in preflight.report("somos", problems)


@pytest.mark.parametrize(
    "value",
    ["", "somos", "https://somos.br", "somos.br/", "somos.br.", "so_mos.br", "-a.br", "a-.br", "10.0.0.1", "é.br"],
)
def test_what_cannot_be_a_domain_is_refused(value: str) -> None:
    assert f"somos_domain is {value!r}" in only(preflight.domain(value))


@pytest.mark.parametrize("value", ["example.com", "app.example.com.br", "somos.invalid", "seudominio.com"])
def test_a_domain_of_the_documentation_is_refused(value: str) -> None:
    assert "a domain of the documentation" in only(preflight.domain(value))


@pytest.mark.parametrize(
    ("system", "version", "supported"),
    [
        ("Debian", "12.11", True),
        ("Debian", "13.8", True),
        ("Debian", "11.9", False),
        ("Ubuntu", "22.04", True),
        ("Ubuntu", "24.04", True),
        ("Ubuntu", "23.10", False),
        ("Fedora", "43", False),
    ],
)
def test_only_systems_with_roles_for_them_pass(system: str, version: str, supported: bool) -> None:
    given = facts(
        distribution=system, distribution_version=version, distribution_major_version=version.partition(".")[0]
    )
    assert (not list(preflight.operating_system(given))) == supported


def test_a_foreign_architecture_is_refused() -> None:
    assert "armv7l" in only(preflight.operating_system(facts(architecture="armv7l")))


@pytest.mark.parametrize(
    ("least", "says"),
    [
        ((9, 0, 0), "has 8 processors, 9 is the least. Take a larger server, or lower somos_min_cpus"),
        ((0, 32052, 0), "has 32051 MB of memory, 32052 is the least"),
        ((0, 0, 901), "has 900 GB at /var/lib/docker, where Docker keeps its data; 901 is the least"),
    ],
)
def test_a_server_too_small_is_told_what_is_missing(least: tuple[int, int, int], says: str) -> None:
    assert says in only(preflight.resources(FACTS, *least))


def test_the_disk_is_the_one_that_holds_the_path_not_one_of_a_similar_name() -> None:
    mounts = [{"mount": "/", "size_total": 500 * 10**9}, {"mount": "/var/lib/dock", "size_total": 900 * 10**9}]
    assert "has 500 GB at /, where" in only(preflight.resources(facts(mounts=mounts), 0, 0, 501))


def test_a_disk_that_the_facts_do_not_know_is_not_judged() -> None:
    assert not list(preflight.resources(facts(mounts=[]), 0, 0, 10**6))


@pytest.mark.parametrize(
    ("pool", "network"),
    [
        ("10.0.0.0/8", "10.0.0.0/16"),
        ("10.99.0.0/24", "10.99.0.0/24"),
        ("203.0.113.0/28", "203.0.113.0/24"),
        ("203.0.0.0/16", "203.0.113.1/32"),
    ],
)
def test_a_pool_that_hides_a_network_of_the_server_is_refused(pool: str, network: str) -> None:
    said = [str(problem) for problem in preflight.address_pools([{"base": pool, "size": 28}], FACTS)]
    assert any(f"{pool}, which collides with {network}" in text for text in said)


@pytest.mark.parametrize(
    "pool",
    [{"base": "172.20.0.0/16"}, {"base": "somewhere", "size": 24}, {"base": "172.20.0.1/16", "size": 24},
     {"base": "172.20.0.0/16", "size": 8}, {"base": "172.20.0.0/16", "size": 31}],
)  # fmt: skip
def test_what_is_no_pool_is_refused(pool: dict[str, Any]) -> None:
    assert "which is not a pool" in only(preflight.address_pools([pool], FACTS))


def test_an_ipv6_network_that_hides_one_of_the_server_is_refused() -> None:
    said = only(preflight.ipv6_subnet("2001:db8::/32", FACTS))
    assert "2001:db8::/32, which collides with 2001:db8:7::/64 (interface eth0" in said


@pytest.mark.parametrize("subnet", ["172.20.0.0/16", "fd73::1/64", "somewhere", ""])
def test_what_is_no_ipv6_network_is_refused(subnet: str) -> None:
    assert "which is not an IPv6 network" in only(preflight.ipv6_subnet(subnet, FACTS))


@pytest.mark.parametrize(
    ("ansible", "collection", "compose", "says"),
    [
        ("2.18.7", "5.2.2", "2", "runs ansible-core 2.18.7"),
        ("2.19.14", None, "2", "lacks the collection community.docker"),
        ("2.19.14", "5.2.1", "5", "has community.docker 5.2.1, which cannot drive Compose 5"),
        ("2.19.14", "4.8.5", "v5.5.0", "cannot drive Compose v5.5.0"),
    ],
)
def test_a_controller_too_old_is_refused(ansible: str, collection: str | None, compose: str, says: str) -> None:
    assert says in only(preflight.controller(ansible, collection, compose))


@pytest.mark.parametrize(
    ("collection", "compose"), [("5.2.2", "5"), ("5.10.0", "5.5"), ("4.8.5", "2.40.3"), ("4.8.5", None)]
)
def test_a_controller_that_drives_compose_passes(collection: str, compose: str | None) -> None:
    assert not list(preflight.controller("2.21.0rc1", collection, compose))


def test_a_group_without_a_host_is_named_unless_it_is_left_out_on_purpose() -> None:
    inventory = {"app": ["one"], "storage": [], "monitoring": ["one"]}
    expected = ["app", "database", "storage", "monitoring"]
    assert names(preflight.groups(inventory, expected, ["storage", "monitoring"])) == [
        "The group database",
        "The group monitoring",
    ]


def test_the_message_numbers_everything_and_says_that_nothing_happened() -> None:
    told = preflight.report("somos", [Problem("a", "is wrong", "Mend it"), Problem("b", "is wrong", "Mend it too")])
    assert told.splitlines() == [
        "somos: 2 things have to be mended first. Nothing was changed.",
        "1. a is wrong. Mend it.",
        "2. b is wrong. Mend it too.",
    ]


@pytest.mark.parametrize(("memtotal_mb", "profile"), [(32051, "auto"), (32051, "32g"), (32051, "16g"), (15600, "16g")])
def test_a_plan_that_the_server_carries_passes(memtotal_mb: int, profile: str) -> None:
    assert list(preflight.ram(memtotal_mb, profile)) == []


def test_the_plan_of_a_larger_server_is_refused_before_anything_is_changed() -> None:
    words = only(preflight.ram(15600, "32g"))
    assert all(word in words for word in ("somos_ram_profile is '32g'", "32000 MiB", "15600 MiB", "auto"))


def test_a_server_without_a_plan_is_told_what_it_needs() -> None:
    assert only(preflight.ram(8000, "auto")).startswith("The RAM plan cannot be made")
