# Copyright (c) 2026, Somos Infra maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The RAM plan of a host: a memory limit for every container, from the memory the host really has. All figures in MiB.

One number decides everything: the scale. At scale 1 a service has its share of the original plan of 32 GB; below and
above, every share shrinks and grows alike, but never under the floor with which the service still does its work, nor
over the cap above which it would not use more. The plan takes the largest scale at which all containers, one replica
more (the surge of a deploy) and the operating system's floor fit. Rounding and clamping keep order, so more memory
never gives any service less.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from ansible_collections.somos.infra.plugins.module_utils._ram_settings import check, derive

# Kernel and firmware keep 2-5% of what is sold: MemTotal as servers of these sizes report it.
PROFILES: dict[str, int] = {"16g": 15600, "32g": 32000, "64g": 64000}

STEP_MB = 8
SCALE_ONE = 1000  # the scale counts in thousandths: integers only, so that a plan never depends on a float
SMALLEST_LIMIT_MB = 6  # Docker refuses less
# OS + Docker: kernel, systemd, journald, sshd, dockerd, containerd, a backup that runs; for each container its shim and
# port proxies; one sixteenth of a large host, whose page tables, slab and network buffers grow with it.
RESERVE_BASE_MB = 1024
RESERVE_CONTAINER_MB = 20
RESERVE_PART = 16


class PlanError(ValueError):
    """No plan can be made of what was asked for; the message says why and what to change."""


