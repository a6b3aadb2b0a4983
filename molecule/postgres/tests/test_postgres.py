from __future__ import annotations

import json
import shlex
from secrets import randbelow, token_hex
from typing import Any

import pytest
from database import COMPOSE, converge, sql

# The address in the project's network stands for any other container; loopback inside is not what peers use.
LOGIN = "psql --no-psqlrc --no-password -tAc 'SELECT current_user' -h $(hostname -i | cut -d' ' -f1) -d somos"


def login(host: Any, user: str, password: str) -> Any:
    """Try to log in over the network; the password travels in a file and the environment, never as an argument."""
    script = f"read -r PGPASSWORD; export PGPASSWORD; {LOGIN} -U {user}"
    feed = f"printf '%s\\n' {shlex.quote(password)}"
    return host.run(f"{feed} | ({COMPOSE} exec -T postgres bash -c {shlex.quote(script)})")


@pytest.fixture
def password(host: Any) -> str:
    return str(host.file("/opt/somos/secrets/postgres/password").content_string).strip()


@pytest.fixture
def model(host: Any) -> dict[str, Any]:
    """The service as Compose sees it."""
    return dict(json.loads(host.check_output(f"{COMPOSE} config --format json"))["services"]["postgres"])


@pytest.fixture
def container(host: Any) -> dict[str, Any]:
    """The container as it runs."""
    return dict(json.loads(host.check_output(f"docker inspect $({COMPOSE} ps --quiet postgres)"))[0])


def test_postgres_is_healthy(container: dict[str, Any]) -> None:
    assert container["State"]["Health"]["Status"] == "healthy"


def test_postgres_listens_on_loopback_only(host: Any) -> None:
    assert [line.split()[3] for line in host.check_output("ss -Hltn sport = :5432").splitlines()] == ["127.0.0.1:5432"]


def test_the_application_logs_in_with_its_password(host: Any, password: str) -> None:
    assert login(host, "somos", password).stdout.strip() == "somos"


def test_nobody_logs_in_without_or_with_another_password(host: Any) -> None:
    assert "password" in login(host, "somos", "").stderr
    assert "password authentication failed" in login(host, "somos", "another").stderr


def test_the_superuser_is_refused_on_the_network_even_with_a_password(host: Any, password: str) -> None:
    assert "pg_hba.conf rejects connection" in login(host, "postgres", password).stderr


def test_the_application_owns_its_database_and_is_no_superuser(host: Any) -> None:
    assert sql(host, "SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = 'somos'") == "somos"
    assert sql(host, "SELECT rolsuper OR rolcreaterole OR rolcreatedb FROM pg_roles WHERE rolname = 'somos'") == "f"


def test_the_password_shows_nowhere(host: Any, password: str, container: dict[str, Any]) -> None:
    assert password not in json.dumps(container)
    assert password not in host.check_output("ps -eww -o args")
    assert password not in host.check_output(f"{COMPOSE} logs postgres 2>&1")
    assert password not in host.check_output(f"{COMPOSE} config")


def test_settings_in_force_are_those_of_the_command_line(host: Any, model: dict[str, Any]) -> None:
    flags = dict(flag.split("=") for flag in model["command"][2::2])
    flags.pop("config_file")
    assert len(flags) == 7
    same = [f"pg_size_bytes('{value}') = pg_size_bytes(current_setting('{name}'))" for name, value in flags.items()]
    assert sql(host, f"SELECT {', '.join(same)}").split("|") == ["t"] * 7, flags


def test_settings_of_the_file_are_in_force(host: Any) -> None:
    wanted = {
        "random_page_cost": "1.1",
        "checkpoint_completion_target": "0.9",
        "log_min_duration_statement": "1s",
        "password_encryption": "scram-sha-256",
        "config_file": "/etc/postgresql/postgresql.conf",
        "hba_file": "/etc/postgresql/pg_hba.conf",
    }
    in_force = sql(host, f"SELECT {', '.join(f'current_setting($${name}$$)' for name in wanted)}").split("|")
    assert dict(zip(wanted, in_force, strict=True)) == wanted


def test_damage_on_disk_would_be_noticed(host: Any) -> None:
    assert sql(host, "SHOW data_checksums") == "on"


def test_text_is_unicode(host: Any) -> None:
    assert sql(host, "SHOW server_encoding") == "UTF8"


def test_limits_are_in_force(model: dict[str, Any], container: dict[str, Any]) -> None:
    limit = int(model["deploy"]["resources"]["limits"]["memory"])
    assert container["HostConfig"]["Memory"] == container["HostConfig"]["MemorySwap"] == limit > 0
    assert container["HostConfig"]["ShmSize"] == int(model["shm_size"]) > 64 << 20


def test_the_container_runs_without_privileges(host: Any) -> None:
    # Process 1 is docker-init; the database is its child.
    status = host.check_output(f"{COMPOSE} exec -T postgres sh -c 'cat /proc/$(head -1 $PGDATA/postmaster.pid)/status'")
    fields = dict(line.split(":\t", 1) for line in status.splitlines())
    assert fields["Uid"].split() == ["999"] * 4
    assert int(fields["CapEff"], 16) == int(fields["CapBnd"], 16) == 0
    assert fields["NoNewPrivs"] == "1"


def test_the_container_cannot_change_itself_nor_run_what_it_wrote(host: Any) -> None:
    assert host.run(f"{COMPOSE} exec -T postgres grep -q ' / overlay ro,' /proc/mounts").rc == 0
    assert host.run(f"{COMPOSE} exec -T postgres cp /bin/true /tmp/true").rc == 0
    assert host.run(f"{COMPOSE} exec -T postgres /tmp/true").rc != 0


def test_data_survives_a_new_container(host: Any) -> None:
    sql(host, "CREATE TABLE IF NOT EXISTS kept AS SELECT 42 AS answer")
    host.check_output(f"{COMPOSE} up --detach --wait --force-recreate postgres 2>&1")
    assert sql(host, "SELECT answer FROM kept") == "42"
    sql(host, "DROP TABLE kept")


def test_a_rotated_password_is_in_force_after_the_next_run(host: Any, password: str) -> None:
    rotated = f'it\'s $a \\ "new" one: {token_hex(4)}'
    converge({"postgres_password": rotated})
    assert login(host, "somos", rotated).stdout.strip() == "somos"
    assert login(host, "somos", password).rc != 0


def test_a_client_network_is_let_in_without_a_restart(host: Any, password: str) -> None:
    network = f"10.{randbelow(256)}.{randbelow(256)}.0"
    started = sql(host, "SELECT pg_postmaster_start_time()")
    loaded = sql(host, "SELECT pg_conf_load_time()")
    converge({"postgres_password": password, "postgres_client_networks": [f"{network}/24"]})
    assert sql(host, f"SELECT count(*) FROM pg_hba_file_rules WHERE address = '{network}'") == "1"  # noqa: S608
    assert sql(host, "SELECT pg_conf_load_time()") > loaded
    assert sql(host, "SELECT pg_postmaster_start_time()") == started


def test_a_wrong_setting_is_refused_before_it_replaces_anything(host: Any) -> None:
    before = host.check_output("sha256sum /opt/somos/postgres/postgresql.conf")
    run = converge({"postgres_settings": {"shared_bufers": "1GB"}}, must_succeed=False)
    assert run.returncode != 0
    assert "shared_bufers" in run.stdout
    assert host.check_output("sha256sum /opt/somos/postgres/postgresql.conf") == before
