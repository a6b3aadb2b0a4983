"""Running programs, saying what is going on, and waiting."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from .names import BUILD


class HostError(Exception):
    """A failure that is explained well enough without a traceback."""


_START = time.monotonic()


def say(text: str) -> None:
    # In one piece, since images are built by several threads.
    print(f"[{time.monotonic() - _START:6.1f}s] {text}\n", end="", flush=True)


@contextmanager
def step(text: str) -> Iterator[None]:
    """Says what begins, and how long it took."""
    say(f"{text} …")
    start = time.monotonic()
    yield
    say(f"{text}: done in {time.monotonic() - start:.1f} s")


def run(argv: list[str], *, stdin: bytes | None = None, check: bool = True) -> subprocess.CompletedProcess[bytes]:
    """Runs a program with its output captured; a failure carries the end of that output."""
    result = subprocess.run(argv, input=stdin, capture_output=True, check=False)
    if check and result.returncode != 0:
        words = (result.stdout + result.stderr).decode(errors="replace").strip().splitlines()[-25:]
        raise HostError("\n".join([f"`{' '.join(argv[:4])} …` failed (exit {result.returncode}):", *words]))
    return result


def docker(*arguments: str, stdin: bytes | None = None) -> str:
    return run(["docker", *arguments], stdin=stdin).stdout.decode().strip()


def docker_ok(*arguments: str) -> bool:
    return run(["docker", *arguments], check=False).returncode == 0


def wait_until(condition: Callable[[], bool], *, seconds: float, what: str, pause: float = 0.3) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise HostError(f"{what}: not so after {seconds:.0f} s")
        time.sleep(pause)


@contextmanager
def exclusive(name: str) -> Iterator[None]:
    """One process at a time: several test runs share images, network and the world outside."""
    BUILD.mkdir(exist_ok=True)
    with (BUILD / f".{name}.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"waiting for another run ({name})")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def as_root() -> list[str]:
    """Prefix of a command that only root may run."""
    return [] if os.geteuid() == 0 else ["sudo"]


def fail(message: str) -> None:
    print(f"ERROR: {message}", file=sys.stderr, flush=True)
