"""Faults for the next requests of a kind: what clients meet whose server is full, slow, far away or dying.

`/_double/faults` exists only with QDRANT_DOUBLE_FAULTS=1, and no key opens or closes it. PUT takes a list of faults,
which replaces the one that is there; GET tells what is still to come; DELETE forgets it.

What was asked for has been done when an answer breaks off. An upload with `after` is broken off within its own body
instead, and nothing has been done.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from time import sleep
from typing import Any

from .errors import ApiError, bad_request

PATH = "/_double/faults"
ACTIONS = {
    "answer": "`status` and `message`, instead of what was asked for; the body is read up to `after` bytes before",
    "delay": "`seconds` longer; snapshots and recoveries count as running meanwhile",
    "truncate": "the connection is closed after `after` bytes of the answer's body, without `after` before its head",
    "stall": "as `truncate`, but nothing happens for `seconds` before",
    "reset": "as `truncate`, but the connection is reset",
    "checksum": "checksums in the answer are wrong",
    "break": "a recovery fails where the shard is replaced, and leaves it broken",
}


@dataclass
class Fault:
    on: str
    """Method and path, `*` standing for one name: `POST /collections/*/snapshots`."""
    do: str
    times: int = 1
    skip: int = 0
    """So many of these requests are left alone first."""
    after: int | None = None
    seconds: float = 0
    status: int = 500
    message: str = ""
    plain: bool = False
    retry_after: int | None = None

    def __post_init__(self) -> None:
        if self.do not in ACTIONS:
            raise bad_request(f"no fault `{self.do}`, only {', '.join(ACTIONS)}")
        if not re.fullmatch(r"[A-Z]+ /\S*", self.on):
            raise bad_request(f"`{self.on}` is not a method and a path")
        self._pattern = re.compile(re.escape(self.on).replace(r"\*", "[^/]+"))

    def refusal(self) -> ApiError:
        return ApiError(self.status, self.message, plain=self.plain, retry_after=self.retry_after)

    def concerns(self, request: str) -> bool:
        return self._pattern.fullmatch(request) is not None


class Faults:
    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._coming: list[Fault] = []

    def take(self, method: str, path: str) -> Fault | None:
        """What is to happen to this request; it is used up by that."""
        with self._lock:
            for fault in self._coming:
                if fault.concerns(f"{method} {path}"):
                    if fault.skip:
                        fault.skip -= 1
                        return None
                    fault.times -= 1
                    if fault.times <= 0:
                        self._coming.remove(fault)
                    return fault
        return None

    def coming(self) -> list[dict[str, Any]]:
        with self._lock:
            return [asdict(fault) for fault in self._coming]

    def replace(self, given: Any) -> None:
        try:
            faults = [Fault(**each) for each in given]
        except TypeError as error:
            raise bad_request(str(error)) from error
        with self._lock:
            self._coming = faults


_present = threading.local()


@contextmanager
def applied(fault: Fault | None) -> Iterator[None]:
    """While the work of a request is done, in the thread that does it."""
    _present.fault = fault
    try:
        yield
        pause()
    finally:
        _present.fault = None


def pause() -> None:
    """Where a snapshot is made or recovered; at the end of all other work."""
    fault = _now("delay")
    if fault:
        _present.fault = None
        sleep(fault.seconds)


def damage(unpacked: Path) -> None:
    """Where a shard is about to be put in place."""
    if _now("break"):
        for state in unpacked.glob("segments/*/segment.json"):
            state.unlink()


def _now(action: str) -> Fault | None:
    fault: Fault | None = getattr(_present, "fault", None)
    return fault if fault and fault.do == action else None
