"""The gate: derived plans pass on every host, and the mistakes of the original plan are refused in clear words."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from compose_model import compose_model, limited
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.somos.infra.plugins.module_utils._ram_budget import judge, refusal
from ansible_collections.somos.infra.plugins.module_utils._ram_model import read_model
from ansible_collections.somos.infra.plugins.module_utils._ram_plan import PROFILES, SERVICES, PlanError, ram_plan

MEM_TOTAL_32 = 32051  # 31.3 GiB: what a server of 32 GB has

# "Distribuicao de RAM por Servico": the services' lines, and its 3.5 GB for "SO + Docker".
ORIGINAL_TABLE_MB = {
    "postgres": 8192,
    "redis": 2048,
    "qdrant": 4096,
    "backend": 4096,
    "celery-worker": 4096,
    "frontend": 2048,
    "object-storage": 2048,
    "nginx": 512,
    "prometheus": 2048,
}
ORIGINAL_RESERVE_MB = 3584


def verdict(model: dict[str, Any], total: int, **given: int) -> dict[str, Any]:
    active = [name for name, service in model["services"].items() if not service.get("profiles")]
    return judge(read_model(model, active, {}), total, **given)


def gate(plan: dict[str, Any], total: int) -> dict[str, Any]:
    return verdict(compose_model(plan), total, reserve_mb=plan["reserve_mb"], surge_mb=plan["surge_mb"])


def found(judged: dict[str, Any]) -> set[tuple[str, str]]:
    return {(violation["code"], violation["service"]) for violation in judged["violations"]}


@pytest.fixture
def original() -> dict[str, Any]:
    """The original Compose file as Compose 2.26 merges it; without the name of the frontend, which it refuses."""
    model: dict[str, Any] = json.loads((Path(__file__).parent / "original_compose.json").read_text())
    return model


@given(st.integers(13_192, 300_000))
def test_the_derived_plan_passes_on_every_host(total: int) -> None:
    judged = gate(ram_plan(total), total)
    assert judged["violations"] == []
    assert judged["totals"]["free_mb"] == 0


@given(st.sets(st.sampled_from(sorted(SERVICES)), min_size=1), st.integers(1500, 100_000))
def test_the_derived_plan_of_some_services_passes(services: set[str], total: int) -> None:
    try:
        plan = ram_plan(total, services=services)
    except PlanError:
        return
    assert gate(plan, total)["violations"] == []
    assert verdict(compose_model(plan), total)["violations"] == [], "also with the least reserve and surge"


@pytest.mark.parametrize("profile", PROFILES)
def test_the_plan_of_each_profile_passes_on_its_host_told_by_files_or_commands(profile: str) -> None:
    plan = ram_plan(1, profile)
    assert gate(plan, PROFILES[profile])["violations"] == []
    bare = {name: limited(one["limit_mb"], one["replicas"]) for name, one in plan["services"].items()}
    bare["postgres"]["shm_size"] = str(plan["services"]["postgres"]["settings"]["shm_size_mb"] * 1024**2)
    settings = {name: service["settings"] for name, service in plan["services"].items()}
    demands = read_model({"services": bare}, list(bare), settings)
    assert judge(demands, PROFILES[profile], plan["reserve_mb"], plan["surge_mb"])["violations"] == []
    assert {one.service: one.settings for one in demands} == settings


def test_the_32_gb_plan_on_a_16_gb_host_is_refused_with_the_plan_that_fits() -> None:
    judged = gate(ram_plan(1, "32g"), 15_600)
    assert found(judged) == {("over_total", "")}
    (violation,) = judged["violations"]
    assert "= 32000 MiB, 16400 MiB more than the 15600 MiB of this host" in violation["message"]
    assert "somos_ram_profile: auto" in violation["fix"]
    fitting = ram_plan(15_600)["services"]["postgres"]["limit_mb"]
    assert any(f"to {fitting} MiB" in words and words.startswith("postgres:") for words in judged["suggestions"])


def test_a_container_without_a_limit_is_refused_by_name() -> None:
    model = {"services": {"postgres": limited(4096), "sidecar": {}, "nginx": {"deploy": {}}}}
    judged = verdict(model, 15_600)
    assert found(judged) == {("no_limit", "sidecar"), ("no_limit", "nginx")}
    assert "├── sidecar:" in judged["tree"] and "no limit" in judged["tree"]


def test_a_service_without_replicas_has_no_container_to_limit() -> None:
    assert verdict({"services": {"nginx": {"scale": 0}}}, 15_600)["violations"] == []


def test_the_original_table_is_refused_on_a_32_gb_server() -> None:
    model = {"services": {name: limited(limit) for name, limit in ORIGINAL_TABLE_MB.items()}}
    judged = verdict(model, MEM_TOTAL_32, reserve_mb=ORIGINAL_RESERVE_MB, surge_mb=0)
    assert found(judged) == {("over_total", ""), ("surge", "backend"), ("surge", "frontend")}
    assert "= 32768 MiB, 717 MiB more than the 32051 MiB of this host" in judged["violations"][-1]["message"]


def test_the_original_compose_file_is_refused_for_its_reasons(original: dict[str, Any]) -> None:
    judged = verdict(original, MEM_TOTAL_32)
    unlimited = ("nginx", "certbot", "celery-beat", "prometheus", "grafana", "loki", "node-exporter")
    assert found(judged) == {
        ("postgres_over_limit", "postgres"),
        ("postgres_shm", "postgres"),
        ("redis_maxmemory", "redis"),
        *(("no_limit", name) for name in unlimited),
        ("over_total", ""),
    }
    assert any("--max-memory-per-child" in words for words in judged["suggestions"])


def test_no_secret_of_the_model_is_in_the_verdict(original: dict[str, Any]) -> None:
    assert "secret-redis" in json.dumps(original)
    judged = verdict(original, MEM_TOTAL_32)
    assert "secret-" not in json.dumps(judged) + refusal("/opt/somos", judged)


def test_a_job_runs_in_the_surge_and_must_fit_it() -> None:
    model = {"services": {"backend": limited(1000, 2), "migrate": {"profiles": ["jobs"], **limited(1000)}}}
    judged = verdict(model, 8_000)
    assert judged["violations"] == []
    assert judged["totals"]["containers_mb"] == 2000
    assert found(verdict(model, 8_000, surge_mb=999)) == {("surge", "backend"), ("surge", "migrate")}
    larger_job = {"services": {**model["services"], "migrate": {"profiles": ["jobs"], **limited(1500)}}}
    assert verdict(larger_job, 8_000)["totals"]["surge_mb"] == 1500
    unlimited = {"services": {"migrate": {"profiles": ["jobs"]}}}
    assert found(verdict(unlimited, 8_000)) == {("no_limit", "migrate")}


def test_the_sum_is_judged_to_the_last_mib() -> None:
    model = {"services": {"nginx": limited(1000, 2)}}
    assert verdict(model, 3_100, reserve_mb=1_000, surge_mb=100)["violations"] == []
    assert found(verdict(model, 3_099, reserve_mb=1_000, surge_mb=100)) == {("over_total", "")}


def test_memory_given_to_nobody_is_worth_a_word() -> None:
    judged = gate(ram_plan(1, "16g"), 32_000)
    assert judged["violations"] == []
    assert any("16400 MiB are given to nobody" in words for words in judged["suggestions"])


def test_the_tree_is_the_original_one_with_what_it_forgot() -> None:
    model = {
        "services": {
            "postgres": {**limited(8192), "command": ["-c", "shared_buffers=2GB", "-c", "effective_cache_size=6GB"]},
            "backend": limited(1024, 2),
            "migrate": {"profiles": ["jobs"], **limited(512)},
        }
    }
    assert verdict(model, 16_000)["tree"].splitlines() == [
        "Total: 16000 MiB RAM",
        "├── postgres:     8192 MiB  (shared_buffers=2048MB, effective_cache_size=6144MB)",
        "├── backend:      2048 MiB  (2 x 1024 MiB)",
        "├── deploy surge: 1024 MiB  (one replica more; jobs: migrate 512 MiB)",
        "├── OS + Docker:  1084 MiB",
        "└── free:         3652 MiB",
    ]


def test_a_refusal_holds_the_tree_and_every_violation_with_its_fix() -> None:
    model = {"services": {"redis": {**limited(2048), "command": ["redis-server", "--maxmemory", "2gb"]}, "nginx": {}}}
    judged = verdict(model, 8_000)
    words = refusal("/opt/somos", judged)
    assert words.startswith("The containers of /opt/somos do not fit this host's memory:\n\nTotal: 8000 MiB RAM\n├──")
    assert "\n1. redis has maxmemory 2048 MiB" in words and "\n2. nginx has no memory limit" in words
    assert all(f"Fix: {violation['fix']}." in words for violation in judged["violations"])
