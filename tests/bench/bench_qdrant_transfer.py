"""Claims: a snapshot of 2 GiB is fetched, verified and on disk (fsync) in at most 0.8 of the time that
`curl -o f … && sha256sum f` takes, which does not even wait for the disk; and a module's process stays below 64 MiB.

The server is this file again, in a process of its own: it answers as Qdrant does, sends the file from the kernel's
cache, as Qdrant's web server would, and throws uploads away. The modules are run by Ansible, as a user runs them.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import io
import json
import os
import socket
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).parents[2]
SIZE = 2 << 30
PAIRS = 5
NAME = "big-1-2026-11-24-03-00-00.snapshot"

# Stands in for Python on the host that a module runs on, and notes what the module's process needed.
INTERPRETER = """#!{python}
import resource, subprocess, sys
code = subprocess.run([{python!r}, *sys.argv[1:]]).returncode
with open({note!r}, "w") as note:
    note.write(str(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss))
sys.exit(code)
"""

FETCH = """
import sys, time
from pathlib import Path
from ansible_collections.somos.infra.plugins.module_utils._qdrant import Client, Http, Snapshot
client = Client(Http(sys.argv[1]))
snapshot, = client.snapshots("big")
start = time.monotonic()
client.download_snapshot("big", snapshot, sys.argv[2]).keep_as(Path(sys.argv[2]) / "fetched")
print(time.monotonic() - start)
"""


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    file: Path
    checksum: str

    def do_GET(self) -> None:
        self._body()
        if self.path.endswith(NAME):
            return self._file()
        description = {"name": NAME, "size": self.file.stat().st_size, "checksum": self.checksum}
        config = {"params": {"vectors": {"size": 4, "distance": "Dot"}, "shard_number": 1}}
        answers: dict[str, Any] = {
            "/cluster": {"status": "disabled"},
            "/aliases": {"aliases": []},
            "/collections": {"collections": [{"name": "big"}]},
            "/collections/big": {"status": "green", "optimizer_status": "ok", "config": config},
            "/collections/big/points/count": {"count": 1},
            "/collections/big/snapshots": description if self.command == "POST" else [description],
        }
        if self.command == "GET" and self.path.endswith("/snapshots") and self.server.fresh:  # type: ignore[attr-defined]
            answers["/collections/big/snapshots"] = []
        content: dict[str, Any] = {"result": answers.get(self.path.partition("?")[0], True), "status": "ok", "time": 0}
        return self._json({"version": "1.19.0"} if self.path == "/" else content)

    do_POST = do_PUT = do_DELETE = do_GET  # noqa: N815

    def log_message(self, *args: Any) -> None:
        pass

    def _body(self) -> None:
        left = int(self.headers.get("Content-Length") or 0)
        buffer = memoryview(bytearray(1 << 20))
        while left:
            left -= self.rfile.readinto(buffer[: min(left, len(buffer))])

    def _file(self) -> None:
        with self.file.open("rb") as file:
            self._head("application/octet-stream", self.file.stat().st_size)
            self.connection.sendfile(file)

    def _json(self, content: Any) -> None:
        text = json.dumps(content).encode()
        self._head("application/json", len(text))
        self.wfile.write(text)

    def _head(self, kind: str, length: int) -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(length))
        self.end_headers()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--serve", nargs=3, metavar=("FILE", "PORT", "FRESH"))
    if served := parser.parse_args().serve:
        return serve(Path(served[0]), int(served[1]), served[2] == "fresh")
    with tempfile.TemporaryDirectory() as directory:
        here = Path(directory)
        snapshot = here / NAME
        make(snapshot)
        times(here, snapshot)
        memory(here, snapshot)
    return None


def make(path: Path) -> None:
    """A snapshot as a server lays it out, of one segment that is nearly all of it. Its content is not all zeros."""
    inner = SIZE - (1 << 16)
    with path.open("wb") as file, tarfile.open(fileobj=file, mode="w", format=tarfile.GNU_FORMAT) as tar:
        for name, content in (("config.json", "{}"), ("0/shard_config.json", "{}")):
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content.encode()))
        info = tarfile.TarInfo("0/segments/6f3c.tar")
        info.size = inner
        file.write(info.tobuf(tarfile.GNU_FORMAT))
        vectors = tarfile.TarInfo("vectors")
        vectors.size = inner - 3 * 512
        file.write(vectors.tobuf(tarfile.GNU_FORMAT))
        block = os.urandom(1 << 20)
        for start in range(0, vectors.size, len(block)):
            file.write(block[: vectors.size - start])
        file.write(bytes(1024))
        tar.offset = file.tell()


def times(here: Path, snapshot: Path) -> None:
    ratios = []
    with served(snapshot, "kept") as url:
        for _ in range(PAIRS):
            ours, theirs = fetch(here, url), curl(here, url)
            ratios.append(ours / theirs)
            print(f"  fetched in {ours:.2f} s, curl && sha256sum {theirs:.2f} s", flush=True)
    ratio = statistics.median(ratios)
    print(
        f"2 GiB fetched, verified, fsynced: {ratio:.2f} of the time of curl && sha256sum (median of {PAIRS}; goal 0.8)"
    )
    assert ratio <= 0.8, "the goal is missed"


def fetch(here: Path, url: str) -> float:
    target = here / "ours"
    target.mkdir(exist_ok=True)
    environment = {**os.environ, "PYTHONPATH": str(PROJECT / ".ansible" / "collections")}
    command = [sys.executable, "-c", FETCH, url, str(target)]
    output = subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout
    (target / "fetched").unlink()
    return float(output)


def curl(here: Path, url: str) -> float:
    file = here / "theirs"
    start = time.monotonic()
    subprocess.run(["curl", "-sSfo", file, f"{url}/collections/big/snapshots/{NAME}"], check=True)
    subprocess.run(["sha256sum", file], check=True, stdout=subprocess.DEVNULL)
    taken = time.monotonic() - start
    file.unlink()
    return taken


def memory(here: Path, snapshot: Path) -> None:
    with served(snapshot, "fresh") as url:
        down = run(here, "qdrant_snapshot", {"url": url, "dest": str(here / "kept")})
        up = run(
            here,
            "qdrant_restore",
            {"url": url, "src": str(here / "kept" / NAME), "record": str(here / "record"), "replace": True},
        )
    print(f"peak memory of the module's process: {down:.0f} MiB fetching, {up:.0f} MiB restoring 2 GiB (goal 64)")
    assert max(down, up) < 64, "the goal is missed"


def run(here: Path, module: str, options: dict[str, Any]) -> float:
    """Run a module by Ansible; returns the peak memory of its process in MiB."""
    interpreter, note = here / "python", here / "note"
    interpreter.write_text(INTERPRETER.format(python=sys.executable, note=str(note)))
    interpreter.chmod(0o755)
    command = [
        Path(sys.executable).with_name("ansible"), "localhost", "-i", "localhost,", "-c", "local",
        "-e", f"ansible_python_interpreter={interpreter}", "-m", f"somos.infra.{module}", "-a", json.dumps(options),
    ]  # fmt: skip
    environment = {**os.environ, "ANSIBLE_CONFIG": str(PROJECT / "ansible.cfg")}
    subprocess.run(command, cwd=here, env=environment, check=True, stdout=subprocess.DEVNULL)
    return int(note.read_text()) / 1024


@contextlib.contextmanager
def served(snapshot: Path, state: str) -> Iterator[str]:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port = sock.getsockname()[1]
    server = subprocess.Popen([sys.executable, __file__, "--serve", str(snapshot), str(port), state])
    try:
        for _ in range(600):
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
            time.sleep(0.1)
        yield f"http://127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait()


def serve(file: Path, port: int, fresh: bool) -> None:
    with file.open("rb") as content:
        Handler.checksum = hashlib.file_digest(content, "sha256").hexdigest()
    Handler.file = file
    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    server.fresh = fresh  # type: ignore[attr-defined]
    server.serve_forever()


if __name__ == "__main__":
    main()
