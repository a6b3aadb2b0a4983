"""All that Qdrant holds, 200 000 points and more, is fetched, lost and put back; and so it is if runs are killed.

The server is the test double in a process of its own; the modules are run by Ansible, as a user runs them.
TORTURE_ROUNDS (10) and TORTURE_SEED repeat a run; TORTURE_POINTS (200000) makes it smaller.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
DOUBLE = ROOT / "tests" / "host" / "images" / "qdrant"
VISITOR = ROOT / "molecule" / "qdrant" / "files" / "visitor.py"
ROUNDS = int(os.environ.get("TORTURE_ROUNDS", "10"))
SEED = int(os.environ.get("TORTURE_SEED", time.time_ns() % 100_000))
POINTS = int(os.environ.get("TORTURE_POINTS", "200000"))
KEY = "torture-main-key"


@dataclass
class Server:
    directory: Path
    port: int = 0
    process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        if not self.port:
            with socket.socket() as sock:
                sock.bind(("127.0.0.1", 0))
                self.port = sock.getsockname()[1]
        environment = {
            **os.environ,
            "PYTHONPATH": str(DOUBLE),
            "QDRANT__SERVICE__HOST": "127.0.0.1",
            "QDRANT__SERVICE__HTTP_PORT": str(self.port),
            "QDRANT__SERVICE__API_KEY": KEY,
            "QDRANT__STORAGE__STORAGE_PATH": str(self.directory / "storage"),
            "QDRANT__STORAGE__SNAPSHOTS_PATH": str(self.directory / "snapshots"),
        }
        self.process = subprocess.Popen([sys.executable, "-m", "qdrant_double"], env=environment)
        for _ in range(600):
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
                return
            time.sleep(0.1)
        raise AssertionError("the double does not start")

    def stop(self) -> None:
        assert self.process
        self.process.terminate()
        self.process.wait()

    def lose(self) -> None:
        """Its disk is gone; an empty one starts in its place."""
        self.stop()
        shutil.rmtree(self.directory)
        self.start()

    def visit(self, *arguments: str) -> Any:
        environment = {**os.environ, "QDRANT_API_KEY": KEY, "QDRANT_PORT": str(self.port)}
        command = [sys.executable, VISITOR, *arguments]
        answer = subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout
        return json.loads(answer) if answer else None

    def snapshots(self) -> list[str]:
        return sorted(path.name for path in (self.directory / "snapshots").rglob("*.snapshot"))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = Server(tmp_path_factory.mktemp("qdrant") / "data")
    server.start()
    server.visit("fill", str(POINTS))
    yield server
    server.stop()


@pytest.fixture(scope="module")
def before(server: Server) -> Any:
    return server.visit("look")


def command(server: Server, module: str, **options: Any) -> list[str]:
    return [
        str(Path(sys.executable).with_name("ansible")), "localhost", "-i", "localhost,", "-c", "local",
        "-e", f"ansible_python_interpreter={sys.executable}",
        "-m", f"somos.infra.{module}", "-a", json.dumps({"url": server.url, "api_key": KEY, **options}),
    ]  # fmt: skip


def run(server: Server, module: str, **options: Any) -> None:
    done = subprocess.run(command(server, module, **options), env=environment(), capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def environment() -> dict[str, str]:
    return {**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg")}


def kill_after(seconds: float, server: Server, module: str, **options: Any) -> None:
    """Ansible and the module with it."""
    killed = subprocess.Popen(
        command(server, module, **options), env=environment(), stdout=subprocess.DEVNULL, start_new_session=True
    )
    time.sleep(seconds)
    os.killpg(killed.pid, signal.SIGKILL)
    killed.wait()


def put_back(server: Server, kept: Path, record: Path) -> None:
    for snapshot in sorted(kept.glob("*.snapshot")):
        run(server, "qdrant_restore", src=str(snapshot), record=str(record))


def test_all_of_it_comes_back(server: Server, before: Any, tmp_path: Path) -> None:
    assert before["collections"]["many"]["points"] == POINTS
    started = time.monotonic()
    run(server, "qdrant_snapshot", dest=str(tmp_path / "kept"))
    fetched = time.monotonic()
    server.lose()
    lost = time.monotonic()
    put_back(server, tmp_path / "kept", tmp_path / "record")
    restored = time.monotonic()
    size = sum(path.stat().st_size for path in (tmp_path / "kept").iterdir())
    print(f"\n{size >> 20} MiB fetched in {fetched - started:.1f} s, restored in {restored - lost:.1f} s", flush=True)
    assert server.visit("look") == before
    assert server.snapshots() == []


@pytest.mark.parametrize("round_", range(ROUNDS))
def test_killed_fetches_leave_nothing_that_the_next_does_not_clean_up(
    server: Server, before: Any, tmp_path: Path, round_: int
) -> None:
    moment = random.Random(SEED + round_).uniform(0.8, 4.0)
    print(f"\nseed {SEED}: killed after {moment:.2f} s", flush=True)
    kill_after(moment, server, "qdrant_snapshot", dest=str(tmp_path / "kept"))
    time.sleep(1)
    heard = server.snapshots()
    run(server, "qdrant_snapshot", dest=str(tmp_path / "kept"))
    # What was made for a run that was killed before it heard the name belongs to nobody.
    assert len(server.snapshots()) <= min(1, len(heard))
    for left in server.snapshots():
        (next((server.directory / "snapshots").rglob(left))).unlink()
    names = {path.name for path in (tmp_path / "kept").iterdir()}
    assert {name for name in names if name.startswith(".")} == set()
    assert {f"{name}.manifest.json" for name in names if name.endswith(".snapshot")} <= names
    assert server.visit("look") == before


@pytest.mark.parametrize("round_", range(ROUNDS))
def test_killed_restores_are_taken_up(server: Server, before: Any, tmp_path: Path, round_: int) -> None:
    run(server, "qdrant_snapshot", dest=str(tmp_path / "kept"))
    many = next((tmp_path / "kept").glob("many-*.snapshot"))
    record = tmp_path / "record"
    server.lose()
    moment = random.Random(SEED + 1000 + round_).uniform(0.8, 5.0)
    print(f"\nseed {SEED}: killed after {moment:.2f} s", flush=True)
    kill_after(moment, server, "qdrant_restore", src=str(many), record=str(record))
    put_back(server, tmp_path / "kept", record)
    assert server.visit("look") == before
    assert server.snapshots() == []
