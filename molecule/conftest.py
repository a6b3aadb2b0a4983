"""The server of the scenario, tested over one SSH connection, as an operator would.

The verifier's own way, a run of Ansible for each command, takes seconds each and takes `{{.State}}` for a template.
"""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import Any

import pytest
import testinfra
import yaml

ROOT = Path(__file__).parents[1]
BUILD = ROOT / "build"


@pytest.fixture(scope="session")
def address() -> str:
    """Where the server is; an error when the inventory has none of the scenario's name."""
    name = os.environ["MOLECULE_SCENARIO_NAME"]
    own = ROOT / "molecule" / name / "inventory.yml"
    inventory = yaml.safe_load((own if own.exists() else ROOT / "molecule" / "inventory.yml").read_text())
    hosts: dict[str, Any] = next(iter(inventory.values()))["hosts"]
    return str(hosts[name]["ansible_host"])


@pytest.fixture(scope="session")
def host(address: str) -> Any:
    """The server, through the door that is open: port 2222 for `deploy` once role ssh was there, 22 for root before."""
    name = os.environ["MOLECULE_SCENARIO_NAME"].replace("_", "-")
    known_hosts = BUILD / "hosts" / f"molecule-{name}" / "known_hosts"
    moved = answers(address, 2222)
    return testinfra.get_host(
        f"ssh://deploy@{address}:2222" if moved else f"ssh://root@{address}",
        ssh_identity_file=str(BUILD / "demo" / "id_ed25519"),
        ssh_extra_args=f"-o IdentitiesOnly=yes -o UserKnownHostsFile={known_hosts}",
        sudo=moved,
    )


def answers(address: str, port: int) -> bool:
    """Whether anything accepts a connection there."""
    try:
        socket.create_connection((address, port), timeout=2).close()
    except OSError:
        return False
    return True
