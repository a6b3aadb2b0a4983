"""Metrics for node-exporter's textfile collector, from the state."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from .errors import BackupError
from .state import replace

NAME = "somos_backup.prom"
# Of each job and destination: the metric, the section and key of the state, and what it says.
BY_JOB = (
    ("last_run_timestamp_seconds", "runs", "last_run", "When the job last ended, well or not (Unix time)."),
    ("last_run_success", "runs", "ok", "Whether it ended well: 1 or 0."),
    ("last_success_timestamp_seconds", "runs", "last_success", "When it last ended well (Unix time)."),
    ("size_bytes", "runs", "size", "What it last added to the destination."),
    ("content_bytes", "runs", "content", "What the newest backup restores to."),
    ("duration_seconds", "runs", "duration", "How long it took."),
    (
        "last_verified_timestamp_seconds",
        "verified",
        "last_success",
        "When a backup was last restored and found right (Unix time).",
    ),
    ("verify_success", "verified", "ok", "Whether the last one that was restored was right: 1 or 0."),
)
WAL = (
    ("wal_archive_age_seconds", "Age of the newest segment of WAL that every repository has."),
    ("wal_waiting_segments", "Segments of WAL that some repository does not have yet."),
    ("wal_archive_failures_total", "Tries to archive a segment that failed."),
)


def write(directory: Path | None, state: Mapping[str, Any]) -> None:
    """Raises BackupError if *directory* cannot be written to. Without one there is nothing to do."""
    if directory is None:
        return
    try:
        replace(directory / NAME, "".join(f"{line}\n" for line in lines(state)), 0o644)
    except OSError as error:
        raise BackupError(f"The metrics cannot be written to {directory}: {error.strerror}.") from error


def lines(state: Mapping[str, Any]) -> Iterator[str]:
    """The text format of Prometheus."""
    for name, section, key, text in BY_JOB:
        samples = [
            ({"job": job, "destination": destination}, entry[key])
            for job, destinations in sorted(state.get(section, {}).items())
            for destination, entry in sorted(destinations.items())
            if entry.get(key) is not None
        ]
        yield from _metric(name, text, samples)
    wal = state.get("wal", {})
    for name, text in WAL:
        yield from _metric(name, text, [({}, wal[name])] if wal.get(name) is not None else [])
    yield from _metric(
        "wal_gap",
        "Whether WAL was given up for a repository that has had no backup since: 1 or 0.",
        [({"destination": destination}, value) for destination, value in sorted(wal.get("gaps", {}).items())],
    )
    yield from _metric(
        "unit_failed",
        "Whether a unit of systemd failed when it last ran: 1 or 0.",
        [({"unit": unit}, value) for unit, value in sorted(state.get("failed_units", {}).items())],
    )


def _metric(name: str, text: str, samples: list[tuple[dict[str, str], Any]]) -> Iterator[str]:
    kind = "counter" if name.endswith("_total") else "gauge"
    if samples:
        yield f"# HELP somos_backup_{name} {text}"
        yield f"# TYPE somos_backup_{name} {kind}"
    for labels, value in samples:
        inner = ",".join(f'{label}="{_escaped(said)}"' for label, said in labels.items())
        yield f"somos_backup_{name}{f'{{{inner}}}' if inner else ''} {float(value):.10g}"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
