"""`make demo`: a bare server in a container becomes the Somos server, in front of your eyes."""

from __future__ import annotations

import json
import os
import re
import socket
import ssl
import subprocess
import sys
import time
from typing import Any

from . import application
from .names import CA, DEMO, DEMO_SERVER, DEMO_SERVER_IP, DOMAIN, ROOT
from .shell import HostError, docker, fail, run, say
from .storage import Bucket

SUMMARY = DEMO / "summary.json"
INVENTORY = DEMO / "inventory"
PLAYBOOK = ["ansible-playbook", "-i", "inventories/demo", "playbooks/site.yml"]
APP = f"app.{DOMAIN}"


def main() -> None:
    timings: dict[str, float] = {}
    was = server_id()
    for name, command in (
        ("images", [sys.executable, "-m", "tests.host", "images"]),
        ("server", [sys.executable, "-m", "tests.host", "up", DEMO_SERVER]),
        ("playbook", PLAYBOOK),
    ):
        start = time.monotonic()
        say(f"{name}: {' '.join(command).replace(sys.executable, 'python3')}")
        if code := subprocess.run(command, cwd=ROOT, check=False, env=environment()).returncode:
            sys.exit(code)
        timings[name] = round(time.monotonic() - start, 1)
        if name == "server":
            prepare_bucket(is_new=server_id() != was)

    application.seed(DEMO_SERVER)
    if not INVENTORY.is_symlink():
        INVENTORY.symlink_to("../../inventories/demo")
    known_hosts = "build/demo/known_hosts"
    summary = {
        "address": DEMO_SERVER_IP,
        "ssh": f"ssh -p 2222 -i build/demo/id_ed25519 -o UserKnownHostsFile={known_hosts} deploy@{DEMO_SERVER_IP}",
        "urls": {name: f"https://{name}.{DOMAIN}/" for name in ("app", "s3", "monitor")},
        "ca": "build/demo/ca.pem",
        "inventory": "build/demo/inventory",
        "application": {"user": application.USER, "password": "demo_password in build/demo/secrets.json"},
        "services": services(),
        "health": health(),
        "seconds": timings | {"total": round(sum(timings.values()), 1)},
    }
    SUMMARY.write_text(json.dumps(summary, indent=2) + "\n")
    print(table(summary))


def server_id() -> str:
    return (
        run(["docker", "container", "inspect", "--format", "{{.Id}}", DEMO_SERVER], check=False).stdout.decode().strip()
    )


def prepare_bucket(*, is_new: bool) -> None:
    """Where the demo's backups go. What an earlier server has left there is another cluster's, and would be refused."""
    bucket = Bucket(f"{DEMO_SERVER}-backup")
    if is_new or not bucket.exists():
        bucket.make_empty()


def environment() -> dict[str, str]:
    """Ansible's progress is to be seen while it happens, in colour where there is a terminal."""
    return {**os.environ, "PYTHONUNBUFFERED": "1"}


def services() -> list[dict[str, Any]]:
    """What runs on the server, as a person in /opt/somos sees it."""
    lines = docker(
        "exec", "--workdir", "/opt/somos", DEMO_SERVER, "docker", "compose", "ps", "--all", "--format", "json"
    )
    return [
        {
            "service": container["Service"],
            "state": container["Health"] or container["State"],
            "image": container["Image"],
            "published": sorted(
                {f"{p['URL']}:{p['PublishedPort']}" for p in container["Publishers"] or [] if p["PublishedPort"]}
            ),
        }
        for container in map(json.loads, lines.splitlines())
    ]


def health() -> dict[str, Any]:
    """What the application says of its dependencies, asked from outside, over TLS, by the server's name."""
    context = ssl.create_default_context(cafile=str(CA))
    with (
        socket.create_connection((DEMO_SERVER_IP, 443), timeout=30) as plain,
        context.wrap_socket(plain, server_hostname=APP) as connection,
    ):
        connection.sendall(f"GET /api/health HTTP/1.1\r\nHost: {APP}\r\nConnection: close\r\n\r\n".encode())
        answer = b"".join(iter(lambda: connection.recv(65536), b"")).decode()
    body = re.search(r"\{.*\}", answer, re.DOTALL)
    if not answer.startswith("HTTP/1.1 200 ") or body is None:
        raise HostError(f"https://{APP}/api/health did not answer 200:\n{answer[:2000]}")
    return dict(json.loads(body[0]))


def table(summary: dict[str, Any]) -> str:
    checks = ", ".join(f"{name} {check['status']}" for name, check in summary["health"]["checks"].items())
    seconds = ", ".join(f"{name} {value:.0f} s" for name, value in summary["seconds"].items())
    rows = [f"  {s['service']:<16}{s['state']:<12}{', '.join(s['published']) or '-'}" for s in summary["services"]]
    return "\n".join(
        [
            "",
            f"The Somos server is up at {summary['address']}.",
            "",
            f"  {'SERVICE':<16}{'STATE':<12}PUBLISHED",
            *rows,
            "",
            f"  health    {checks}",
            f"  log in    {summary['ssh']}",
            f"  look      curl --cacert build/demo/ca.pem --resolve {APP}:443:{summary['address']} https://{APP}/",
            f"  browse    add '{summary['address']} " + " ".join(f"{name}.{DOMAIN}" for name in summary["urls"])
            + "' to /etc/hosts and trust build/demo/ca.pem",
            f"  took      {seconds}",
            "",
        ]
    )  # fmt: skip


if __name__ == "__main__":
    try:
        main()
    except HostError as error:
        fail(str(error))
        sys.exit(1)
