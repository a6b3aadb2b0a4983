"""What role app renders: who runs where, with which settings, and which secrets in which file."""

from __future__ import annotations

import re
import shlex
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from render import render_files, render_inventory, render_role

RELEASE = {"app_release": "4f2c1e9"}
AWKWARD = r"""a'b"c $HOME `id` \ %41 #!&;é"""


def fragment(
    overrides: dict[str, Any] | None = None, inventory: str = "single", host: str | None = None
) -> dict[str, Any]:
    text = render_role("app", RELEASE | (overrides or {}), inventory, host)["compose.d/app.yml"]
    services: dict[str, Any] = yaml.safe_load(text)["services"] or {}
    return services


def environment_of(secrets: str, tmp_path: Path) -> dict[str, str]:
    """What a shell makes of a file with secrets."""
    (tmp_path / "env").write_text(secrets)
    script = f"set -a; . {shlex.quote(str(tmp_path / 'env'))}; exec env -0"
    path = {"PATH": "/usr/bin:/bin"}
    shown = subprocess.run(["sh", "-euc", script], capture_output=True, check=True, env=path).stdout
    return dict(item.split("=", 1) for item in shown.decode().split("\0") if item)


def test_every_service_runs_the_release() -> None:
    images = {name: service["image"].rpartition("/")[2] for name, service in fragment().items()}
    python = ["backend", "celery-worker", "celery-beat", "flower", "migrate"]
    assert images == dict.fromkeys(python, "backend:4f2c1e9") | {"frontend": "frontend:4f2c1e9"}


@pytest.mark.parametrize(
    ("host", "services"),
    [
        ("app-1", {"backend", "frontend", "migrate"}),
        ("workers-1", {"celery-worker", "celery-beat", "flower"}),
        ("database-1", set()),
    ],
)
def test_a_host_gets_the_services_that_are_placed_there(host: str, services: set[str]) -> None:
    assert set(fragment({}, "multi", host)) == services
    files = render_role("app", RELEASE, "multi", host)
    assert {path.split("/")[1] for path in files if path.startswith("secrets/")} == services - {"frontend"}


def test_what_runs_elsewhere_is_reached_by_address_and_not_waited_for() -> None:
    services = fragment({}, "multi", "workers-1")
    assert not any("depends_on" in service for service in services.values())
    assert services["celery-worker"]["environment"]["QDRANT_URL"] == "http://10.0.0.12:6333"
    assert all("egress" in service["networks"] for service in services.values()), (
        "`internal` has no way to another server"
    )
    assert services["flower"]["ports"] == ["10.0.0.13:5555:5555"]


def test_on_one_host_only_what_must_reach_the_outside_can() -> None:
    networks = {name: set(service["networks"]) for name, service in fragment().items()}
    assert {name for name, joined in networks.items() if "egress" in joined} == {"backend", "celery-worker"}
    assert {name for name, joined in networks.items() if "edge" in joined} == {"backend", "frontend", "flower"}


def test_the_backend_waits_for_its_data_and_the_migration_for_the_database() -> None:
    services = fragment()
    assert services["backend"]["depends_on"]["postgres"] == {"condition": "service_healthy"}
    assert services["backend"]["depends_on"]["redis-cache"] == {"condition": "service_healthy"}
    assert list(services["migrate"]["depends_on"]) == ["postgres"]
    assert services["migrate"]["profiles"] == ["jobs"]


def test_numbers_of_processes_are_the_plan_s() -> None:
    plan = {name: {"limit_mb": 100, "replicas": 1, "settings": {}} for name in ("celery-beat", "flower")}
    plan["backend"] = {"limit_mb": 100, "replicas": 3, "settings": {"workers": 5}}
    plan["frontend"] = {"limit_mb": 100, "replicas": 1, "settings": {"max_old_space_mb": 77}}
    plan["celery-worker"] = {
        "limit_mb": 100,
        "replicas": 1,
        "settings": {"concurrency": 7, "max_memory_per_child_mb": 9},
    }
    services = fragment({"app_memory": plan})
    assert services["backend"]["deploy"]["replicas"] == 3
    assert "--workers=5" in services["backend"]["command"]
    assert {"--concurrency=7", f"--max-memory-per-child={9 * 1024}"} <= set(services["celery-worker"]["command"])
    assert services["frontend"]["environment"]["NODE_OPTIONS"] == "--max-old-space-size=77"


def test_settings_reach_the_container_as_they_are_written() -> None:
    overrides = {"app_env": {"ODD": AWKWARD, "PORT_NUMBER": 8}, "app_frontend_env": {"ODD": AWKWARD}}
    for name, service in fragment(overrides).items():
        if name != "flower":
            assert service["environment"]["ODD"].replace("$$", "$") == AWKWARD, name
            assert "$$HOME" in service["environment"]["ODD"], f"Compose would interpolate the setting of {name}"


