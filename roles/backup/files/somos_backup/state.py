"""What became of each job at each destination, kept for metrics and for whoever asks."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from . import log
from .errors import BackupError, BusyError


class State:
    """`state.json` in *directory*: of runs and verifications by job and destination, of units and of WAL."""

    def __init__(self, directory: Path) -> None:
        self.path = directory / "state.json"

    def read(self) -> dict[str, Any]:
        """Empty where there is none, or none that can be read: it is only what was seen, no backup depends on it."""
        try:
            values = json.loads(self.path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            values = {}
        return values if isinstance(values, dict) else {}

    @contextlib.contextmanager
    def changed(self) -> Iterator[dict[str, Any]]:
        """The state, to change; written as a whole afterwards. Raises BackupError where it cannot be."""
        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with (self.path.parent / "state.lock").open("w") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                values = self.read()
                yield values
                replace(self.path, json.dumps(values, indent=1, sort_keys=True) + "\n", 0o600)
        except OSError as error:
            raise BackupError(f"{self.path} cannot be written: {error.strerror}. Free space there.") from error

    def note(self, section: str, job: str, destination: str, **entry: Any) -> bool:
        """Add *entry* to what is known of *job* at *destination*. Whether it was kept; if not, the journal says so.

        A full disk keeps no other job from being tried: that it cannot be noted is no reason to stop.
        """
        try:
            with self.changed() as values:
                values.setdefault(section, {}).setdefault(job, {}).setdefault(destination, {}).update(entry)
        except BackupError as error:
            log.say(f"{error}", job=job, destination=destination, level=log.ERROR)
            return False
        return True


def replace(path: Path, text: str, mode: int) -> None:
    """Write *text* so that a reader sees all of it or what was there before."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    with os.fdopen(handle, "w", encoding="utf-8") as stream:
        os.fchmod(handle, mode)
        stream.write(text)
        stream.flush()
        os.fsync(handle)
    temporary.replace(path)


@contextlib.contextmanager
def alone(directory: Path, command: str, wait_s: float, *, lock: str = "lock") -> Iterator[None]:
    """Hold the lock of that name. Raises BusyError if another command still holds it after *wait_s* seconds."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = directory / lock
    with path.open("a+") as file:
        end = time.monotonic() + wait_s
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() >= end:
                    file.seek(0)
                    raise BusyError(
                        f"`somos-backup {file.read().strip()}` is at work. Wait for it, or use --wait."
                    ) from None
                time.sleep(min(1.0, max(0.0, end - time.monotonic())))
        with contextlib.suppress(OSError):  # a full disk: who holds the lock cannot be told, and is alone nevertheless
            os.ftruncate(file.fileno(), 0)
            os.write(file.fileno(), f"{command} (process {os.getpid()})\n".encode())
        yield
