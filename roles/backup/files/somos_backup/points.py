"""`list` and `restore-points`: what there is to go back to, at each destination."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import timezone
from typing import Any

from . import log
from .errors import BackupError
from .jobs import Job
from .jobs.base import Point


def found(jobs: Sequence[Job], destination: str = "") -> tuple[list[Point], list[dict[str, str]]]:
    """All points, and where they could not be asked for and why. A destination that is away hides no other."""
    points: list[Point] = []
    unreachable = []
    for job in jobs:
        for each in job.destinations:
            if destination not in ("", each):
                continue
            try:
                points += job.points(each)
            except BackupError as error:
                log.say(f"{error}", job=job.name, destination=each, level=log.ERROR)
                unreachable.append({"job": job.name, "destination": each, "error": str(error)})
    return points, unreachable


def as_json(points: Sequence[Point], unreachable: Sequence[dict[str, str]]) -> dict[str, Any]:
    """Times as ISO 8601 in UTC, sizes in bytes; oldest first within a job and destination."""
    return {
        "points": [
            {
                "id": point.id,
                "job": point.job,
                "destination": point.destination,
                "time": point.time.astimezone(timezone.utc).isoformat(timespec="seconds"),
                "size": point.size,
                **({"details": point.details} if point.details else {}),
            }
            for point in points
        ],
        "unreachable": list(unreachable),
    }


def as_table(points: Sequence[Point]) -> Iterator[str]:
    """For a person: newest last, as `ls -t` would not."""
    yield f"{'JOB':<14} {'DESTINATION':<12} {'TIME (UTC)':<20} {'SIZE':>10}  ID"
    for point in points:
        size = log.size(point.size) if point.size else "-"
        yield f"{point.job:<14} {point.destination:<12} {point.time:%Y-%m-%d %H:%M:%S}  {size:>10}  {point.id[:40]}"
