# Copyright (c) 2026, Somos Infra maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How running containers differ from the Compose model they were made of, where Compose itself does not look.

Compose compares a hash that it put on the container when it made it, so what `docker update` or `docker network
connect` changed afterwards stays. Nothing but limits and names of networks leaves this file: the model holds secrets.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

# Name in this module, flag of `docker update`, and how Docker says that there is no limit.
FLAGS = {
    "memory": "--memory",
    "memory_swap": "--memory-swap",
    "pids": "--pids-limit",
    "cpu_shares": "--cpu-shares",
    "restart": "--restart",
}
State = dict[str, Any]


def wanted(model: Mapping[str, Any], service: str) -> State:
    """What the model says of the containers of *service*; a limit that it does not set is not judged."""
    described = model["services"][service]
    limits = ((described.get("deploy") or {}).get("resources") or {}).get("limits") or {}
    numbers = {
        "memory": limits.get("memory") or described.get("mem_limit"),
        "memory_swap": described.get("memswap_limit"),
        "pids": limits.get("pids") or described.get("pids_limit"),
        "cpu_shares": described.get("cpu_shares"),
    }
    networks = model.get("networks") or {}
    return {
        **{key: int(value) for key, value in numbers.items() if value},
        **({"restart": str(described["restart"])} if described.get("restart") else {}),
        "networks": sorted(str(networks[name].get("name", name)) for name in described.get("networks") or {}),
    }


def present(container: Mapping[str, Any]) -> State:
    """What Docker says of a container, in the same words."""
    host = container["HostConfig"]
    return {
        "memory": host.get("Memory") or 0,
        "memory_swap": host.get("MemorySwap") or 0,
        "pids": host.get("PidsLimit") or 0,
        "cpu_shares": host.get("CpuShares") or 0,
        "restart": (host.get("RestartPolicy") or {}).get("Name") or "no",
        "networks": sorted(container["NetworkSettings"]["Networks"] or {}),
    }


def difference(is_so: State, should: State) -> tuple[State, State]:
    """The two states, cut down to where they differ."""
    keys = [key for key, value in should.items() if is_so[key] != value]
    return {key: is_so[key] for key in keys}, {key: should[key] for key in keys}


def remedies(identity: str, is_so: State, should: State, aliases: Mapping[str, list[str]]) -> list[list[str]]:
    """The Docker commands that lead from one state to the other, without a restart.

    Networks that are missing are joined before those that are too many are left: a container never stands without one.
    """
    before, after = difference(is_so, should)
    commands = []
    limits = {key: value for key, value in after.items() if key in FLAGS}
    if limits.keys() & {"memory", "memory_swap"}:
        # Docker refuses one that contradicts the other.
        limits |= {key: should[key] for key in ("memory", "memory_swap") if key in should}
    if limits:
        words = [word for key, value in limits.items() for word in (FLAGS[key], str(value))]
        commands.append(["update", *words, identity])
    has, wants = set(before.get("networks", [])), set(after.get("networks", []))
    commands.extend(join(network, identity, aliases.get(network, [])) for network in sorted(wants - has))
    commands.extend(["network", "disconnect", network, identity] for network in sorted(has - wants))
    return commands


def join(network: str, identity: str, aliases: Iterable[str]) -> list[str]:
    """The Docker command by which a container joins a network, known there by these names."""
    return ["network", "connect", *(word for alias in aliases for word in ("--alias", alias)), network, identity]


def aliases_of(model: Mapping[str, Any], service: str) -> dict[str, list[str]]:
    """Network → the names under which the service is known there."""
    networks = model.get("networks") or {}
    return {
        str(networks[name].get("name", name)): [service, *((how or {}).get("aliases") or [])]
        for name, how in (model["services"][service].get("networks") or {}).items()
    }
