"""The database of the scenario, its repositories, and runs of the role."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[3]
COMPOSE = "cd /opt/somos && docker compose"
PGBACKREST = f"{COMPOSE} exec -T postgres pgbackrest --stanza=somos"
REPOSITORY = "/var/backups/somos-postgres/repository"


def sql(host: Any, statement: str, database: str = "somos") -> str:
    """Run a statement as the superuser, by the socket."""
    psql = f"psql --no-psqlrc -tA -U postgres -d {database} -c {shlex.quote(statement)}"
    return str(host.check_output(f"{COMPOSE} exec -T postgres {psql}")).strip()


def converge(variables: dict[str, Any], must_succeed: bool = True) -> subprocess.CompletedProcess[str]:
    return play("molecule/shared/converge.yml", variables, must_succeed)


def play(playbook: str, variables: dict[str, Any], must_succeed: bool = True) -> subprocess.CompletedProcess[str]:
    command = ["ansible-playbook", "-i", "molecule/inventory.yml", playbook, "-e", json.dumps(variables)]
    environment = os.environ | {"MOLECULE_SCENARIO_NAME": "postgres"}
    run = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    if must_succeed:
        assert run.returncode == 0, run.stdout[-3000:]
    return run


def until(condition: Callable[[], bool], seconds: float, what: str) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        time.sleep(1)
