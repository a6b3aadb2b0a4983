"""A configuration with its directories, and jobs that do as they are told."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from somos_backup.config import Config, parse
from somos_backup.errors import BackupError
from somos_backup.jobs.base import Job, Point, Stored, Verdict
from somos_backup.manifest import Manifest

NOW = datetime(2026, 11, 25, 3, 0, tzinfo=timezone.utc)


def config(directory: Path, *jobs: Mapping[str, Any], **changes: Any) -> Config:
    passphrase = directory / "passphrase"
    passphrase.write_text("a passphrase\n")
    values = {
        "name": "server",
        "project": str(directory / "project"),
        "state": str(directory / "state"),
        "textfile": str(directory),
        "restic": "restic",
        "rclone": "rclone",
        "retry_s": [],
        "repositories": {
            "local": {"url": str(directory / "local"), "password_file": str(passphrase)},
            "offsite": {
                "url": "s3:https://s3.example/bucket/restic",
                "password_file": str(passphrase),
                "credentials_file": str(directory / "credentials"),
                "region": "auto",
                "ca_file": str(directory / "ca.pem"),
            },
        },
        "jobs": list(jobs),
        **changes,
    }
    return parse(values, "config.json")


class Told(Job):
    """Stores nothing; each destination answers as *answers* says, one after another."""

    def __init__(
        self,
        config: Config,
        name: str,
        answers: Mapping[str, list[Any]],
        *,
        prepared_error: str = "",
        weekly: bool = False,
    ) -> None:
        super().__init__(config, {"name": name, "kind": "told", "weekly": weekly})
        self.answers = answers
        self.prepared_error = prepared_error
        self.asked: list[str] = []

    @property
    def destinations(self) -> list[str]:
        return list(self.answers)

    @contextmanager
    def prepared(self, run_id: str) -> Iterator[Manifest]:
        if self.prepared_error:
            raise BackupError(self.prepared_error)
        yield Manifest(self.name, run_id, NOW.isoformat(), {}, {"a": {"size": 7}})

    def store(self, run_id: str, prepared: Manifest, destination: str) -> Stored:
        return self._next(destination)

    def points(self, destination: str) -> list[Point]:
        return [Point(f"{self.name}-{number}", self.name, destination, NOW, 7) for number in (1, 2)]

    def verify(self, point: Point) -> Verdict:
        return Verdict(point, "looked at", self._next(point.destination))

    def _next(self, destination: str) -> Any:
        self.asked.append(destination)
        answer = self.answers[destination].pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


class Containers:
    """In the place of Compose: answers of commands by their first words; what was run is noted."""

    def __init__(self, answers: Mapping[str, Callable[..., str] | str]) -> None:
        self.answers = answers
        self.commands: list[tuple[str, ...]] = []

    def refuse_stopped(self, service: str) -> None: ...

    def execute(self, service: str, *argv: str, what: str, stdin: bytes = b"", stdout: Any = None) -> str:
        self.commands.append((service, *argv))
        said = " ".join(argv) + stdin.decode()
        for words, answer in self.answers.items():
            if words in said:
                return answer(stdout) if callable(answer) else answer
        raise AssertionError(f"nobody expected {said}")
