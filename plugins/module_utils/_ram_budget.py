# Copyright (c) 2026, Somos Infra maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The gate: whether the containers of a Compose model fit the memory of the host that is to run them. All in MiB."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from ansible_collections.somos.infra.plugins.module_utils._ram_model import Demand
from ansible_collections.somos.infra.plugins.module_utils._ram_plan import (
    SERVICES,
    SURGING,
    PlanError,
    ram_plan,
    reserve_floor_mb,
)
from ansible_collections.somos.infra.plugins.module_utils._ram_settings import Problem, check

IDLE_PART = 8  # memory that nobody may use is worth a word from an eighth of the host on
HEADLINES = (
    "shared_buffers_mb",
    "effective_cache_size_mb",
    "maxmemory_mb",
    "workers",
    "concurrency",
    "max_old_space_mb",
    "gomemlimit_mb",
)


class Violation(NamedTuple):
    service: str  # empty: the host as a whole
    problem: Problem


def judge(
    demands: Sequence[Demand], total_mb: int, reserve_mb: int | None = None, surge_mb: int | None = None
) -> dict[str, Any]:
    """The verdict as data. A reserve or surge that is not given is the least with which this host and model work."""
    lasting = [demand for demand in demands if not demand.job and demand.replicas]
    totals = _totals(demands, total_mb, reserve_mb, surge_mb)
    planned = _planned(lasting, total_mb)
    violations = [
        violation
        for demand in (*lasting, *(demand for demand in demands if demand.job))
        for violation in _judge_service(demand, totals["surge_mb"], planned)
    ]
    if totals["free_mb"] < 0:
        violations.append(Violation("", _over_total(totals)))
    return {
        "table": [_row(demand) for demand in demands],
        "totals": totals,
        "violations": [{"service": service, **problem._asdict()} for service, problem in violations],
        "suggestions": _suggestions(lasting, totals, planned),
        "tree": tree(demands, totals),
    }


def tree(demands: Sequence[Demand], totals: dict[str, int]) -> str:
    """The plan as the tree in which the original plan was drawn."""
    lines = [(demand.service, _amount(demand), _detail(demand)) for demand in demands if not demand.job]
    jobs = ", ".join(f"{demand.service} {_amount(demand)}" for demand in demands if demand.job)
    lines += [
        ("deploy surge", f"{totals['surge_mb']} MiB", "one replica more" + (f"; jobs: {jobs}" if jobs else "")),
        ("OS + Docker", f"{totals['reserve_mb']} MiB", ""),
        ("free", f"{totals['free_mb']} MiB", ""),
    ]
    name_width = max(len(name) for name, _, _ in lines) + 1
    amount_width = max(len(amount) for _, amount, _ in lines)
    text = [f"Total: {totals['total_mb']} MiB RAM"]
    for place, (name, amount, detail) in enumerate(lines, start=1):
        branch = "└──" if place == len(lines) else "├──"
        text.append(
            f"{branch} {name + ':':<{name_width}} {amount:>{amount_width}}" + (f"  ({detail})" if detail else "")
        )
    return "\n".join(text)


def refusal(where: str, verdict: dict[str, Any]) -> str:
    """The verdict as a message: the tree, then each violation with what to do about it."""
    violations = verdict["violations"]
    lines = [f"The containers of {where} do not fit this host's memory:", "", verdict["tree"], ""]
    lines += [f"{place}. {found['message']}. Fix: {found['fix']}." for place, found in enumerate(violations, start=1)]
    if verdict["suggestions"]:
        lines += ["", "Suggestions:", *(f"- {words}" for words in verdict["suggestions"])]
    return "\n".join(lines)


