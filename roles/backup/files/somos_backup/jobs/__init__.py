"""What is backed up: one kind of job a module."""

from __future__ import annotations

from collections.abc import Sequence

from ..config import Config
from ..errors import ConfigError
from .base import Job
from .bucket import Bucket
from .files import Files
from .pg_dump import PgDump
from .pgbackrest import PgBackRest
from .qdrant import Qdrant
from .redis import Redis

KINDS: dict[str, type[Job]] = {
    "bucket": Bucket,
    "files": Files,
    "pg_dump": PgDump,
    "pgbackrest": PgBackRest,
    "qdrant": Qdrant,
    "redis": Redis,
}

__all__ = ["Job", "all_jobs", "chosen"]


def all_jobs(config: Config) -> list[Job]:
    """In the order of the configuration. Raises ConfigError for a kind that there is not."""
    for values in config.jobs:
        if values.get("kind") not in KINDS:
            raise ConfigError(
                f"job {values.get('name')} is of kind {values.get('kind')}; there are {', '.join(KINDS)}."
            )
    return [KINDS[values["kind"]](config, values) for values in config.jobs]


def chosen(config: Config, names: Sequence[str], *, weekly: bool = True) -> list[Job]:
    """Those of *names*, or all; without *weekly*, all but the weekly ones. Raises ConfigError for another name."""
    jobs = all_jobs(config)
    unknown = sorted(set(names) - {job.name for job in jobs})
    if unknown:
        raise ConfigError(f"there is no job {', '.join(unknown)}; there are {', '.join(job.name for job in jobs)}.")
    return [job for job in jobs if (job.name in names if names else weekly or not job.weekly)]
