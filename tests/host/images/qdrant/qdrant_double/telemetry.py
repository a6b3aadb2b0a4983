"""What the server counts of its snapshots, by the name that was asked for."""

from __future__ import annotations

import threading
import uuid
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timezone
from typing import Any

from . import faults


class Telemetry:
    def __init__(self) -> None:
        self.id = str(uuid.uuid4())
        self.started = datetime.now(timezone.utc).isoformat().replace("+00:00", "Z")
        self._lock = threading.Lock()
        self._created: Counter[str] = Counter()
        self._creating: Counter[str] = Counter()
        self._recovering: Counter[str] = Counter()

    @contextmanager
    def creating(self, name: str) -> Iterator[None]:
        with self._lock:
            self._created[name] += 1
        with self._running(self._creating, name):
            yield

    @contextmanager
    def recovering(self, name: str) -> Iterator[None]:
        with self._running(self._recovering, name):
            yield

    @contextmanager
    def _running(self, counter: Counter[str], name: str) -> Iterator[None]:
        with self._lock:
            counter[name] += 1
        try:
            faults.pause()
            yield
        finally:
            with self._lock:
                counter[name] -= 1

    def snapshots(self) -> list[dict[str, Any]]:
        with self._lock:
            return [
                {
                    "id": name,
                    "running_snapshots": self._creating[name],
                    "running_snapshot_recovery": self._recovering[name],
                    "total_snapshot_creations": self._created[name],
                }
                for name in sorted({*self._created, *self._creating, *self._recovering})
            ]

    def metrics(self) -> list[str]:
        """In Prometheus' text format."""
        kinds = [
            ("snapshot_creation_running", "gauge", "running_snapshots"),
            ("snapshot_recovery_running", "gauge", "running_snapshot_recovery"),
            ("snapshot_created_total", "counter", "total_snapshot_creations"),
        ]
        lines = []
        for metric, kind, key in kinds:
            samples = [f'{metric}{{id="{each["id"]}"}} {each[key]}' for each in self.snapshots()]
            lines += [f"# TYPE {metric} {kind}", *samples] if samples else []
        return lines
