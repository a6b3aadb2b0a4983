"""`verify`: the newest backup of each job at each destination, restored in a scratch place and compared."""

from __future__ import annotations

import time
from collections.abc import Sequence

from . import log, runs
from .config import Config
from .errors import BackupError, ConfigError
from .jobs import Job
from .state import State

SHOWN = 20


def verify(config: Config, jobs: Sequence[Job], state: State, *, destination: str = "", point_id: str = "") -> bool:
    """Whether all that was looked at is right. *point_id*: that one instead of the newest."""
    runs.clear(config, jobs)
    results = [
        _verify(job, each, point_id, state) for job in jobs for each in job.destinations if destination in ("", each)
    ]
    if not results:
        log.say("There is nothing to verify: no such destination.", level=log.ERROR)
    return bool(results) and all(results)


def _verify(job: Job, destination: str, point_id: str, state: State) -> bool:
    began = time.time()
    try:
        points = [point for point in job.points(destination) if point_id in ("", point.id)]
        if not points:
            raise BackupError(f"There is no backup{f' {point_id}' if point_id else ''}. See `somos-backup list`.")
        point = job.newest(points)
        verdict = job.verify(point)
        if verdict.wrong:
            more = len(verdict.wrong) - SHOWN
            shown = [*verdict.wrong[:SHOWN], *([f"and {more} more"] if more > 0 else [])]
            raise BackupError(
                f"{point.id[:20]} of {point.time:%Y-%m-%d %H:%M:%SZ} is NOT what was saved:\n" + "\n".join(shown)
            )
    except ConfigError:
        raise
    except Exception as error:  # whatever it is, the others are looked at
        log.say(f"NOT VERIFIED: {log.told(error)}", job=job.name, destination=destination, level=log.ERROR)
        state.note("verified", job.name, destination, ok=0, last_run=time.time(), error=str(error))
        return False
    now = time.time()
    noted = state.note(
        "verified",
        job.name,
        destination,
        ok=1,
        last_run=now,
        last_success=now,
        duration=now - began,
        id=point.id,
        proven=point.id,
        error=None,
    )
    log.say(
        f"verified {point.id[:20]} of {point.time:%Y-%m-%d %H:%M:%SZ} in {now - began:.1f} s: {verdict.checked}",
        job=job.name,
        destination=destination,
    )
    return noted
