"""The server of the scenario, tested over one SSH connection, as an operator would.

The verifier's own way, a run of Ansible for each command, takes seconds each and takes `{{.State}}` for a template.
"""

from __future__ import annotations

import os
import socket
import warnings
from collections.abc import Callable
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
    server = testinfra.get_host(
        f"ssh://deploy@{address}:2222" if moved else f"ssh://root@{address}",
        ssh_identity_file=str(BUILD / "demo" / "id_ed25519"),
        ssh_extra_args=f"-o IdentitiesOnly=yes -o UserKnownHostsFile={known_hosts}",
        sudo=moved,
    )
    server.backend.run = once_more_when_not_entered(server.backend.run)
    return server


def once_more_when_not_entered(run: Callable[..., Any]) -> Callable[..., Any]:
    """*run*, on a server whose engine once in thousands of tries does not get into a container, and says so.

    The command has not run then, and nothing is said about the container: it is run once more, with a warning.
    """

    def patiently(*arguments: Any, **kwargs: Any) -> Any:
        result = run(*arguments, **kwargs)
        if result.rc == 126 and "waiting for init preliminary setup" in result.stderr:
            warnings.warn(f"the engine did not get into a container: {result.stderr.strip()}", stacklevel=2)
            result = run(*arguments, **kwargs)
        return result

    return patiently


def answers(address: str, port: int) -> bool:
    """Whether anything accepts a connection there."""
    try:
        socket.create_connection((address, port), timeout=2).close()
    except OSError:
        return False
    return True
