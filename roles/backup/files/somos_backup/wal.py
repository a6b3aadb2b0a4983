"""Continuous archiving of WAL: what was given up, and what metrics say of it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import postgres

if TYPE_CHECKING:
    from .jobs.base import Job


def last_gap(text: str) -> datetime:
    """When the last segment was given up, of a gap file's lines: a UTC time and a segment each."""
    times = re.findall(r"^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)Z ", text, re.MULTILINE)
    return datetime.fromisoformat(f"{times[-1]}+00:00") if times else datetime.min.replace(tzinfo=timezone.utc)


def wal_metrics(job: Job) -> Mapping[str, Any]:
    """What metrics say of continuous archiving. Raises BackupError while PostgreSQL does not answer."""
    sql = (
        "SELECT json_build_object('wal_archive_age_seconds', extract(epoch FROM now() - last_archived_time), "
        "'wal_archive_failures_total', failed_count, 'wal_waiting_segments', "
        "(SELECT count(*) FROM pg_ls_archive_statusdir() WHERE name LIKE '%.ready')) FROM pg_stat_archiver;"
    )
    # A database that is down is not to be mixed up with the scratch one beside it.
    job.compose.refuse_stopped(job.value("service"))
    found = json.loads(postgres.ask(job.compose, job.value("service"), sql, "Asking PostgreSQL for its archive"))
    directory = Path(job.value("gap_directory"))
    return {**found, "gaps": {name: int((directory / f"gap.{name}").exists()) for name in job.destinations}}
