"""Claim: a run of restic over files that did not change takes at most a second for each 2 GiB of them, through the
program that the server runs. The rival is what the seed does every night: `tar | gzip` of the same files.

In a test server of its own, with Debian's restic. Needs Docker; takes five minutes.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parents[2]
SERVER, ADDRESS = "somos-bench-restic", "10.77.0.45"
GIB, FILES, ROUNDS = 2, 2000, 5
GOAL_S_PER_2_GIB = 1.0

MAKE = f"""
import os, random
from pathlib import Path
top = Path("/root/files")
for number in range({FILES}):
    path = top / str(number % 50) / str(number)
    path.parent.mkdir(parents=True, exist_ok=True)
    # Half of it can be compressed, as configuration and media are mixed.
    path.write_bytes(os.urandom({GIB << 30} // {FILES} // 2) + b"text " * ({GIB << 30} // {FILES} // 10))
Path("/root/passphrase").write_text("bench")
"""
SAVE = """
import sys, time
sys.path.insert(0, "/root")
from pathlib import Path
from somos_backup.config import Repository, parse
from somos_backup.restic import Restic
given = {"name": "bench", "project": "/root", "state": "/root/state", "repositories": {}, "jobs": []}
repository = Repository("local", "/root/repository", "/root/passphrase")
start = time.monotonic()
Restic(parse(given, "bench"), repository).save(Path("/root/files"), "files", "run")
print(time.monotonic() - start)
"""


def main() -> None:
    host("down", SERVER)
    host("up", SERVER, "--image", "debian13", "--ip", ADDRESS)
    try:
        inside("apt-get update && apt-get install --yes --no-install-recommends restic")
        program = ROOT / "roles" / "backup" / "files" / "somos_backup"
        subprocess.run(["docker", "cp", "--quiet", str(program), f"{SERVER}:/root/somos_backup"], check=True)
        inside("python3 -", MAKE)
        first = float(inside("python3 -", SAVE))
        rounds = [(float(inside("python3 -", SAVE)), archived()) for _ in range(ROUNDS)]
    finally:
        host("down", SERVER)
    unchanged, tar = (statistics.median(values) for values in zip(*rounds, strict=True))
    ratio = unchanged / tar
    print(f"first {first:.1f} s, unchanged {unchanged:.2f} s, tar | gzip {tar:.1f} s, ratio {ratio:.3f}")
    allowed = GOAL_S_PER_2_GIB * GIB / 2
    print(f"unchanged run over {GIB} GiB: {unchanged:.2f} s (goal {allowed:.1f} s)")
    sys.exit(0 if unchanged <= allowed else 1)


def archived() -> float:
    start = time.monotonic()
    inside("tar -C /root -c files | gzip > /root/archive && rm /root/archive")
    return time.monotonic() - start


def inside(command: str, stdin: str = "") -> str:
    return subprocess.run(
        ["docker", "exec", "-i", SERVER, "bash", "-c", command], input=stdin, capture_output=True, text=True, check=True
    ).stdout


def host(*arguments: str) -> None:
    subprocess.run([sys.executable, "-m", "tests.host", *arguments], cwd=ROOT, check=True)


if __name__ == "__main__":
    main()
