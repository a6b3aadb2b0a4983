"""A client that talks to the server of the scenario whatever name it asks for, and trusts any certificate."""

from __future__ import annotations

import http.client
import json
import socket
import ssl
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import yaml

ROOT = Path(__file__).parents[3]
ADDRESS: str = yaml.safe_load((ROOT / "molecule/inventory.yml").read_text())["servers"]["hosts"]["nginx"][
    "ansible_host"
]
with socket.create_connection((ADDRESS, 22), timeout=20) as _connection:
    OWN_ADDRESS: str = _connection.getsockname()[0]


class Answer(NamedTuple):
    status: int
    headers: http.client.HTTPMessage
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


def anyone() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def connect(name: str, context: ssl.SSLContext | None = None) -> ssl.SSLSocket:
    return (context or anyone()).wrap_socket(socket.create_connection((ADDRESS, 443), timeout=20), server_hostname=name)


def ask(url: str, method: str = "GET", body: bytes | None = None, **headers: str) -> Answer:
    scheme, _, rest = url.partition("://")
    name, slash, path = rest.partition("/")
    connection = http.client.HTTPConnection(ADDRESS, 80, timeout=20)
    if scheme == "https":
        connection.sock = connect(name)
    sent = {"Host": name} | {key.replace("_", "-"): value for key, value in headers.items()}
    connection.request(method, slash + path, body, sent)
    answer = connection.getresponse()
    return Answer(answer.status, answer.headers, answer.read())


def eventually(check: Callable[[], bool], seconds: float = 20) -> bool:
    """Whether it becomes true: nginx reads a configuration, writes a line and asks for an address in its own time."""
    end = time.monotonic() + seconds
    while not (passed := check()) and time.monotonic() < end:
        time.sleep(0.2)
    return passed
