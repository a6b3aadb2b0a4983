# Copyright (c) 2026, Somos Infra maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a service is told to use inside its container: derived from its memory limit, and checked against it.

Every figure is in MiB (PostgreSQL's "MB", Redis' "mb" and Node's megabytes are MiB too). The planner and the gate use
the same checks, so a plan that was derived here cannot be refused there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

Settings = dict[str, int]

# A backend process beyond its work_mem: catalogue and plan caches, page tables. 2-3 MiB idle, about 10 MiB busy.
POSTGRES_CONNECTION_MB = 5
POSTGRES_AUTOVACUUM_WORKERS = 3  # PostgreSQL's default autovacuum_max_workers
# What PostgreSQL takes for a setting that nobody gives it (wal_buffers: at most one WAL segment).
POSTGRES_DEFAULTS: Settings = {
    "shared_buffers_mb": 128,
    "work_mem_mb": 4,
    "maintenance_work_mem_mb": 64,
    "max_connections": 100,
    "wal_buffers_mb": 16,
    "shm_size_mb": 64,  # Docker's default /dev/shm
}

# While Redis forks to save, pages that change meanwhile exist twice; allocator fragmentation comes on top.
REDIS_MAXMEMORY_PERCENT = 60
REDIS_MAXMEMORY_PERCENT_MAX = 66
# V8's old space is not all of Node: young generation, code, buffers and the native heap live beside it.
NODE_OLD_SPACE_PERCENT = 75
NODE_OLD_SPACE_PERCENT_MAX = 80
# GOMEMLIMIT is a soft limit of Go's runtime: it may be overshot, and memory-mapped files are not in it.
GO_MEMLIMIT_PERCENT = 85
GO_MEMLIMIT_PERCENT_MAX = 90

APP_PROCESS_MB = 256  # a Python process of the application with its imports, doing nothing
APP_PROCESS_COMFORT_MB = 1024  # "1 GB por worker": what the original plan gives each
BACKEND_WORKERS = 2  # per replica; two replicas make the four workers of the original plan
CELERY_CONCURRENCY = 4


class Problem(NamedTuple):
    """One thing that does not fit: a stable code, what is wrong with names and numbers, and what to do about it."""

    code: str
    message: str
    fix: str


def derive(service: str, limit_mb: int, fixed: Mapping[str, int] | None = None) -> Settings:
    """The inner settings of `service` under `limit_mb`. `fixed` are the operator's own; the others follow from them."""
    return _DERIVE[service](limit_mb, fixed or {}) if service in _DERIVE else {}


def check(service: str, limit_mb: int, settings: Mapping[str, int]) -> list[Problem]:
    """Which of the settings a service is given do not fit its limit. What a service is not told is not judged."""
    return [problem for judge in _CHECKS for problem in judge(service, limit_mb, settings)]


def postgres_demand_mb(settings: Mapping[str, int]) -> int:
    """The memory PostgreSQL may take at once, by a deliberately simple model.

    shared_buffers + wal_buffers + max_connections x (one work_mem + the process itself)
    + one maintenance_work_mem (an index build) + autovacuum's workers at autovacuum_work_mem each.

    One query can use several work_mem, but then not every connection is in the middle of one; the page cache is charged
    to the container as well, but the kernel takes it back before it kills.
    """
    given = {**POSTGRES_DEFAULTS, **settings}
    autovacuum = given.get("autovacuum_work_mem_mb", given["maintenance_work_mem_mb"])
    return (
        given["shared_buffers_mb"]
        + given["wal_buffers_mb"]
        + given["max_connections"] * (given["work_mem_mb"] + POSTGRES_CONNECTION_MB)
        + given["maintenance_work_mem_mb"]
        + POSTGRES_AUTOVACUUM_WORKERS * autovacuum
    )


def _postgres(limit: int, fixed: Mapping[str, int]) -> Settings:
    """The original plan's ratios: of 8 GB, 4 shared, 6 cache, 512 MB maintenance, 64 MB WAL, 200 connections.

    work_mem is what is left; the 64 MB of the original plan would need 13.5 GB for 200 connections.
    """
    settings: Settings = {
        # Above 16 GiB the page cache serves better than a second copy of it.
        "shared_buffers_mb": min(limit // 2, 16384),
        "effective_cache_size_mb": limit * 3 // 4,
        "maintenance_work_mem_mb": _between(64, limit // 16, 2048),
        "autovacuum_work_mem_mb": _between(32, limit // 64, 512),
        "wal_buffers_mb": _between(16, limit // 1600 * 16, 64),
        # 100 is what two backends with full pools, the workers and the exporters can open.
        "max_connections": _between(100, limit // 360 * 10, 200),
        **fixed,
    }
    without = postgres_demand_mb({**settings, "work_mem_mb": 0})
    settings.setdefault("work_mem_mb", _between(1, (limit - without) // settings["max_connections"], 256))
    # A parallel index build puts all of maintenance_work_mem into /dev/shm, beside the hash tables of parallel queries.
    settings.setdefault("shm_size_mb", max(256, 2 * settings["maintenance_work_mem_mb"]))
    return settings


def _redis(limit: int, fixed: Mapping[str, int]) -> Settings:
    return {"maxmemory_mb": limit * REDIS_MAXMEMORY_PERCENT // 100, **fixed}


def _backend(limit: int, fixed: Mapping[str, int]) -> Settings:
    return {"workers": max(BACKEND_WORKERS, limit // APP_PROCESS_COMFORT_MB), **fixed}


def _celery(limit: int, fixed: Mapping[str, int]) -> Settings:
    """One process for the parent; a tenth for children that Celery replaces only after the task that made them big."""
    settings: Settings = {"concurrency": max(CELERY_CONCURRENCY, limit // APP_PROCESS_COMFORT_MB), **fixed}
    child = (limit - APP_PROCESS_MB) * 9 // 10 // settings["concurrency"]
    settings.setdefault("max_memory_per_child_mb", max(1, child))
    return settings


def _frontend(limit: int, fixed: Mapping[str, int]) -> Settings:
    return {"max_old_space_mb": limit * NODE_OLD_SPACE_PERCENT // 100, **fixed}


def _object_storage(limit: int, fixed: Mapping[str, int]) -> Settings:
    return {"gomemlimit_mb": limit * GO_MEMLIMIT_PERCENT // 100, **fixed}


def _check_postgres(service: str, limit: int, settings: Mapping[str, int]) -> list[Problem]:
    if "max_connections" not in settings and "shared_buffers_mb" not in settings and "work_mem_mb" not in settings:
        return []
    given = {**POSTGRES_DEFAULTS, **settings}
    connections, work_mem = given["max_connections"], given["work_mem_mb"]
    maintenance, cache = given["maintenance_work_mem_mb"], given.get("effective_cache_size_mb", 0)
    demand = postgres_demand_mb(settings)
    room = (limit - postgres_demand_mb({**settings, "work_mem_mb": 0})) // connections
    over_limit = Problem(
        "postgres_over_limit",
        f"{service} may take {demand} MiB under a limit of {limit} MiB: shared_buffers {given['shared_buffers_mb']}"
        f" + wal_buffers {given['wal_buffers_mb']}"
        f" + {connections} connections x (work_mem {work_mem} + {POSTGRES_CONNECTION_MB} each)"
        f" + maintenance_work_mem {maintenance}"
        f" + {POSTGRES_AUTOVACUUM_WORKERS} autovacuum workers x {given.get('autovacuum_work_mem_mb', maintenance)}",
        f"{connections} connections x work_mem {work_mem} are {connections * work_mem} MiB: "
        + (f"set work_mem to {room} MiB" if room > 0 else "lower max_connections, shared_buffers or work_mem")
        + f", or raise the limit to {demand} MiB",
    )
    cache_over_limit = Problem(
        "postgres_cache_over_limit",
        f"{service} counts on a cache (effective_cache_size) of {cache} MiB under a limit of {limit} MiB",
        f"set effective_cache_size to {limit * 3 // 4} MiB, three quarters of the limit",
    )
    shm = Problem(
        "postgres_shm",
        f"{service} has a /dev/shm (shm_size) of {given['shm_size_mb']} MiB; a parallel index build needs more than "
        f"maintenance_work_mem, {maintenance} MiB",
        f"set shm_size to {max(256, 2 * maintenance)} MiB",
    )
    found = {over_limit: demand > limit, cache_over_limit: cache > limit, shm: given["shm_size_mb"] <= maintenance}
    return [problem for problem, wrong in found.items() if wrong]


def _check_redis(service: str, limit: int, settings: Mapping[str, int]) -> list[Problem]:
    maxmemory = settings.get("maxmemory_mb")
    allowed = limit * REDIS_MAXMEMORY_PERCENT_MAX // 100
    if maxmemory is None or 0 < maxmemory <= allowed:
        return []
    said = f"maxmemory {maxmemory} MiB" if maxmemory else "no maxmemory"
    return [
        Problem(
            "redis_maxmemory",
            f"{service} has {said} under a limit of {limit} MiB: to save, Redis forks, what is written meanwhile "
            "exists twice, and the kernel kills it",
            f"set maxmemory to {limit * REDIS_MAXMEMORY_PERCENT // 100} MiB, "
            f"at most {REDIS_MAXMEMORY_PERCENT_MAX}% of the limit, or raise the limit",
        )
    ]


def _check_processes(service: str, limit: int, settings: Mapping[str, int]) -> list[Problem]:
    if "concurrency" in settings:
        each = settings.get("max_memory_per_child_mb", APP_PROCESS_MB)
        needed = settings["concurrency"] * each + APP_PROCESS_MB
        said = f"{settings['concurrency']} children x {each} MiB + {APP_PROCESS_MB} MiB for their parent"
    else:
        needed = settings.get("workers", 0) * APP_PROCESS_MB
        said = f"{settings.get('workers', 0)} workers x {APP_PROCESS_MB} MiB"
    if needed <= limit:
        return []
    return [
        Problem(
            "processes_over_limit",
            f"{service} needs {needed} MiB ({said}) under a limit of {limit} MiB",
            f"start fewer or smaller processes, or raise the limit to {needed} MiB",
        )
    ]


def _heap_check(setting: str, name: str, percent: int) -> Callable[[str, int, Mapping[str, int]], list[Problem]]:
    def judge(service: str, limit: int, settings: Mapping[str, int]) -> list[Problem]:
        allowed = limit * percent // 100
        if settings.get(setting, 0) <= allowed:
            return []
        return [
            Problem(
                "heap_over_limit",
                f"{service} has {name} {settings[setting]} MiB under a limit of {limit} MiB: "
                "a process needs room beside its heap",
                f"set it to at most {allowed} MiB, {percent}% of the limit, or raise the limit",
            )
        ]

    return judge


def _between(low: int, value: int, high: int) -> int:
    return max(low, min(value, high))


_DERIVE: dict[str, Callable[[int, Mapping[str, int]], Settings]] = {
    "postgres": _postgres,
    "redis": _redis,
    "redis-cache": _redis,
    "backend": _backend,
    "celery-worker": _celery,
    "frontend": _frontend,
    "object-storage": _object_storage,
}
_CHECKS = (
    _check_postgres,
    _check_redis,
    _check_processes,
    _heap_check("max_old_space_mb", "--max-old-space-size", NODE_OLD_SPACE_PERCENT_MAX),
    _heap_check("gomemlimit_mb", "GOMEMLIMIT", GO_MEMLIMIT_PERCENT_MAX),
)
