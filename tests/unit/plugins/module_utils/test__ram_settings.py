"""Inner settings against limits: what is refused, and what is on the edge."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.somos.infra.plugins.module_utils._ram_settings import check, derive, postgres_demand_mb


def codes(service: str, limit: int, settings: dict[str, int]) -> list[str]:
    return [problem.code for problem in check(service, limit, settings)]


def test_maxmemory_equal_to_the_limit_is_refused_with_the_number_that_fits() -> None:
    (problem,) = check("redis", 2048, {"maxmemory_mb": 2048})
    assert problem.code == "redis_maxmemory"
    assert "redis has maxmemory 2048 MiB under a limit of 2048 MiB" in problem.message
    assert "set maxmemory to 1228 MiB" in problem.fix


@pytest.mark.parametrize("maxmemory, refused", [(0, True), (1, False), (660, False), (661, True)])
def test_redis_may_use_two_thirds_of_its_limit(maxmemory: int, refused: bool) -> None:
    assert bool(codes("redis-cache", 1000, {"maxmemory_mb": maxmemory})) == refused


def test_work_mem_times_connections_over_the_limit_is_refused_with_the_number_that_fits() -> None:
    settings = {"shared_buffers_mb": 4096, "work_mem_mb": 64, "max_connections": 200, "maintenance_work_mem_mb": 64}
    (problem, *_) = check("postgres", 8192, settings)
    assert problem.code == "postgres_over_limit"
    assert "200 connections x (work_mem 64 + 5 each)" in problem.message
    assert "12800 MiB: set work_mem to 14 MiB" in problem.fix
    assert "postgres_over_limit" not in codes("postgres", 8192, {**settings, "work_mem_mb": 14})
    assert "postgres_over_limit" in codes("postgres", 8192, {**settings, "work_mem_mb": 15})


def test_no_work_mem_is_proposed_where_none_fits() -> None:
    (problem, *_) = check("postgres", 512, {"shared_buffers_mb": 400, "max_connections": 200})
    assert "lower max_connections, shared_buffers or work_mem" in problem.fix


def test_postgres_is_judged_with_its_defaults_for_what_it_is_not_told() -> None:
    assert postgres_demand_mb({}) == 128 + 16 + 100 * (4 + 5) + 64 + 3 * 64
    assert codes("postgres", 1024, {"work_mem_mb": 4, "shm_size_mb": 256}) == ["postgres_over_limit"]


def test_a_cache_above_the_limit_and_a_small_shm_are_refused() -> None:
    settings = {"shared_buffers_mb": 1024, "effective_cache_size_mb": 9000, "maintenance_work_mem_mb": 512}
    assert codes("postgres", 8192, settings) == ["postgres_cache_over_limit", "postgres_shm"]
    assert codes("postgres", 8192, {**settings, "effective_cache_size_mb": 8192, "shm_size_mb": 513}) == []


@pytest.mark.parametrize(
    "limit, settings, refused",
    [
        (512, {"workers": 2}, False),
        (511, {"workers": 2}, True),
        (1280, {"concurrency": 4}, False),
        (1279, {"concurrency": 4}, True),
        (4256, {"concurrency": 4, "max_memory_per_child_mb": 1000}, False),
        (4255, {"concurrency": 4, "max_memory_per_child_mb": 1000}, True),
    ],
)
def test_processes_must_fit(limit: int, settings: dict[str, int], refused: bool) -> None:
    assert codes("any", limit, settings) == (["processes_over_limit"] if refused else [])


@pytest.mark.parametrize("key, most", [("max_old_space_mb", 800), ("gomemlimit_mb", 900)])
def test_a_heap_leaves_room_beside_it(key: str, most: int) -> None:
    assert codes("any", 1000, {key: most}) == []
    assert codes("any", 1000, {key: most + 1}) == ["heap_over_limit"]


@given(st.integers(2560, 200_000))
def test_derived_postgres_settings_fit_any_limit_above_the_floor(limit: int) -> None:
    settings = derive("postgres", limit)
    assert codes("postgres", limit, settings) == []
    assert settings["work_mem_mb"] >= 4, "PostgreSQL's own default"
    assert 100 <= settings["max_connections"] <= 200


def test_what_a_service_is_not_told_is_not_judged() -> None:
    assert check("qdrant", 64, {}) == []
    assert derive("qdrant", 64) == {}
