"""Once more, later, for what may pass."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TypeVar

from . import log
from .errors import PassingError

T = TypeVar("T")


def patiently(
    attempt: Callable[[], T],
    pauses: Sequence[float],
    *,
    job: str,
    destination: str,
    sleep: Callable[[float], None] = time.sleep,
) -> T:
    """What *attempt* returns. After a PassingError it is tried again after each of *pauses* (seconds)."""
    for pause in pauses:
        try:
            return attempt()
        except PassingError as error:
            log.say(f"{error}\nOnce more in {pause:.0f} s.", job=job, destination=destination, level=log.WARNING)
            sleep(pause)
    return attempt()
