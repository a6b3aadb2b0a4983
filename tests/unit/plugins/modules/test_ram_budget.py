"""The module ram_budget: what it asks Docker, what it says, and what it keeps to itself."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from fake_docker import FakeDocker

from ansible_collections.somos.infra.plugins.modules import ram_budget

MIB = 1024**2


def limited(limit_mb: int, **more: Any) -> dict[str, Any]:
    return {"deploy": {"resources": {"limits": {"memory": str(limit_mb * MIB)}}}, **more}


SERVICES = {
    "redis": limited(1000, command=["redis-server", "--maxmemory", "600mb", "--requirepass", "hunter2"]),
    "backend": limited(800, scale=2, environment={"SECRET_KEY": "hunter2", "WEB_CONCURRENCY": "2"}),
    "migrate": limited(800, profiles=["jobs"], environment={"PASSWORD": "hunter2"}),
}


@pytest.fixture
def budget(run_module: Any, docker: FakeDocker, project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    meminfo = tmp_path / "meminfo"
    meminfo.write_text("MemTotal:        8192000 kB\nMemFree:          100 kB\n")
    monkeypatch.setattr(ram_budget, "MEMINFO", meminfo)

    def run(services: dict[str, Any], *, check: bool = False, **arguments: Any) -> dict[str, Any]:
        active = [name for name, service in services.items() if "profiles" not in service]
        docker.answer("config --services", out="\n".join(active))
        docker.answer("--profile * config --format json", out=json.dumps({"name": "x", "services": services}))
        result: dict[str, Any] = run_module(ram_budget, check=check, project_directory=str(project), **arguments)
        return result

    return run


@pytest.mark.parametrize("check", [False, True])
def test_a_project_that_fits_passes_with_its_numbers(budget: Any, check: bool) -> None:
    result = budget(SERVICES, check=check, reserve_mb=1500, surge_mb=800)
    assert (result["rc_of_module"], result["changed"], result["judged"]) == (0, False, True)
    assert result["violations"] == []
    assert result["totals"] == {
        "total_mb": 8000,
        "containers_mb": 2600,
        "surge_mb": 800,
        "reserve_mb": 1500,
        "needed_mb": 4900,
        "free_mb": 3100,
    }
    assert result["table"][1] == {
        "service": "backend",
        "limit_mb": 800,
        "replicas": 2,
        "total_mb": 1600,
        "job": False,
        "settings": {"workers": 2},
    }
    assert result["tree"].startswith("Total: 8000 MiB RAM\n├── redis:")


@pytest.mark.parametrize("check", [False, True])
def test_a_project_that_does_not_fit_fails_with_tree_violations_and_fixes(budget: Any, check: bool) -> None:
    result = budget({**SERVICES, "nginx": {}}, check=check, total_mb=4000)
    assert result["failed"] and result["judged"]
    assert {violation["code"] for violation in result["violations"]} == {"no_limit", "over_total"}
    for words in ("Total: 4000 MiB RAM", "nginx has no memory limit", "4000 MiB of this host", "Fix: "):
        assert words in result["msg"]


def test_no_secret_is_returned_whatever_the_verdict(budget: Any) -> None:
    assert "hunter2" not in json.dumps(budget(SERVICES))
    assert "hunter2" not in json.dumps(budget(SERVICES, total_mb=1000))
    unreadable = {"redis": limited(100, command=["redis-server", "--maxmemory", "hunter2"])}
    refused = budget(unreadable)
    assert "service redis: the value of --maxmemory" in refused["msg"] and "hunter2" not in json.dumps(refused)


def test_settings_of_files_are_judged_too(budget: Any) -> None:
    services = {"redis-cache": limited(1000, command=["redis-server", "/etc/redis/redis.conf"])}
    assert budget(services)["violations"] == []
    result = budget(services, settings={"redis-cache": {"maxmemory_mb": "1000"}})
    assert [violation["code"] for violation in result["violations"]] == ["redis_maxmemory"]
    assert "settings must map services" in budget(services, settings={"redis-cache": {"maxmemory_mb": "1g"}})["msg"]


def test_diff_compares_the_running_containers_with_the_model(budget: Any, docker: FakeDocker) -> None:
    docker.answer("ps --quiet", out="aa\nbb\ncc\n")
    docker.answer("inspect", out=f"backend {500 * MIB}\nbackend {500 * MIB}\nredis 0\n")
    assert budget(SERVICES)["diff"] == {
        "before": {"backend": "2 x 500 MiB", "redis": "1 x no limit"},
        "after": {"backend": "2 x 800 MiB", "redis": "1 x 1000 MiB"},
    }
    inspected = next(call for call in docker.calls if call.startswith("inspect"))
    assert ".HostConfig.Memory" in inspected and "Env" not in inspected


def test_diff_is_empty_where_no_engine_answers(budget: Any, docker: FakeDocker) -> None:
    docker.answer("ps --quiet", err="Cannot connect to the Docker daemon", code=1)
    assert budget(SERVICES)["diff"]["before"] == {}


@pytest.mark.parametrize("missing", ["docker", "project", "compose"])
def test_a_virgin_host_is_not_judged_in_check_mode_and_fails_otherwise(
    budget: Any, docker: FakeDocker, project: Path, monkeypatch: pytest.MonkeyPatch, missing: str
) -> None:
    words = {"docker": "docker command is not installed", "project": ".env does not exist", "compose": "Compose plugin"}
    warnings: list[str] = []
    monkeypatch.setattr(ram_budget.AnsibleModule, "warn", lambda _, words: warnings.append(words))
    if missing == "docker":
        monkeypatch.setattr(ram_budget.AnsibleModule, "get_bin_path", lambda *_, **__: None)
    elif missing == "project":
        (project / ".env").unlink()
    else:
        docker.answer("version", err="docker: 'compose' is not a docker command", code=1)
    checked = budget(SERVICES, check=True)
    assert (checked["judged"], checked["changed"], checked["rc_of_module"]) == (False, False, 0)
    assert len(warnings) == 1 and "was not judged" in warnings[0] and words[missing] in warnings[0]
    refused = budget(SERVICES)
    assert refused["failed"] and words[missing] in refused["msg"]


@pytest.mark.parametrize(
    "said, kept",
    [
        (
            'service "a" depends on undefined service "b": invalid compose project',
            'service "a" depends on undefined service "b"',
        ),
        ("failed to read /opt/somos/.env: line 3: unterminated quoted value 'hunter2", "/opt/somos/.env: line 3"),
        ('failed to read x: line 1: unexpected character "h" in variable name near "hunter2\\nA=b"', "x: line 1"),
        ('services.a.command.[1] has "hunter2" but must be', "services.a.command.[1] has (quotation left out) but"),
        ("time=x level=warning msg=hunter2\nyaml: line 3: mapping\nhunter2", "yaml: line 3: mapping"),
        ("", "gave no reason"),
    ],
)
def test_words_of_compose_are_passed_on_without_what_they_quote(
    budget: Any, run_module: Any, docker: FakeDocker, project: Path, said: str, kept: str
) -> None:
    docker.answer("config", err=said, code=15)
    result = run_module(ram_budget, project_directory=str(project))
    assert result["failed"] and kept in result["msg"] and "docker compose config --quiet" in result["msg"]
    assert "hunter2" not in json.dumps(result)


def test_an_answer_that_is_no_json_is_refused(budget: Any, run_module: Any, docker: FakeDocker, project: Path) -> None:
    docker.answer("config", out="name: hunter2")
    result = run_module(ram_budget, project_directory=str(project))
    assert result["failed"] and "Reading the Compose project" in result["msg"] and "hunter2" not in result["msg"]


def test_a_host_that_does_not_tell_its_memory_is_refused(budget: Any) -> None:
    ram_budget.MEMINFO.write_text("nothing\n")
    assert "MemTotal" in budget(SERVICES)["msg"]
    assert budget(SERVICES, total_mb=8000)["judged"]
