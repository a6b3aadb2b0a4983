# Copyright (c) 2026, Somos Infra maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a merged Compose model asks of the host's memory.

The model (`docker compose config --format json`) holds every secret of the project in clear: in `environment`, and in
commands such as `--requirepass`. Nothing but names and whole numbers leaves this file.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Collection, Iterator, Mapping
from itertools import pairwise
from typing import Any, NamedTuple

from ansible_collections.somos.infra.plugins.module_utils._ram_plan import SERVICES

KIB, MIB, GIB, TIB = 1024, 1024**2, 1024**3, 1024**4
REDIS_SERVERS = {"redis-server", "valkey-server"}


class ModelError(ValueError):
    """The model says something about memory that cannot be read."""


class Demand(NamedTuple):
    """What one service of the model asks for."""

    service: str
    limit_mb: int | None  # of one container; None: no limit
    replicas: int
    job: bool  # `up` does not start it: its profile is not active
    settings: dict[str, int]  # what it is told to use, named as in the RAM plan


def read_model(
    model: Mapping[str, Any], active: Collection[str], settings: Mapping[str, Mapping[str, int]]
) -> list[Demand]:
    """The demands of all services, in the plan's order.

    `active` are the services that `up` starts. `settings` are what services are told in files, which the model does not
    show; what stands in the environment or on the command line overrides a file, in the services as here.
    """
    order = {name: place for place, name in enumerate(SERVICES)}
    names = sorted(model.get("services") or {}, key=lambda name: (order.get(name, len(order)), name))
    return [_demand(name, model["services"][name], name in active, settings.get(name) or {}) for name in names]


def _demand(name: str, service: Mapping[str, Any], active: bool, settings: Mapping[str, int]) -> Demand:
    deploy = service.get("deploy") or {}
    limits = (deploy.get("resources") or {}).get("limits") or {}
    limit = limits.get("memory") or service.get("mem_limit")
    replicas = deploy.get("replicas", service.get("scale"))
    told = {**settings, **_told(name, service)}
    if told.keys() & {option.setting for option in _POSTGRES.values()}:
        told["shm_size_mb"] = _mib(int(service.get("shm_size") or 64 * MIB))
    return Demand(
        service=name,
        limit_mb=_mib(int(limit)) if limit and int(limit) else None,
        replicas=1 if replicas is None else int(replicas),
        job=not active,
        settings=told,
    )


def _told(name: str, service: Mapping[str, Any]) -> dict[str, int]:
    """The settings in a service's environment and command."""
    environment = service.get("environment") or {}
    arguments = (*(service.get("entrypoint") or []), *(service.get("command") or []))
    words = [word for argument in arguments for word in _split(str(argument))]
    programs = {_base(word) for word in words}
    more = [word for key in ("NODE_OPTIONS", "GUNICORN_CMD_ARGS") for word in _split(environment.get(key) or "")]
    variables = [(key, str(environment[key])) for key in ("GOMEMLIMIT", "WEB_CONCURRENCY") if environment.get(key)]
    told: dict[str, int] = {}
    for key, value in (*variables, *_assignments(more), *_assignments(words)):
        option = _OPTIONS.get(key)
        if option is None or (option.programs and not option.programs & programs):
            continue
        try:
            number = option.read(value)
        except ValueError as error:
            raise ModelError(f"service {name}: the value of {key} is not a size or number that can be read") from error
        if number is not None:
            told[option.setting] = number
    if programs & REDIS_SERVERS and not _reads_a_file(words):
        told.setdefault("maxmemory_mb", 0)
    return told


def _assignments(words: list[str]) -> Iterator[tuple[str, str]]:
    """Every `--flag value`, `--flag=value` and PostgreSQL's `-c name=value`, in order: the last one counts."""
    for word, following in pairwise((*words, "")):
        flag, equals, value = (following if word == "-c" and "=" in following else word).partition("=")
        yield flag, value if equals else following


def _split(text: str) -> list[str]:
    """The words of an argument, which may be a whole command line for a shell."""
    try:
        return shlex.split(text)
    except ValueError:
        return text.split()


def _reads_a_file(words: list[str]) -> bool:
    """Whether a Redis server is given a configuration file: the word behind the program that is no option."""
    place = next(index for index, word in enumerate(words) if _base(word) in REDIS_SERVERS)
    return len(words) > place + 1 and not words[place + 1].startswith("-")


def _base(path: str) -> str:
    return path.rpartition("/")[2]


def _mib(size: int) -> int:
    return -(-size // MIB)


def _size(units: Mapping[str, int]) -> Callable[[str], int | None]:
    """A reader of sizes in those units, "" being the unit of a bare number. -1 and "off" say nothing: None."""

    def read(text: str) -> int | None:
        value = text.strip().strip("'\"").lower()
        if value in ("-1", "off"):
            return None
        match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([a-z]*)", value)
        if not match or match[2] not in units:
            raise ValueError
        return _mib(int(float(match[1]) * units[match[2]]))

    return read


_BINARY = {"b": 1, "kb": KIB, "mb": MIB, "gb": GIB, "tb": TIB}
_PAGES = _size({"": 8192, **_BINARY})
_KILOBYTES = _size({"": KIB, **_BINARY})
_REDIS_SIZE = _size({"": 1, **_BINARY, "k": 1000, "m": 1000**2, "g": 1000**3})
_GO_SIZE = _size({"": 1, "b": 1, "kib": KIB, "mib": MIB, "gib": GIB, "tib": TIB})


class _Option(NamedTuple):
    setting: str
    read: Callable[[str], int | None]
    programs: frozenset[str] = frozenset()  # it means this only to these programs; empty: whoever is given it


_POSTGRES = {
    "shared_buffers": _Option("shared_buffers_mb", _PAGES),
    "effective_cache_size": _Option("effective_cache_size_mb", _PAGES),
    "wal_buffers": _Option("wal_buffers_mb", _PAGES),
    "work_mem": _Option("work_mem_mb", _KILOBYTES),
    "maintenance_work_mem": _Option("maintenance_work_mem_mb", _KILOBYTES),
    "autovacuum_work_mem": _Option("autovacuum_work_mem_mb", _KILOBYTES),
    "max_connections": _Option("max_connections", int),
}
_WORKERS = _Option("workers", int, frozenset({"gunicorn", "uvicorn"}))
_CONCURRENCY = _Option("concurrency", int, frozenset({"celery"}))
_OLD_SPACE = _Option("max_old_space_mb", _size({"": MIB}))
_OPTIONS: dict[str, _Option] = {
    **_POSTGRES,
    **{f"--{name}": option for name, option in _POSTGRES.items()},
    **{f"--{name.replace('_', '-')}": option for name, option in _POSTGRES.items()},
    "--maxmemory": _Option("maxmemory_mb", _REDIS_SIZE),
    "--workers": _WORKERS,
    "-w": _WORKERS,
    "WEB_CONCURRENCY": _Option("workers", int),
    "--concurrency": _CONCURRENCY,
    "-c": _CONCURRENCY,
    "--max-memory-per-child": _Option("max_memory_per_child_mb", _KILOBYTES),
    "--max-old-space-size": _OLD_SPACE,
    "--max_old_space_size": _OLD_SPACE,
    "GOMEMLIMIT": _Option("gomemlimit_mb", _GO_SIZE),
}
