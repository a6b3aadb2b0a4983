"""The storage engine behind a narrow interface, so that everything above it can be tested without it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

PointId = int | str


@dataclass(frozen=True)
class Point:
    id: PointId
    vector: Any = None
    payload: dict[str, Any] | None = None
    score: float | None = None
    version: int | None = None


@dataclass(frozen=True)
class Info:
    points_count: int
    segments_count: int
    indexed_vectors_count: int


@dataclass(frozen=True)
class Selection:
    """What of a point is asked for, and of which points."""

    with_payload: bool | list[str]
    with_vector: bool | list[str]
    matching: dict[str, Any] | None = None


class Shard(Protocol):
    """One collection's data. Every method may raise RefusedByEngineError."""

    def upsert(self, points: Sequence[Point]) -> None: ...

    def delete(self, ids: Sequence[PointId]) -> None: ...

    def nearest(
        self, vector: Any, selection: Selection, limit: int, offset: int, score_threshold: float | None
    ) -> list[Point]: ...

    def scroll(
        self, selection: Selection, limit: int, offset: PointId | None
    ) -> tuple[list[Point], PointId | None]: ...

    def count(self, matching: dict[str, Any] | None, exact: bool) -> int: ...

    def info(self) -> Info: ...

    def close(self) -> None:
        """Write everything to disk and let the directory go."""


class Engine(Protocol):
    def create(self, path: Path, vectors: dict[str, Any]) -> Shard: ...

    def load(self, path: Path) -> Shard: ...
