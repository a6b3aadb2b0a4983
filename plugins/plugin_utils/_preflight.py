# Copyright (c) 2026, Somos Infra maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What can be wrong before anything is changed. Pure functions: data in, problems out, never a secret's value."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Network, ip_network
from typing import Any, NamedTuple

from ansible_collections.somos.infra.plugins.module_utils._ram_plan import PlanError, ram_plan

SUPPORTED = {"Debian": ("12", "13"), "Ubuntu": ("22.04", "24.04")}
ARCHITECTURES = ("x86_64", "aarch64")
OLDEST_ANSIBLE = (2, 19)
# The first release of community.docker that understands what Compose 5 prints.
COMPOSE_5_DRIVER = (5, 2, 2)

_PLACEHOLDER = re.compile(r"change[ _-]?me|replace[ _-]?me|<[^<>]*>", re.IGNORECASE)
_SECRET_PLACEHOLDER = re.compile(rf"{_PLACEHOLDER.pattern}|placeholder|example|your[ _-]", re.IGNORECASE)
_GENERATE = "Generate one, for instance with `openssl rand -hex 32`"
_LABEL = re.compile(r"(?!-)[a-z0-9-]{1,63}(?<!-)")
_UNOWNED = {"example", "exemplo", "invalid", "localhost", "yourdomain", "seudominio"}
# The engine's own bridges lie inside its pools, as they should: `br-` and an id, or the names that stack_bridges gives.
_CONTAINER_INTERFACE = re.compile(r"lo|docker\d+|br-[\w-]+|veth\w+")


class Problem(NamedTuple):
    """One thing to mend: which variable or fact, what is wrong with it, and what to do."""

    name: str
    wrong: str
    fix: str

    def __str__(self) -> str:
        return f"{self.name} {self.wrong}. {self.fix}."


class Unreadable(NamedTuple):
    """Stands for the value of a variable that could not be had, and says why."""

    reason: str


def report(host: str, problems: Sequence[Problem]) -> str:
    """All problems in one message."""
    count = "1 thing has" if len(problems) == 1 else f"{len(problems)} things have"
    lines = [f"{number}. {problem}" for number, problem in enumerate(problems, 1)]
    return "\n".join([f"{host}: {count} to be mended first. Nothing was changed.", *lines])


def required(values: Mapping[str, Any]) -> Iterator[Problem]:
    """Variables that are missing, empty, or still as the example left them."""
    for name, value in values.items():
        if isinstance(value, Unreadable):
            yield Problem(name, value.reason, "Set it in the inventory or the vault")
        elif value is None or value in ("", [], {}):
            yield Problem(name, "is empty", "Give it a value")
        elif placeholder := _PLACEHOLDER.search(" ".join(_texts(value))):
            yield Problem(name, f"still holds the placeholder {placeholder.group()!r}", "Put your own value there")


def secrets(values: Mapping[str, Any], min_length: int) -> Iterator[Problem]:
    """Secrets that are missing, left over from an example, guessable, or used twice."""
    owners: dict[str, str] = {}
    for name, value in values.items():
        if isinstance(value, Unreadable):
            yield Problem(name, value.reason, "Set it in the vault")
        elif not isinstance(value, str) or not value:
            yield Problem(name, "is not a text, or is empty", "Set it in the vault, in quotes")
        elif _SECRET_PLACEHOLDER.search(value):
            yield Problem(name, "still holds a placeholder", _GENERATE)
        elif len(value) < min_length:
            yield Problem(name, f"is only {len(value)} characters long, {min_length} is the least", _GENERATE)
        elif value in owners:
            yield Problem(name, f"is the same secret as {owners[value]}", "One leak must open one door. " + _GENERATE)
        else:
            owners[value] = name


def domain(value: str) -> Iterator[Problem]:
    """A domain that cannot be one, or that is nobody's."""
    labels = value.lower().split(".")
    fix = "Set it to a domain of yours, without scheme, port or trailing dot"
    if len(value) > 253 or len(labels) < 2 or not all(map(_LABEL.fullmatch, labels)) or labels[-1].isdigit():
        yield Problem("somos_domain", f"is {value!r}, which is not a domain name", fix)
    elif _UNOWNED & set(labels):
        yield Problem("somos_domain", f"is {value!r}, a domain of the documentation", fix)


def operating_system(facts: Mapping[str, Any]) -> Iterator[Problem]:
    """A server that no role was written for."""
    name, version = facts.get("distribution"), str(facts.get("distribution_version"))
    if name == "Debian":
        version = str(facts.get("distribution_major_version"))
    if version not in SUPPORTED.get(str(name), ()):
        known = ", ".join(f"{system} {' and '.join(versions)}" for system, versions in SUPPORTED.items())
        yield Problem("The server", f"runs {name} {version}", f"Install one of: {known}")
    if facts.get("architecture") not in ARCHITECTURES:
        wrong = f"has the architecture {facts.get('architecture')}"
        yield Problem("The server", wrong, f"Take one with {' or '.join(ARCHITECTURES)}")


