"""Write the tables and the example of docs/ram.md from the code.

PYTHONPATH=.ansible/collections python docs/ram_table.py
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ansible_collections.somos.infra.plugins.module_utils._ram_budget import judge, refusal
from ansible_collections.somos.infra.plugins.module_utils._ram_model import Demand
from ansible_collections.somos.infra.plugins.module_utils._ram_plan import PROFILES, SERVICES, ram_plan

PAGE = Path(__file__).parent / "ram.md"

# The lines of the original plan, "Distribuicao de RAM por Servico", with the services they stand for.
ORIGINAL_MB: dict[str, tuple[int, tuple[str, ...]]] = {
    "PostgreSQL": (8192, ("postgres",)),
    "Redis: broker + cache": (2048, ("redis", "redis-cache")),
    "Qdrant": (4096, ("qdrant",)),
    "Backend": (4096, ("backend",)),
    "Celery worker": (4096, ("celery-worker",)),
    "Frontend": (2048, ("frontend",)),
    "Object storage": (2048, ("object-storage",)),
    "Nginx": (512, ("nginx",)),
    "Monitoring: Prometheus + Grafana + Loki": (2048, ("prometheus", "grafana", "loki")),
}
ORIGINAL_RESERVE_MB = 3584
# What the original Compose file tells the services; None: nothing.
ORIGINAL_SETTINGS: dict[tuple[str, str], int | None] = {
    ("postgres", "shared_buffers_mb"): 4096,
    ("postgres", "effective_cache_size_mb"): 6144,
    ("postgres", "maintenance_work_mem_mb"): 512,
    ("postgres", "autovacuum_work_mem_mb"): None,
    ("postgres", "wal_buffers_mb"): 64,
    ("postgres", "max_connections"): 200,
    ("postgres", "work_mem_mb"): 64,
    ("postgres", "shm_size_mb"): None,
    ("redis", "maxmemory_mb"): 2048,
    ("redis-cache", "maxmemory_mb"): None,
    ("backend", "workers"): 4,
    ("celery-worker", "concurrency"): 4,
    ("celery-worker", "max_memory_per_child_mb"): None,
    ("frontend", "max_old_space_mb"): None,
    ("object-storage", "gomemlimit_mb"): None,
}


def tables() -> str:
    plans = [ram_plan(total, profile) for profile, total in PROFILES.items()]
    heads = [f"{profile.removesuffix('g')} GB" for profile in PROFILES]
    limits = [
        [name, str(mb), *(_limits(plan, services) for plan in plans)] for name, (mb, services) in ORIGINAL_MB.items()
    ]
    rest = [name for name in SERVICES if not any(name in services for _, services in ORIGINAL_MB.values())]
    limits += [[name, "-", *(_limits(plan, (name,)) for plan in plans)] for name in rest]
    limits += [
        ["Deploy surge", "-", *(str(plan["surge_mb"]) for plan in plans)],
        ["OS + Docker", str(ORIGINAL_RESERVE_MB), *(str(plan["reserve_mb"]) for plan in plans)],
    ]
    original_total = sum(mb for mb, _ in ORIGINAL_MB.values()) + ORIGINAL_RESERVE_MB
    limits.append(["**Total**", *(f"**{total}**" for total in (original_total, *(plan["total_mb"] for plan in plans)))])
    settings = [
        [f"{service} {key}", "-" if value is None else str(value), *(_setting(plan, service, key) for plan in plans)]
        for (service, key), value in ORIGINAL_SETTINGS.items()
    ]
    return "\n\n".join(
        [
            "Limits in MiB (replicas x limit of one):",
            _markdown(["service", "original, 32 GB", *heads], limits),
            "What the services are told to use inside (`_mb`: MiB; workers: of one replica, the original has one):",
            _markdown(["setting", "original, 32 GB", *heads], settings),
        ]
    )


def example() -> str:
    """A refusal with one violation of each common kind."""
    demands = [
        Demand("redis", 2048, 1, False, {"maxmemory_mb": 2048}),
        Demand("backend", 4096, 2, False, {"workers": 2}),
        Demand("nginx", None, 1, False, {}),
    ]
    return "\n".join(["```", refusal("/opt/somos", judge(demands, PROFILES["16g"])), "```"])


def page(text: str) -> str:
    """The page with its generated parts as the code has them now."""
    for name, part in (("TABLES", tables()), ("EXAMPLE", example())):
        begin, end = f"<!-- BEGIN GENERATED {name} -->", f"<!-- END GENERATED {name} -->"
        before, _, rest = text.partition(begin)
        text = f"{before}{begin}\n{part}\n{end}{rest.partition(end)[2]}"
    return text


def _limits(plan: dict[str, Any], services: tuple[str, ...]) -> str:
    chosen = [plan["services"][name] for name in services]
    return " + ".join(
        f"{one['replicas']} x {one['limit_mb']}" if one["replicas"] > 1 else str(one["limit_mb"]) for one in chosen
    )


def _setting(plan: dict[str, Any], service: str, key: str) -> str:
    return str(plan["services"][service]["settings"][key])


def _markdown(head: list[str], rows: list[list[str]]) -> str:
    rule = ["---", *["---:"] * (len(head) - 1)]
    return "\n".join("| " + " | ".join(row) + " |" for row in (head, rule, *rows))


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
