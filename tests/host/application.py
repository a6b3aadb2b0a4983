"""The demo application's own data, put in through its own command."""

from __future__ import annotations

import json
import os
import subprocess

from .names import SECRETS
from .shell import HostError

USER = "demo"


def password() -> str:
    """The demo user's password, made with the other secrets of the demo."""
    return str(json.loads(SECRETS.read_text())["demo_password"])


def seed(server: str) -> None:
    """The demo user and a few projects; run again, it changes nothing. The password goes through the environment."""
    run_seed = ["docker", "compose", "exec", "--no-TTY", "--env", "DEMO_USER", "--env", "DEMO_PASSWORD", "backend"]
    run_seed += ["/opt/somos/entrypoint.sh", "python", "-m", "app.seed"]
    enter = ["docker", "exec", "--env", "DEMO_USER", "--env", "DEMO_PASSWORD", "--workdir", "/opt/somos", server]
    environment = {**os.environ, "DEMO_USER": USER, "DEMO_PASSWORD": password()}
    result = subprocess.run([*enter, *run_seed], env=environment, capture_output=True, text=True, check=False)
    if result.returncode:
        raise HostError(f"seeding the demo application in {server} failed: {(result.stderr or result.stdout)[-2000:]}")