class Share(NamedTuple):
    """What one container of a service gets."""

    floor: int  # with less it does not do its work
    original: int  # in the original plan of 32 GB
    cap: int | None  # more it would not use; None: it uses what it gets
    replicas: int = 1

    def at(self, scale: int) -> int:
        wanted = (self.original * scale // SCALE_ONE + STEP_MB // 2) // STEP_MB * STEP_MB
        return max(self.floor, wanted if self.cap is None else min(wanted, self.cap))


def _fixed(limit_mb: int) -> Share:
    """A helper whose needs do not grow with the host."""
    return Share(limit_mb, limit_mb, limit_mb)


# In the order of the original plan's table, the containers it forgot behind the ones they belong to.
SERVICES: dict[str, Share] = {
    "postgres": Share(2560, 8192, None),
    "redis": Share(256, 1024, 8192),  # broker and cache share the 2 GB of the one Redis they were
    "redis-cache": Share(256, 1024, 8192),
    "qdrant": Share(1024, 4096, None),
    "backend": Share(640, 2048, 4096, replicas=2),
    "celery-worker": Share(1536, 4096, 16384),
    "celery-beat": _fixed(256),
    "flower": _fixed(256),
    "frontend": Share(384, 1024, 2048, replicas=2),
    "object-storage": Share(512, 2048, 8192),
    "nginx": Share(128, 512, 1024),
    "certbot": _fixed(192),
    "prometheus": Share(384, 1024, 4096),  # with Grafana and Loki the 2 GB of "Monitoramento"
    "grafana": Share(256, 384, 768),
    "loki": Share(256, 640, 2048),
    "alertmanager": _fixed(128),
    "alloy": _fixed(256),
    "cadvisor": _fixed(256),
    "node-exporter": _fixed(64),
    "blackbox-exporter": _fixed(64),
    "postgres-exporter": _fixed(64),
    "redis-exporter": _fixed(64),
    "nginx-exporter": _fixed(64),
    "celery-exporter": _fixed(128),
}
# Replaced one replica at a time, the new one healthy before the old one goes. The one-shot job `migrate` runs before
# that, in the same room.
SURGING = ("backend", "frontend")


def ram_plan(
    total_mb: int,
    profile: str = "auto",
    services: Iterable[str] | None = None,
    overrides: Mapping[str, Mapping[str, Any]] | None = None,
) -> dict[str, Any]:
    """The plan for the services (None: all) of a host with `total_mb` of memory, or of the one that `profile` names."""
    budget = _budget(total_mb, profile)
    here = _chosen(services)
    own = {name: values for name, values in _overrides(overrides).items() if name in here}
    replicas = {name: own.get(name, {}).get("replicas", SERVICES[name].replicas) for name in here}
    fixed = {name: values["limit_mb"] for name, values in own.items() if "limit_mb" in values}
    containers = sum(replicas.values())

    def limits(scale: int) -> dict[str, int]:
        return {name: fixed.get(name) or SERVICES[name].at(scale) for name in here}

    def demand(scale: int) -> int:
        return used_mb(limits(scale), replicas) + surge_mb(limits(scale))

    room = budget - reserve_floor_mb(budget, containers)
    if demand(0) > room:
        raise PlanError(_too_small(budget, demand(0), containers, here, fixed))
    # Beyond this scale every share exceeds the host, or is capped.
    scale = bisect_right(range(1, budget * SCALE_ONE // STEP_MB), room, key=demand)
    chosen = limits(scale)
    return {
        "total_mb": budget,
        "reserve_mb": budget - demand(scale),
        "surge_mb": surge_mb(chosen),
        "services": {
            name: {
                "limit_mb": chosen[name],
                "replicas": replicas[name],
                "settings": _settings(name, chosen[name], own.get(name, {}).get("settings", {})),
            }
            for name in here
        },
    }


def used_mb(limits: Mapping[str, int], replicas: Mapping[str, int]) -> int:
    return sum(limit * replicas[name] for name, limit in limits.items())


def surge_mb(limits: Mapping[str, int]) -> int:
    return max((limits[name] for name in SURGING if name in limits), default=0)


def reserve_floor_mb(total_mb: int, containers: int) -> int:
    """The least that the operating system and Docker keep on a host of this size with so many containers."""
    return max(RESERVE_BASE_MB + RESERVE_CONTAINER_MB * containers, total_mb // RESERVE_PART)


def _budget(total_mb: int, profile: str) -> int:
    if profile not in ("auto", *PROFILES):
        raise PlanError(f"somos_ram_profile is {profile!r}; it must be one of: {', '.join(('auto', *PROFILES))}")
    total = _whole("the host's memory (total_mb)", total_mb, 1)
    return PROFILES.get(profile, total)


def _chosen(services: Iterable[str] | None) -> list[str]:
    if isinstance(services, str):
        raise PlanError(f"services must be a list of service names, not the text {services!r}")
    wanted = set(SERVICES if services is None else map(str, services))
    _known("services", wanted)
    return [name for name in SERVICES if name in wanted]


def _known(where: str, names: Iterable[str]) -> None:
    unknown = sorted({str(name) for name in names} - set(SERVICES))
    if unknown:
        raise PlanError(f"{where} has {', '.join(unknown)}; the RAM plan knows only: {', '.join(SERVICES)}")


def _overrides(overrides: Mapping[str, Mapping[str, Any]] | None) -> dict[str, dict[str, Any]]:
    """The operator's own lines, every mistake named by its full path."""
    where = "somos_ram_overrides"
    if not isinstance(overrides or {}, Mapping):
        raise PlanError(f"{where} must map service names to limit_mb, replicas and settings, not be {overrides!r}")
    _known(where, overrides or {})
    checked: dict[str, dict[str, Any]] = {}
    for name, values in (overrides or {}).items():
        path = f"{where}.{name}"
        _keys(path, values, ("limit_mb", "replicas", "settings"))
        settings = values.get("settings", {})
        _keys(f"{path}.settings", settings, tuple(derive(name, SERVICES[name].original)))
        own = {key: _whole(f"{path}.settings.{key}", value, 1) for key, value in settings.items()}
        checked[name] = {"settings": own}
        for key, least in (("limit_mb", SMALLEST_LIMIT_MB), ("replicas", 1)):
            if key in values:
                checked[name][key] = _whole(f"{path}.{key}", values[key], least)
    return checked


def _keys(path: str, values: object, allowed: tuple[str, ...]) -> None:
    if not isinstance(values, Mapping):
        raise PlanError(f"{path} must be a mapping with any of: {', '.join(allowed) or 'nothing'}; it is {values!r}")
    unknown = sorted(set(map(str, values)) - set(allowed))
    if unknown:
        raise PlanError(f"{path} has {', '.join(unknown)}; it can have: {', '.join(allowed) or 'nothing'}")


def _whole(what: str, value: object, least: int) -> int:
    try:
        number = int(str(value))
    except ValueError:
        number = None
    if number is None or number < least:
        raise PlanError(f"{what} must be a whole number, at least {least}; it is {value!r}")
    return number


def _settings(service: str, limit_mb: int, fixed: Mapping[str, int]) -> dict[str, int]:
    settings = derive(service, limit_mb, fixed)
    problems = check(service, limit_mb, settings)
    if problems:
        words = "; ".join(f"{problem.message} ({problem.fix})" for problem in problems)
        raise PlanError(f"somos_ram_overrides.{service} does not fit: {words}")
    return settings


def _too_small(budget: int, demand: int, containers: int, here: list[str], fixed: Mapping[str, int]) -> str:
    # The least host at which `demand` fits beside both kinds of reserve.
    needed = max(demand + reserve_floor_mb(0, containers), -(-demand * RESERVE_PART // (RESERVE_PART - 1)))
    own = ", ".join(f"{name} {limit} MiB" for name, limit in fixed.items())
    return (
        f"{budget} MiB of memory are too little for the services {', '.join(here)}: their smallest plan needs "
        f"{needed} MiB ({demand} for the containers and one replica more while deploying, {needed - demand} for the "
        "operating system and Docker). Take a larger server, move services to another host, or "
        + (f"lower the limits in somos_ram_overrides ({own})." if own else "set smaller limits in somos_ram_overrides.")
    )
