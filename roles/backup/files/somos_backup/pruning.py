"""`prune`: once a week, what nothing needs any more goes, and a part of what stays is read again."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from . import log
from .config import Config
from .errors import BackupError
from .jobs import Job
from .restic import Restic


def prune(config: Config, jobs: Sequence[Job]) -> bool:
    """Whether all went well. Where nothing is backed up any more nothing expires: ages count from a job's newest."""
    results = [
        _done(lambda repository=repository: Restic(config, repository).prune(), "", name)  # type: ignore[misc]
        for name, repository in config.repositories.items()
    ]
    results += [
        _done(lambda job=job, name=name: job.prune(name), job.name, name)  # type: ignore[misc]
        for job in jobs
        for name in job.destinations
    ]
    return all(results)


def _done(work: Callable[[], None], job: str, destination: str) -> bool:
    try:
        work()
    except BackupError as error:
        log.say(f"FAILED: {error}", job=job, destination=destination, level=log.ERROR)
        return False
    log.say("cleaned up and checked", job=job, destination=destination)
    return True
