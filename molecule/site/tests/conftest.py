"""What a user of the site has: its names, its CA, and nothing else of the server."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.host import application

CA = Path(__file__).parents[3] / "build" / "demo" / "ca.pem"
DOMAIN = "somos.test"


@pytest.fixture(scope="session", autouse=True)
def names(address: str) -> Iterator[None]:
    """Let every name under the demo's domain lead to the server of the scenario, as public DNS would."""
    real = socket.getaddrinfo

    def resolve(host: str | bytes | None, *args: Any, **kwargs: Any) -> Any:
        name = host.decode() if isinstance(host, bytes) else host
        return real(address if name and name.endswith(f".{DOMAIN}") else host, *args, **kwargs)

    patch = pytest.MonkeyPatch()
    patch.setattr(socket, "getaddrinfo", resolve)
    yield
    patch.undo()


@pytest.fixture(scope="session", autouse=True)
def data(names: None) -> None:
    """What a user of the demo application finds there."""
    application.seed("molecule-site")


@pytest.fixture
def visitor() -> Iterator[requests.Session]:
    """A visitor who trusts the demo's CA and nobody else."""
    with requests.Session() as session:
        session.verify = str(CA)
        session.trust_env = False
        yield session