def resources(facts: Mapping[str, Any], cpus: int, memory_mb: int, disk_gb: int) -> Iterator[Problem]:
    """Fewer processors, less memory or a smaller disk than asked for."""
    fix = "Take a larger server, or lower {} if you know better"
    if (have := int(facts.get("processor_vcpus", 0))) < cpus:
        yield Problem("The server", f"has {have} processors, {cpus} is the least", fix.format("somos_min_cpus"))
    if (have := int(facts.get("memtotal_mb", 0))) < memory_mb:
        wrong = f"has {have} MB of memory, {memory_mb} is the least"
        yield Problem("The server", wrong, fix.format("somos_min_memory_mb"))
    mount = _mount_of("/var/lib/docker", facts.get("mounts", []))
    if mount and (have := mount["size_total"] // 10**9) < disk_gb:
        wrong = f"has {have} GB at {mount['mount']}, where Docker keeps its data; {disk_gb} is the least"
        yield Problem("The server", wrong, fix.format("somos_min_disk_gb"))


def address_pools(pools: Iterable[Mapping[str, Any]], facts: Mapping[str, Any]) -> Iterator[Problem]:
    """Networks of containers that would hide a network the server has to reach."""
    for pool in pools:
        try:
            base = ip_network(str(pool["base"]))
            if not base.prefixlen <= int(pool["size"]) <= base.max_prefixlen - 2:
                raise ValueError(f"networks of size /{pool['size']} cannot be cut from it")
        except (KeyError, ValueError) as error:
            wrong = f"has {dict(pool)!r}, which is not a pool: {error}"
            yield Problem("somos_docker_address_pools", wrong, "Write it as {base: 172.20.0.0/16, size: 24}")
            continue
        yield from _collisions("somos_docker_address_pools", base, facts)


def ipv6_subnet(subnet: str, facts: Mapping[str, Any]) -> Iterator[Problem]:
    """An IPv6 network of containers that is none, or that would hide one of the server."""
    try:
        base = IPv6Network(subnet)
    except ValueError as error:
        wrong = f"is {subnet!r}, which is not an IPv6 network: {error}"
        yield Problem("somos_docker_ipv6_subnet", wrong, "Write it as fd73:6f6d:6f73::/64, or leave it out")
        return
    yield from _collisions("somos_docker_ipv6_subnet", base, facts)


def _collisions(name: str, base: IPv4Network | IPv6Network, facts: Mapping[str, Any]) -> Iterator[Problem]:
    for network, where in _networks(facts):
        if base.version == network.version and base.overlaps(network):
            wrong = f"has {base}, which collides with {network} ({where} of the server)"
            yield Problem(name, wrong, "Choose a range that the server does not use")


def ram(memtotal_mb: int, profile: str, **options: Any) -> Iterator[Problem]:
    """Whether there is a plan for the server, and one that the server's memory (MiB, as facts have it) can carry."""
    try:
        plan = ram_plan(memtotal_mb, profile=profile, **options)
    except PlanError as error:
        wrong = f"cannot be made: {error}".rstrip(".")
        yield Problem("The RAM plan", wrong, "Change what it names, or take a larger server")
        return
    if plan["total_mb"] > memtotal_mb:
        wrong = f"is '{profile}', a plan for {plan['total_mb']} MiB, and the server has {memtotal_mb} MiB"
        yield Problem("somos_ram_profile", wrong, "Set it to auto, or take a larger server")


def controller(ansible: str, community_docker: str | None, compose: str | None) -> Iterator[Problem]:
    """A controller that cannot do the work."""
    if release(ansible) < OLDEST_ANSIBLE:
        yield Problem("The controller", f"runs ansible-core {ansible}", "Install 2.19 or newer")
    if community_docker is None:
        yield Problem("The controller", "lacks the collection community.docker", "Install what requirements.yml lists")
    elif compose and release(compose) >= (5,) and release(community_docker) < COMPOSE_5_DRIVER:
        wrong = f"has community.docker {community_docker}, which cannot drive Compose {compose}"
        yield Problem("The controller", wrong, "Update the collection, or set docker_compose_version to '2'")


def groups(inventory: Mapping[str, Sequence[str]], expected: Iterable[str], absent: Iterable[str]) -> Iterator[Problem]:
    """Groups that would leave a part of the system without a server."""
    absent = set(absent)
    for name in expected:
        if not inventory.get(name) and name not in absent:
            wrong = "has no host in this inventory"
            yield Problem(f"The group {name}", wrong, f"Name one, or list {name} in somos_absent_groups")
        elif inventory.get(name) and name in absent:
            yield Problem(f"The group {name}", "has hosts, yet somos_absent_groups lists it", "Drop one of the two")


def release(version: str) -> tuple[int, ...]:
    """`5.2.2-beta` and `2.*` as numbers that compare; what follows the numbers does not count."""
    match = re.match(r"v?(\d+(?:\.\d+)*)", version)
    return tuple(map(int, match.group(1).split("."))) if match else ()


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        yield from _texts(list(value.values()))
    elif isinstance(value, Iterable):
        for item in value:
            yield from _texts(item)


def _mount_of(path: str, mounts: Iterable[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    """The longest mount point that holds the path; none in a container, whose root is no device."""
    sized = (item for item in mounts if "size_total" in item)
    holding = [item for item in sized if f"{path}/".startswith(f"{item['mount'].rstrip('/')}/")]
    return max(holding, key=lambda item: len(item["mount"]), default=None)


def _networks(facts: Mapping[str, Any]) -> Iterator[tuple[IPv4Network | IPv6Network, str]]:
    for name in facts.get("interfaces", []):
        if _CONTAINER_INTERFACE.fullmatch(name):
            continue
        interface = facts.get(name.replace("-", "_"), {})
        for entry in [interface.get("ipv4") or {}, *interface.get("ipv4_secondaries", [])]:
            if entry.get("address"):
                yield IPv4Network(f"{entry['address']}/{entry.get('netmask') or 32}", strict=False), f"interface {name}"
        for entry in interface.get("ipv6") or []:
            yield IPv6Network(f"{entry['address']}/{entry.get('prefix') or 128}", strict=False), f"interface {name}"
    if gateway := facts.get("default_ipv4", {}).get("gateway"):
        yield IPv4Network(IPv4Address(gateway)), "gateway"