def _totals(demands: Sequence[Demand], total: int, reserve: int | None, surge: int | None) -> dict[str, int]:
    lasting = [demand for demand in demands if not demand.job]
    surging = [demand.limit_mb or 0 for demand in demands if demand.job or demand.service in SURGING]
    containers = sum((demand.limit_mb or 0) * demand.replicas for demand in lasting)
    least_reserve = reserve_floor_mb(total, sum(demand.replicas for demand in lasting))
    totals = {
        "total_mb": total,
        "containers_mb": containers,
        "surge_mb": max(surging, default=0) if surge is None else surge,
        "reserve_mb": least_reserve if reserve is None else reserve,
    }
    needed = containers + totals["surge_mb"] + totals["reserve_mb"]
    return {**totals, "needed_mb": needed, "free_mb": total - needed}


def _judge_service(demand: Demand, surge: int, planned: dict[str, int]) -> list[Violation]:
    name, limit = demand.service, demand.limit_mb
    if limit is None:
        like = f", for instance the {planned[name]} MiB of the plan" if name in planned else ""
        problem = Problem(
            "no_limit",
            f"{name} has no memory limit: it can take all of the host and have any other container killed",
            f"set deploy.resources.limits.memory{like}",
        )
        return [Violation(name, problem)]
    problems = check(name, limit, demand.settings)
    if limit > surge and (demand.job or name in SURGING):
        what = "runs during a deploy" if demand.job else "has one replica more during a deploy"
        problems.append(
            Problem(
                "surge",
                f"{name} {what} and needs {limit} MiB for it, the surge has {surge} MiB",
                f"raise the surge to {limit} MiB or lower the limit of {name}",
            )
        )
    return [Violation(name, problem) for problem in problems]


def _over_total(totals: dict[str, int]) -> Problem:
    return Problem(
        "over_total",
        f"containers {totals['containers_mb']} + deploy surge {totals['surge_mb']} + OS and Docker "
        f"{totals['reserve_mb']} = {totals['needed_mb']} MiB, {-totals['free_mb']} MiB more than the "
        f"{totals['total_mb']} MiB of this host",
        "plan for this host (somos_ram_profile: auto), lower the limits in somos_ram_overrides, "
        f"or take a server that reports at least {totals['needed_mb']} MiB",
    )


def _planned(lasting: Sequence[Demand], total: int) -> dict[str, int]:
    """What the plan would give the services it knows on this host; nothing if no plan fits it."""
    try:
        plan = ram_plan(total, services=[demand.service for demand in lasting if demand.service in SERVICES])
    except PlanError:
        return {}
    return {name: service["limit_mb"] for name, service in plan["services"].items()}


def _suggestions(lasting: Sequence[Demand], totals: dict[str, int], planned: dict[str, int]) -> list[str]:
    words = []
    for demand in lasting:
        name, limit = demand.service, demand.limit_mb or 0
        if totals["free_mb"] < 0 and limit > planned.get(name, limit):
            words.append(f"{name}: lower the limit from {limit} to {planned[name]} MiB, the plan for this host")
        if "concurrency" in demand.settings and "max_memory_per_child_mb" not in demand.settings:
            words.append(
                f"{name}: set --max-memory-per-child, so that a child that leaks is replaced before all are killed"
            )
    if totals["free_mb"] > totals["total_mb"] // IDLE_PART:
        words.append(f"{totals['free_mb']} MiB are given to nobody: somos_ram_profile auto would divide them")
    return words


def _row(demand: Demand) -> dict[str, Any]:
    total = None if demand.limit_mb is None else demand.limit_mb * demand.replicas
    return {**demand._asdict(), "total_mb": total}


def _amount(demand: Demand) -> str:
    return "no limit" if demand.limit_mb is None else f"{demand.limit_mb * (1 if demand.job else demand.replicas)} MiB"


def _detail(demand: Demand) -> str:
    words = [f"{demand.replicas} x {demand.limit_mb} MiB"] if demand.replicas != 1 and demand.limit_mb else []
    for key in HEADLINES:
        if key in demand.settings:
            name, amount = key.removesuffix("_mb"), demand.settings[key]
            words.append(f"{name}={amount}MB" if key.endswith("_mb") else f"{name}={amount}")
    return ", ".join(words)
