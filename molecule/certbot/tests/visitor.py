"""Visitors of the server of the scenario, who trust the test authority's roots and nobody else."""

from __future__ import annotations

import hashlib
import http.client
import json
import os
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from tests.host.authority import Authority

ROOT = Path(__file__).parents[3]
ADDRESS: str = yaml.safe_load((ROOT / "molecule/inventory.yml").read_text())["servers"]["hosts"]["certbot"][
    "ansible_host"
]
SITES = ("app.somos.test", "s3.somos.test")
SECONDS = "https://acme.outside.test/seconds/dir"


@cache
def trust() -> ssl.SSLContext:
    return ssl.create_default_context(cadata=Authority().root() + Authority().root(15001))


def anyone() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


def visit(name: str = SITES[0], context: ssl.SSLContext | None = None) -> tuple[int, bytes]:
    """The status of a page, and the certificate that was shown on the way; an error if it is not to be trusted."""
    with socket.create_connection((ADDRESS, 443), timeout=10) as plain:
        connection = http.client.HTTPConnection(name, timeout=10)
        connection.sock = (context or trust()).wrap_socket(plain, server_hostname=name)
        shown = connection.sock.getpeercert(binary_form=True)
        connection.request("GET", "/", headers={"Host": name, "Connection": "close"})
        return connection.getresponse().status, shown or b""


def shown(context: ssl.SSLContext | None = None) -> str:
    """Of the certificate that everybody is shown: its digest. The site answers, too."""
    status, certificate = visit(context=context)
    assert status == 200
    return hashlib.sha256(certificate).hexdigest()


def names() -> set[str]:
    """What the certificate that everybody is shown is for."""
    argv = ["openssl", "x509", "-inform", "DER", "-noout", "-ext", "subjectAltName"]
    text = subprocess.run(argv, input=visit(context=anyone())[1], capture_output=True, check=True).stdout.decode()
    return {word.strip(" ,").removeprefix("DNS:") for word in text.split() if word.startswith("DNS:")}


def converge(*options: str, **variables: Any) -> subprocess.CompletedProcess[str]:
    """A run of the roles that have to do with the certificate."""
    command = ["ansible-playbook", "-i", "molecule/inventory.yml", "molecule/certbot/converge.yml", *options]
    extra = ["-e", json.dumps({"molecule_certificate_alone": True, **variables})]
    quiet = {**os.environ, "ANSIBLE_NOCOLOR": "1", "ANSIBLE_DISPLAY_SKIPPED_HOSTS": "0"}
    return subprocess.run([*command, *extra], cwd=ROOT, env=quiet, capture_output=True, text=True, check=False)


def words(run: subprocess.CompletedProcess[str]) -> str:
    return " ".join((run.stdout + run.stderr).split())


def metrics(host: Any) -> dict[str, float]:
    text = host.file("/var/lib/somos/metrics/somos_certificate.prom").content_string
    lines = [line.split() for line in text.splitlines() if not line.startswith("#")]
    return {name.removeprefix("somos_certificate_"): float(value) for name, value in lines}


def eventually(check: Callable[[], bool], seconds: float = 20) -> bool:
    end = time.monotonic() + seconds
    while not (passed := check()) and time.monotonic() < end:
        time.sleep(0.2)
    return passed


@contextmanager
def crowd(visitors: int = 6) -> Iterator[list[str]]:
    """So many at once, each request on a new connection; the list grows by what each was shown, or what failed."""
    seen: list[str] = []
    over = threading.Event()

    def stroll() -> None:
        while not over.is_set():
            try:
                status, certificate = visit()
                seen.append(hashlib.sha256(certificate).hexdigest() if status == 200 else f"status {status}")
            except (OSError, http.client.HTTPException) as error:
                seen.append(f"failed: {error!r}")

    threads = [threading.Thread(target=stroll) for _ in range(visitors)]
    for thread in threads:
        thread.start()
    try:
        yield seen
    finally:
        over.set()
        for thread in threads:
            thread.join()
