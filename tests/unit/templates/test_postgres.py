from __future__ import annotations

import re
from typing import Any

import pytest
import yaml
from render import render_files, render_role

from ansible_collections.somos.infra.plugins.module_utils._ram_plan import ram_plan


def service(overrides: dict[str, Any] | None = None, **where: str) -> dict[str, Any]:
    return yaml.safe_load(render_role("postgres", overrides, **where)["compose.d/postgres.yml"])["services"]["postgres"]


def settings(text: str) -> dict[str, str]:
    """What postgresql.conf sets; of a name that stands twice, PostgreSQL takes the last."""
    return dict(re.findall(r"^(\w+) = (.*)$", text, re.MULTILINE))


@pytest.mark.parametrize("total_mb", [15600, 32051, 64000])
def test_memory_on_the_command_line_is_the_plan_s(total_mb: int) -> None:
    plan = ram_plan(total_mb)["services"]["postgres"]
    given = service({"postgres_memory": {"postgres": plan}})
    flags = dict(flag.split("=") for flag in given["command"][2::2])
    assert flags.pop("config_file") == "/etc/postgresql/postgresql.conf"
    connections = plan["settings"].pop("max_connections")
    assert flags.pop("max_connections") == str(connections)
    assert given["shm_size"] == f"{plan['settings'].pop('shm_size_mb')}M"
    assert flags == {name.removesuffix("_mb"): f"{value}MB" for name, value in plan["settings"].items()}


def test_the_seed_s_tuning_is_in_the_file() -> None:
    set_to = settings(render_role("postgres")["postgres/postgresql.conf"])
    assert set_to["random_page_cost"] == "1.1"
    assert set_to["checkpoint_completion_target"] == "0.9"
    assert set_to["log_min_duration_statement"] == "1000"
    assert set_to["max_wal_size"] == "4096MB"
    assert set_to["log_destination"] == "'stderr'"


def test_an_operator_s_setting_wins_and_is_quoted() -> None:
    overrides = {"postgres_settings": {"random_page_cost": 2, "log_line_prefix": "it's %m "}}
    set_to = settings(render_role("postgres", overrides)["postgres/postgresql.conf"])
    assert set_to["random_page_cost"] == "'2'"
    assert set_to["log_line_prefix"] == "'it''s %m '"


def test_nobody_gets_in_over_the_network_without_a_password() -> None:
    text = render_role("postgres", {"postgres_client_networks": ["10.0.0.0/24"]})["postgres/pg_hba.conf"]
    rules = [line.split() for line in text.splitlines() if line and not line.startswith("#")]
    assert ["host", "all", "all", "10.0.0.0/24", "scram-sha-256"] in rules
    assert {rule[-1] for rule in rules if rule[0] != "local"} == {"scram-sha-256", "reject"}
    # The first rule that fits decides: the superuser has to be refused before the others are asked for a password.
    assert next(rule for rule in rules if rule[0] == "host") == ["host", "all", "postgres", "all", "reject"]


def test_one_host_publishes_on_loopback_and_several_on_the_private_address_too() -> None:
    assert service()["ports"] == ["127.0.0.1:5432:5432"]
    assert service(inventory="multi", host="database-1")["ports"] == ["127.0.0.1:5432:5432", "10.0.0.12:5432:5432"]


@pytest.mark.parametrize(
    ("major", "target"),
    [(16, "/var/lib/postgresql/data"), (17, "/var/lib/postgresql/data"), (18, "/var/lib/postgresql")],
)
def test_the_volume_is_where_the_image_of_that_major_keeps_its_data(major: int, target: str) -> None:
    assert f"postgres_data:{target}" in service({"postgres_major": major})["volumes"]


def test_a_rotated_password_or_another_setting_recreates_the_container_and_another_network_does_not() -> None:
    def label(**overrides: Any) -> str:
        return str(service(overrides)["labels"]["somos.config-hash"])

    assert label(postgres_password="another") != label()  # noqa: S106
    assert label(postgres_settings={"jit": "off"}) != label()
    assert label(postgres_client_networks=["10.0.0.0/24"]) == label()


def test_the_password_file_is_readable_by_the_container_alone() -> None:
    file = render_files("postgres")["secrets/postgres/password"]
    assert (file.owner, file.group, file.mode, file.secret) == ("999", "999", "0400", True)
    assert file.text == "scenario-postgres-password\n"


def test_names_are_quoted_for_psql() -> None:
    names = {"postgres_user": "o'brien", "postgres_database": "so-mos"}
    text = render_role("postgres", names)["postgres/provision.sql"]
    assert r"\set role 'o''brien'" in text
    assert r"\set database 'so-mos'" in text
