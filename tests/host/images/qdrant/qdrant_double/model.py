"""What travels between the API and the storage engine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

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
    # Of each payload field with an index: the kind of the index, and how many points it has.
    indexes: dict[str, tuple[str, int]]


@dataclass(frozen=True)
class Selection:
    """What of a point is asked for, and of which points."""

    with_payload: bool | list[str]
    with_vector: bool | list[str]
    matching: dict[str, Any] | None = None
