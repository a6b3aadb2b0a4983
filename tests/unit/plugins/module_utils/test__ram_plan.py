"""The RAM plan: what it promises for every amount of memory, and how it refuses."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.somos.infra.plugins.module_utils._ram_plan import (
    PROFILES,
    SERVICES,
    PlanError,
    ram_plan,
    reserve_floor_mb,
    surge_mb,
)
from ansible_collections.somos.infra.plugins.module_utils._ram_settings import check

LEAST_MB = 13192  # what all services together need
TOTALS = st.integers(LEAST_MB, 300_000)
SOME_SERVICES = st.sets(st.sampled_from(sorted(SERVICES)))

# The lines of the original plan and of its Compose file, at 32 GB.
ORIGINAL_MB = {
    ("postgres",): 8192,
    ("redis", "redis-cache"): 2048,
    ("qdrant",): 4096,
    ("backend",): 4096,
    ("celery-worker",): 4096,
    ("frontend",): 2048,
    ("object-storage",): 2048,
    ("nginx",): 512,
    ("prometheus", "grafana", "loki"): 2048,
}
ORIGINAL_POSTGRES = {
    "shared_buffers_mb": 4096,
    "effective_cache_size_mb": 6144,
    "maintenance_work_mem_mb": 512,
    "wal_buffers_mb": 64,
    "max_connections": 200,
}


def limits(plan: dict[str, Any]) -> dict[str, int]:
    return {name: service["limit_mb"] for name, service in plan["services"].items()}


def used(plan: dict[str, Any]) -> int:
    return sum(service["limit_mb"] * service["replicas"] for service in plan["services"].values())


@given(TOTALS)
def test_the_parts_add_up_to_the_memory_and_the_reserve_keeps_its_floor(total: int) -> None:
    plan = ram_plan(total)
    containers = sum(service["replicas"] for service in plan["services"].values())
    assert used(plan) + plan["surge_mb"] + plan["reserve_mb"] == plan["total_mb"] == total
    assert plan["reserve_mb"] >= reserve_floor_mb(total, containers) >= 1024 + 20 * containers
    assert plan["surge_mb"] == max(limits(plan)["backend"], limits(plan)["frontend"])


@given(TOTALS)
def test_every_setting_fits_its_limit(total: int) -> None:
    for name, service in ram_plan(total)["services"].items():
        assert check(name, service["limit_mb"], service["settings"]) == []


@given(TOTALS, st.integers(0, 20_000))
def test_more_memory_never_gives_a_service_less(total: int, more: int) -> None:
    small, large = limits(ram_plan(total)), limits(ram_plan(total + more))
    assert all(large[name] >= small[name] for name in SERVICES)


@given(SOME_SERVICES, st.integers(100, 150_000), st.integers(0, 20_000))
def test_a_part_of_the_services_is_planned_by_the_same_rules(services: set[str], total: int, more: int) -> None:
    try:
        small = ram_plan(total, services=services)
    except PlanError as error:
        assert f"{total} MiB of memory are too little" in str(error)
        return
    large = ram_plan(total + more, services=services)
    assert set(small["services"]) == services
    assert used(small) + small["surge_mb"] + small["reserve_mb"] == total
    assert all(limits(large)[name] >= limits(small)[name] for name in services)


@given(TOTALS)
def test_equal_input_gives_an_equal_plan_whatever_the_order_of_the_services(total: int) -> None:
    assert ram_plan(total) == ram_plan(total) == ram_plan(total, services=list(reversed(SERVICES)))


@pytest.mark.parametrize("services, mb", ORIGINAL_MB.items())
def test_at_32_gb_every_line_is_within_a_tenth_of_the_original(services: tuple[str, ...], mb: int) -> None:
    plan = ram_plan(PROFILES["32g"])["services"]
    here = sum(plan[name]["limit_mb"] * plan[name]["replicas"] for name in services)
    assert here == pytest.approx(mb, rel=0.1)


@pytest.mark.parametrize("key, value", ORIGINAL_POSTGRES.items())
def test_at_32_gb_postgres_is_told_the_original_within_a_tenth(key: str, value: int) -> None:
    assert ram_plan(32000)["services"]["postgres"]["settings"][key] == pytest.approx(value, rel=0.1)


def test_at_32_gb_the_processes_are_the_original_ones() -> None:
    services = ram_plan(32000)["services"]
    assert services["backend"]["replicas"] * services["backend"]["settings"]["workers"] == 4
    assert services["celery-worker"]["settings"]["concurrency"] == 4
    assert services["frontend"]["replicas"] == 2
    assert services["backend"]["limit_mb"] / services["backend"]["settings"]["workers"] == pytest.approx(1024, rel=0.1)


@pytest.mark.parametrize("profile, total", PROFILES.items())
def test_a_profile_is_the_plan_of_a_server_of_that_size_whatever_the_host_has(profile: str, total: int) -> None:
    assert ram_plan(99, profile) == ram_plan(total)


def test_the_least_host_is_named_and_is_the_least() -> None:
    assert ram_plan(LEAST_MB)["total_mb"] == LEAST_MB
    with pytest.raises(PlanError, match=rf"{LEAST_MB - 1} MiB .* their smallest plan needs {LEAST_MB} MiB"):
        ram_plan(LEAST_MB - 1)


@given(SOME_SERVICES.filter(bool), st.integers(1, 64))
def test_the_memory_that_a_refusal_asks_for_is_enough(services: set[str], total: int) -> None:
    with pytest.raises(PlanError) as refused:
        ram_plan(total, services=services)
    needed = int(str(refused.value).partition("smallest plan needs ")[2].split()[0])
    assert ram_plan(needed, services=services)["total_mb"] == needed
    with pytest.raises(PlanError):
        ram_plan(needed - 1, services=services)


def test_the_memory_that_a_refusal_asks_for_is_enough_on_a_large_host_too() -> None:
    overrides = {"postgres": {"limit_mb": 100_000}}
    with pytest.raises(PlanError, match=r"smallest plan needs 1\d{5} MiB") as refused:
        ram_plan(32_000, overrides=overrides)
    needed = int(str(refused.value).partition("smallest plan needs ")[2].split()[0])
    assert ram_plan(needed, overrides=overrides)["total_mb"] == needed


def test_a_database_host_gives_its_memory_to_its_services_up_to_their_caps() -> None:
    plan = ram_plan(128_000, services=["postgres", "redis", "redis-cache", "node-exporter"])
    assert plan["services"]["redis"]["limit_mb"] == 8192
    assert plan["services"]["node-exporter"]["limit_mb"] == 64
    assert plan["services"]["postgres"]["limit_mb"] > 95_000
    assert plan["services"]["postgres"]["settings"]["shared_buffers_mb"] == 16384
    assert plan["surge_mb"] == 0


def test_what_nobody_can_use_stays_with_the_operating_system() -> None:
    plan = ram_plan(64_000, services=["nginx"])
    assert limits(plan) == {"nginx": 1024}
    assert plan["reserve_mb"] == 64_000 - 1024


def test_an_override_fixes_one_line_and_the_others_share_the_rest() -> None:
    plan = ram_plan(32_000, overrides={"postgres": {"limit_mb": 12_288}, "backend": {"replicas": 3}})
    usual = ram_plan(32_000)
    assert plan["services"]["postgres"]["limit_mb"] == 12_288
    assert plan["services"]["backend"]["replicas"] == 3
    assert limits(plan)["qdrant"] < limits(usual)["qdrant"]
    assert used(plan) + plan["surge_mb"] + plan["reserve_mb"] == 32_000


def test_settings_follow_from_an_overridden_one() -> None:
    settings = ram_plan(32_000, overrides={"postgres": {"settings": {"max_connections": 50}}})["services"]["postgres"]
    assert settings["settings"]["max_connections"] == 50
    assert settings["settings"]["work_mem_mb"] > ram_plan(32_000)["services"]["postgres"]["settings"]["work_mem_mb"]


def test_an_override_of_a_service_on_another_host_is_passed_over() -> None:
    overrides = {"postgres": {"limit_mb": 999_999}}
    assert ram_plan(8_000, services=["nginx"], overrides=overrides) == ram_plan(8_000, services=["nginx"])
    with pytest.raises(PlanError) as refused:
        ram_plan(1_000, services=["nginx"], overrides=overrides)
    assert "postgres" not in str(refused.value)


def test_the_surge_follows_the_largest_replica() -> None:
    assert surge_mb({"backend": 512, "frontend": 1024, "postgres": 8192}) == 1024
    assert surge_mb({"postgres": 8192}) == 0


@pytest.mark.parametrize(
    "arguments, words",
    [
        ({"profile": "17g"}, ["somos_ram_profile", "'17g'", "auto, 16g, 32g, 64g"]),
        ({"services": ["nginx", "apache"]}, ["services", "apache", "nginx"]),
        ({"services": "nginx"}, ["services must be a list", "'nginx'"]),
        ({"overrides": {"apache": {}}}, ["somos_ram_overrides", "apache", "nginx"]),
        ({"overrides": ["postgres"]}, ["somos_ram_overrides", "map"]),
        ({"overrides": {"postgres": 8192}}, ["somos_ram_overrides.postgres", "limit_mb", "8192"]),
        ({"overrides": {"postgres": {"limit": 8192}}}, ["somos_ram_overrides.postgres has limit", "limit_mb"]),
        ({"overrides": {"postgres": {"limit_mb": "8g"}}}, ["somos_ram_overrides.postgres.limit_mb", "'8g'"]),
        ({"overrides": {"nginx": {"limit_mb": 5}}}, ["somos_ram_overrides.nginx.limit_mb", "at least 6"]),
        ({"overrides": {"backend": {"replicas": 0}}}, ["somos_ram_overrides.backend.replicas", "at least 1"]),
        ({"overrides": {"backend": {"replicas": True}}}, ["somos_ram_overrides.backend.replicas", "True"]),
        ({"overrides": {"nginx": {"settings": {"workers": 2}}}}, ["somos_ram_overrides.nginx.settings", "workers"]),
        ({"overrides": {"redis": {"settings": {"maxmemory": 9}}}}, ["redis.settings has maxmemory", "maxmemory_mb"]),
        (
            {"overrides": {"redis": {"limit_mb": 512, "settings": {"maxmemory_mb": 512}}}},
            ["somos_ram_overrides.redis does not fit", "maxmemory 512", "limit of 512", "set maxmemory to 307"],
        ),
        (
            {"overrides": {"postgres": {"limit_mb": 1024}}},
            ["somos_ram_overrides.postgres does not fit", "100 connections", "limit of 1024"],
        ),
        (
            {"overrides": {"postgres": {"limit_mb": 30_000}}},
            ["32000 MiB", "somos_ram_overrides (postgres 30000 MiB)", "needs"],
        ),
    ],
)
def test_a_mistake_is_named_with_its_place_its_value_and_the_choice(
    arguments: dict[str, Any], words: list[str]
) -> None:
    with pytest.raises(PlanError) as refused:
        ram_plan(32_000, **arguments)
    for word in words:
        assert word in str(refused.value)


@pytest.mark.parametrize("total", [0, -1, "many", None, True, 1.5])
def test_memory_that_is_no_number_is_refused(total: Any) -> None:
    with pytest.raises(PlanError, match="memory"):
        ram_plan(total)


def test_numbers_may_come_as_text() -> None:
    assert ram_plan("32000", overrides={"redis": {"limit_mb": "512"}}) == ram_plan(  # type: ignore[arg-type]
        32000, overrides={"redis": {"limit_mb": 512}}
    )
