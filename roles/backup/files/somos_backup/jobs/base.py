"""What all kinds of jobs have in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from .. import manifest, staging
from ..compose import Compose
from ..config import Config
from ..errors import BackupError, ConfigError
from ..manifest import Manifest
from ..restic import Restic, Snapshot
from ..state import State


@dataclass(frozen=True)
class Stored:
    """What came of a job at one destination. *added*: bytes written there; *content*: bytes that it restores to."""

    id: str
    added: int
    content: int


@dataclass(frozen=True)
class Point:
    """A backup that can be restored. *time*: UTC."""

    id: str
    job: str
    destination: str
    time: datetime
    size: int
    details: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Verdict:
    """What was held against the manifest of *point*: *checked* in words, *wrong* as one sentence a difference."""

    point: Point
    checked: str
    wrong: Sequence[str]


class Job(ABC):
    """One kind of data. Everything raises BackupError."""

    def __init__(self, config: Config, values: Mapping[str, Any]) -> None:
        self.config = config
        self.values = values
        self.name = str(values["name"])
        self.weekly = bool(values.get("weekly"))
        self.compose = Compose(config.project, config.override)

    def value(self, key: str) -> Any:
        """Raises ConfigError that names the job."""
        try:
            return self.values[key]
        except KeyError as error:
            raise ConfigError(f"job {self.name} has no {key}. Run role backup again.") from error

    @property
    @abstractmethod
    def destinations(self) -> list[str]: ...

    @contextmanager
    @abstractmethod
    def prepared(self, run_id: str) -> Iterator[Manifest]:
        """What is to be stored, put together once for all destinations."""

    @abstractmethod
    def store(self, run_id: str, prepared: Manifest, destination: str) -> Stored: ...

    @abstractmethod
    def points(self, destination: str) -> list[Point]:
        """Oldest first."""

    def newest(self, points: Sequence[Point]) -> Point:
        """That of *points*, oldest first, which is to be proven."""
        return points[-1]

    @abstractmethod
    def verify(self, point: Point) -> Verdict:
        """Restore *point* into a scratch place, and compare."""

    def prune(self, destination: str) -> None:  # noqa: B027 (most kinds expire as they store)
        """What is done once a week."""


class StagedJob(Job):
    """Put together in a directory, which restic stores in every repository."""

    @property
    def destinations(self) -> list[str]:
        return list(self.config.repositories)

    @abstractmethod
    def room(self) -> int:
        """Bytes that staging needs at most."""

    @abstractmethod
    def stage(self, directory: Path) -> dict[str, Any]:
        """Write the data into *directory*; returns the facts for the manifest."""

    def differences(self, directory: Path, facts: Mapping[str, Any]) -> list[str]:
        """Bring the restored data in *directory* to life in a scratch place, and hold it against *facts*."""
        return []

    proof = "files"

    @contextmanager
    def prepared(self, run_id: str) -> Iterator[Manifest]:
        with staging.emptied(self.directory):
            staging.refuse_without_room(self.directory, self.room())
            data = self.directory / manifest.DATA
            data.mkdir(mode=0o700)
            yield manifest.seal(self.directory, self.name, run_id, self.stage(data))

    def store(self, run_id: str, prepared: Manifest, destination: str) -> Stored:
        repository = self.repository(destination)
        snapshot, added = repository.save(self.directory, self.name, run_id)
        repository.keep(self.name, int(self.value("keep_days")), self.proven(destination))
        return Stored(snapshot, added, prepared.size)

    def proven(self, destination: str) -> str:
        """The backup that was last restored and right: it stays, whatever its age."""
        known = State(self.config.state).read().get("verified", {}).get(self.name, {}).get(destination, {})
        return str(known.get("proven") or "")

    def points(self, destination: str) -> list[Point]:
        return [self._point(destination, snapshot) for snapshot in self.repository(destination).snapshots(self.name)]

    def restore(self, point: Point, directory: Path) -> Manifest:
        """Put *point* into *directory*, which gets manifest.json and data/."""
        repository = self.repository(point.destination)
        found = [each for each in repository.snapshots(self.name) if each.id == point.id]
        if not found:
            raise BackupError(f"There is no {point.id} of {self.name} in {point.destination}. See `somos-backup list`.")
        repository.restore(found[0], directory)
        return manifest.read(directory)

    def verify(self, point: Point) -> Verdict:
        with staging.emptied(self.config.scratch / self.name) as directory:
            staging.refuse_without_room(directory, point.size)
            saved = self.restore(point, directory)
            wrong = manifest.differences(directory, saved)
            if not wrong:  # what is not whole need not be brought to life
                staging.open_up(directory / manifest.DATA)
                wrong = self.differences(directory / manifest.DATA, saved.facts)
            return Verdict(point, f"{len(saved.files)} files, {self.proof}", wrong)

    @property
    def directory(self) -> Path:
        return self.config.staging / self.name

    def repository(self, destination: str) -> Restic:
        try:
            return Restic(self.config, self.config.repositories[destination])
        except KeyError as error:
            raise ConfigError(f"there is no destination {destination} for job {self.name}.") from error

    def _point(self, destination: str, snapshot: Snapshot) -> Point:
        return Point(snapshot.id, self.name, destination, snapshot.time, snapshot.size)