def test_secrets_reach_the_process_as_they_are_written(tmp_path: Path) -> None:
    overrides = RELEASE | {"app_secrets": {"ODD": AWKWARD, "NUMBER": 8}, "app_secret_key": AWKWARD}
    files = render_files("app", overrides)
    for service in ("backend", "celery-worker"):
        environment = environment_of(files[f"secrets/{service}/env"].text, tmp_path)
        assert (environment["ODD"], environment["SECRET_KEY"], environment["NUMBER"]) == (AWKWARD, AWKWARD, "8")
    assert all(
        file.mode == "0400" and file.owner == "10001" for path, file in files.items() if path.startswith("secrets/")
    )


def test_a_service_sees_the_secrets_in_its_line_and_no_others(tmp_path: Path) -> None:
    overrides: dict[str, Any] = {"app_secrets": {"OPENAI_API_KEY": "x"}}
    files = render_role("app", RELEASE | overrides)
    seen = {
        path.split("/")[1]: set(environment_of(text, tmp_path)) - {"PATH", "PWD", "SHLVL", "_", "OLDPWD"}
        for path, text in files.items()
        if path.startswith("secrets/")
    }
    assert seen["celery-beat"] == {"REDIS_URL", "CELERY_BROKER_URL"}
    assert seen["flower"] == {"CELERY_BROKER_URL", "FLOWER_BASIC_AUTH"}
    assert seen["migrate"] == {"DATABASE_URL"}
    assert seen["backend"] == seen["celery-worker"] >= {"DATABASE_URL", "SECRET_KEY", "OPENAI_API_KEY"}
    assert "FLOWER_BASIC_AUTH" not in seen["backend"]


def test_passwords_in_urls_are_encoded(tmp_path: Path) -> None:
    passwords = dict.fromkeys(
        ("app_database_password", "app_redis_password", "app_redis_cache_password"), "a/b@c:d%e?#é"
    )
    environment = environment_of(render_role("app", RELEASE | passwords)["secrets/backend/env"], tmp_path)
    encoded = "a%2Fb%40c%3Ad%25e%3F%23%C3%A9"
    assert environment["DATABASE_URL"] == f"postgresql+asyncpg://somos:{encoded}@postgres:5432/somos"
    assert environment["REDIS_URL"] == f"redis://:{encoded}@redis-cache:6379/0"
    assert environment["CELERY_BROKER_URL"] == f"redis://:{encoded}@redis:6379/1"


def test_a_changed_secret_recreates_who_sees_it_and_nobody_else() -> None:
    def labels(overrides: dict[str, Any]) -> dict[str, str]:
        return {
            name: service.get("labels", {}).get("somos.config-hash", "")
            for name, service in fragment(overrides).items()
        }

    before, after = labels({}), labels({"app_secrets": {"NEW": "x"}})
    assert {name for name in before if before[name] != after[name]} == {"backend", "celery-worker"}


def test_a_healthcheck_sees_the_shell_s_variables_and_the_secrets() -> None:
    test = fragment()["celery-worker"]["healthcheck"]["test"]
    assert test[:3] == ["CMD", "/bin/sh", "/opt/somos/entrypoint.sh"]
    assert '"celery@$$HOSTNAME"' in test[-1]


def test_the_root_file_system_is_read_only_unless_told_otherwise() -> None:
    assert all(service["read_only"] and service["tmpfs"] for service in fragment().values())
    assert not any(
        "read_only" in service or "tmpfs" in service for service in fragment({"app_read_only": False}).values()
    )


def test_the_entrypoint_exports_the_secrets_and_becomes_the_command(tmp_path: Path) -> None:
    script = render_role("app", RELEASE)["app/entrypoint.sh"].replace("/run/secrets/env", str(tmp_path / "env"))
    (tmp_path / "env").write_text("KEY='a b'\n")
    (tmp_path / "entrypoint.sh").write_text(script)
    command = ["sh", str(tmp_path / "entrypoint.sh"), "sh", "-c", 'echo "$KEY" "$$"; exec echo "$1"', "sh", "x  y"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    shown, _ = process.communicate()
    assert shown.splitlines() == [f"a b {process.pid}", "x  y"]


def test_the_sites_that_it_declares_are_served() -> None:
    rendered = render_inventory("production", "somos-1", RELEASE | {"app_public_storage": True})
    sites = rendered["nginx"]["nginx/conf.d/sites.conf"]
    for name in ("app", "monitor"):
        assert re.search(rf"server_name {name}\.", sites), name
    for path in ("/api/", "/api/v1/auth/login", "/ws/", "/_next/static/", "/storage/", "/", "/flower/"):
        assert f"location {path} {{" in sites, path
    assert "limit_req zone=login burst=3 nodelay;" in sites
