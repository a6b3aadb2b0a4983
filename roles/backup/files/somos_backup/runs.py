"""`run`: every job to every destination, each by itself, so that one that fails keeps no other from being made."""

from __future__ import annotations

import time
import uuid
from collections.abc import Sequence

from . import log, staging
from .compose import Compose
from .config import Config
from .errors import BackupError, ConfigError, PassingError
from .jobs import Job
from .jobs.base import Stored
from .manifest import Manifest
from .retry import patiently
from .state import State


def run(config: Config, jobs: Sequence[Job], state: State) -> bool:
    """Whether all went well. What went wrong is in the journal and in the state."""
    clear(config, jobs)
    run_id = f"{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}-{uuid.uuid4().hex[:8]}"
    log.say(f"Run {run_id} of {', '.join(job.name for job in jobs)}.")
    # Not `all(…)` of a generator: the first that fails would be the last that is tried.
    away: set[str] = set()
    results = [_run(config, job, run_id, state, away) for job in jobs]
    if all(results):
        log.say(f"Run {run_id} ended well.")
        return True
    failed = [job.name for job, well in zip(jobs, results, strict=True) if not well]
    log.say(f"Run {run_id} FAILED in {', '.join(failed)}. `somos-backup list` tells what there is.", level=log.ERROR)
    return False


def are_weekly(jobs: Sequence[Job]) -> bool:
    """Whether none of *jobs* is a daily one."""
    return bool(jobs) and all(job.weekly for job in jobs)


def clear(config: Config, jobs: Sequence[Job]) -> None:
    """Remove what a command that was killed has left of *jobs*: whoever calls this holds their lock."""
    for job in jobs:
        staging.remove(config.staging / job.name)
        staging.remove(config.scratch / job.name)
    if not are_weekly(jobs):  # they have no containers, and a lock of their own
        try:
            Compose(config.project, config.override).remove_leftovers()
        except BackupError as error:
            log.say(f"{error}", level=log.WARNING)


def _run(config: Config, job: Job, run_id: str, state: State, away: set[str]) -> bool:
    """Whether *job* reached every destination. Raises ConfigError."""
    began = time.time()

    def attempt() -> bool:
        with job.prepared(run_id) as prepared:
            took = time.time() - began
            log.say(f"put together in {took:.1f} s, {log.size(prepared.size)}", job=job.name)
            stored = [_store(config, job, run_id, prepared, each, took, state, away) for each in job.destinations]
            return all(stored)

    try:
        return patiently(attempt, config.retry_s, job=job.name, destination="")
    except ConfigError:
        raise
    except Exception as error:  # whatever it is, the other jobs are made
        for destination in job.destinations:
            _failed(job, destination, began, error, state)
        return False


def _store(
    config: Config,
    job: Job,
    run_id: str,
    prepared: Manifest,
    destination: str,
    took: float,
    state: State,
    away: set[str],
) -> bool:
    """*away*: where an earlier job has waited in vain. Later ones try once: nobody's local copy waits for that, too."""
    began = time.time()

    def attempt() -> Stored:
        return job.store(run_id, prepared, destination)

    try:
        pauses = () if destination in away else config.retry_s
        stored = patiently(attempt, pauses, job=job.name, destination=destination)
    except ConfigError:
        raise
    except Exception as error:
        if isinstance(error, PassingError):
            away.add(destination)
        _failed(job, destination, began - took, error, state)
        return False
    away.discard(destination)
    now = time.time()
    noted = state.note(
        "runs",
        job.name,
        destination,
        ok=1,
        last_run=now,
        last_success=now,
        duration=took + now - began,
        size=stored.added,
        content=stored.content,
        id=stored.id,
        error=None,
    )
    log.say(
        f"stored {stored.id[:20]}, {log.size(stored.added)} new, in {now - began:.1f} s",
        job=job.name,
        destination=destination,
    )
    return noted


def _failed(job: Job, destination: str, began: float, error: Exception, state: State) -> None:
    log.say(f"FAILED: {log.told(error)}", job=job.name, destination=destination, level=log.ERROR)
    now = time.time()
    state.note("runs", job.name, destination, ok=0, last_run=now, duration=now - began, error=str(error))
