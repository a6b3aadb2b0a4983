"""A run that is killed anywhere and run again ends like a run that was left alone.

Each round takes a fresh server, kills `ansible-playbook site.yml` with SIGKILL at a random moment of an undisturbed
run's duration, runs it again to the end, and compares the files under /opt/somos and the running containers'
configurations with those of the undisturbed server. TORTURE_ROUNDS (10) and TORTURE_SEED repeat a run.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
SERVER = "somos-torture"
ADDRESS = "10.77.0.50"
ROUNDS = int(os.environ.get("TORTURE_ROUNDS", "10"))
SEED = int(os.environ.get("TORTURE_SEED", time.time_ns() % 100_000))
MOMENTS = {random.Random(SEED + moment).random() for moment in range(ROUNDS)}

PLAYBOOK = [
    "ansible-playbook", "-i", "inventories/demo", "playbooks/site.yml",
    "-e", f"ansible_host={ADDRESS}", "-e", f"__demo_bucket={SERVER}",
    "-e", f"ansible_ssh_common_args='-o UserKnownHostsFile={ROOT}/build/hosts/{SERVER}/known_hosts'",
]  # fmt: skip

# Changes with every container, and with the seconds of its start; everything else has to be the same.
VOLATILE = {"Hostname", "com.docker.compose.container-number", "com.docker.compose.depends_on"}


@dataclass(frozen=True)
class Undisturbed:
    """What a run that was left alone took and left."""

    seconds: float
    state: set[str]


@pytest.fixture(scope="module")
def undisturbed() -> Iterator[Undisturbed]:
    fresh_server()
    start = time.monotonic()
    converge()
    yield Undisturbed(time.monotonic() - start, state())
    host("down", SERVER)


@pytest.mark.parametrize("fraction", sorted(MOMENTS))
def test_a_killed_run_converges_on_the_next(undisturbed: Undisturbed, fraction: float) -> None:
    print(
        f"\nseed {SEED}: killed after {fraction * undisturbed.seconds:.1f} of {undisturbed.seconds:.1f} s", flush=True
    )
    fresh_server()
    killed = subprocess.Popen(
        PLAYBOOK, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    time.sleep(fraction * undisturbed.seconds)
    os.killpg(killed.pid, signal.SIGKILL)
    killed.wait()
    converge()
    converged = state()
    assert sorted(converged - undisturbed.state) == sorted(undisturbed.state - converged) == []


def fresh_server() -> None:
    host("down", SERVER)
    host("bucket", SERVER)
    host("up", SERVER, "--image", "debian13", "--ip", ADDRESS)


def converge() -> None:
    run = subprocess.run(PLAYBOOK, cwd=ROOT, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout[-6000:] + run.stderr[-2000:]


def state() -> set[str]:
    """A line for each file under /opt/somos and for how each container runs."""
    files = on_server("find /opt/somos -type f -printf '%p %m %U:%G ' -exec sha256sum {} ';'")
    containers = json.loads(on_server("docker ps --quiet | xargs docker inspect"))
    # Replicas are alike, and count.
    replicas = Counter(json.dumps(configuration(container), sort_keys=True) for container in containers)
    return {
        *(line for line in files.splitlines() if "/logs/" not in line),
        *(f"{count} x {text}" for text, count in replicas.items()),
    }


def configuration(container: dict[str, Any]) -> dict[str, Any]:
    config = {key: value for key, value in container["Config"].items() if key not in VOLATILE}
    config["Labels"] = {key: value for key, value in config["Labels"].items() if key not in VOLATILE}
    keys = ("Memory", "MemorySwap", "PidsLimit", "CapAdd", "CapDrop", "SecurityOpt", "ReadonlyRootfs", "Binds")
    host_config = {key: container["HostConfig"][key] for key in keys}
    # Compose writes these in no order.
    config["Env"] = sorted(config["Env"])
    host_config["Binds"] = sorted(host_config["Binds"] or [])
    return {"config": config, "host": host_config, "networks": sorted(container["NetworkSettings"]["Networks"])}


def on_server(command: str) -> str:
    return subprocess.run(
        ["docker", "exec", SERVER, "sh", "-c", command], capture_output=True, text=True, check=True
    ).stdout


def host(*words: str) -> None:
    subprocess.run([sys.executable, "-m", "tests.host", *words], cwd=ROOT, check=True)
