"""The real storage engine: PyPI's `qdrant-edge-py`, built from the server's own source."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import qdrant_edge as edge

from .errors import RefusedByEngineError
from .model import Info, Point, PointId, Selection

_DISTANCES = {name: getattr(edge.Distance, name) for name in ("Cosine", "Dot", "Euclid", "Manhattan")}


@contextmanager
def _translated() -> Iterator[None]:
    # The engine raises bare Exception, ValueError and TypeError alike for data that it does not accept.
    try:
        yield
    except Exception as error:
        raise RefusedByEngineError(str(error).partition("\n")[0]) from error


def create(path: Path, vectors: dict[str, Any]) -> EdgeShard:
    with _translated():
        return EdgeShard(edge.EdgeShard.create(str(path), edge.EdgeConfig(vectors=_vector_params(vectors))))


def load(path: Path) -> EdgeShard:
    with _translated():
        return EdgeShard(edge.EdgeShard.load(str(path)))


class EdgeShard:
    """One collection's data. Every method may raise RefusedByEngineError."""

    def __init__(self, shard: edge.EdgeShard) -> None:
        self._shard = shard

    def upsert(self, points: Sequence[Point]) -> None:
        with _translated():
            batch = [edge.Point(point.id, point.vector, point.payload) for point in points]
            self._shard.update(edge.UpdateOperation.upsert_points(batch))

    def delete(self, ids: Sequence[PointId]) -> None:
        with _translated():
            self._shard.update(edge.UpdateOperation.delete_points(list(ids)))

    def create_index(self, field: str, schema: str | dict[str, Any]) -> None:
        with _translated():
            self._shard.update(edge.UpdateOperation.create_field_index(field, _field_schema(schema)))

    def delete_index(self, field: str) -> None:
        with _translated():
            self._shard.update(edge.UpdateOperation.delete_field_index(field))

    def retrieve(self, ids: Sequence[PointId], selection: Selection) -> list[Point]:
        with _translated():
            records = self._shard.retrieve(list(ids), selection.with_payload, selection.with_vector)
        return [Point(_plain_id(record.id), record.vector, record.payload) for record in records]

    def nearest(
        self,
        vector: Any,
        using: str | None,
        selection: Selection,
        limit: int,
        offset: int,
        score_threshold: float | None,
    ) -> list[Point]:
        with _translated():
            request = edge.QueryRequest(
                query=edge.Query.Nearest(vector, using),
                limit=limit,
                offset=offset,
                filter=_filter(selection.matching),
                with_payload=selection.with_payload,
                with_vector=selection.with_vector,
                score_threshold=score_threshold,
            )
            found = self._shard.query(request)
        return [
            Point(_plain_id(each.id), each.vector, each.payload, score=each.score, version=each.version)
            for each in found
        ]

    def scroll(self, selection: Selection, limit: int, offset: PointId | None) -> tuple[list[Point], PointId | None]:
        with _translated():
            request = edge.ScrollRequest(
                offset=offset,
                limit=limit,
                filter=_filter(selection.matching),
                with_payload=selection.with_payload,
                with_vector=selection.with_vector,
            )
            records, following = self._shard.scroll(request)
        points = [Point(_plain_id(record.id), record.vector, record.payload) for record in records]
        return points, None if following is None else _plain_id(following)

    def count(self, matching: dict[str, Any] | None, exact: bool) -> int:
        with _translated():
            return int(self._shard.count(edge.CountRequest(exact=exact, filter=_filter(matching))))

    def info(self) -> Info:
        with _translated():
            info = self._shard.info()
        indexes = {
            field: (str(index.data_type).rpartition(".")[2].lower(), index.points)
            for field, index in info.payload_schema.items()
        }
        return Info(info.points_count, info.segments_count, info.indexed_vectors_count, indexes)

    def flush(self) -> None:
        with _translated():
            self._shard.flush()

    def close(self) -> None:
        """Write everything to disk and let the directory go."""
        self._shard.close()


def _plain_id(found: Any) -> PointId:
    return found if isinstance(found, int) else str(found)


def _field_schema(schema: str | dict[str, Any]) -> Any:
    """A kind of index by its name, or with its parameters, of which the engine takes what is plain here."""
    if isinstance(schema, str):
        return getattr(edge.PayloadSchemaType, schema.capitalize())
    parameters = {name: value for name, value in schema.items() if name != "type"}
    return getattr(edge, f"{schema['type'].capitalize()}IndexParams")(**parameters)


def _vector_params(vectors: dict[str, Any]) -> Any:
    def one(params: dict[str, Any]) -> Any:
        return edge.EdgeVectorParams(size=params["size"], distance=_DISTANCES[params["distance"]])

    return one(vectors) if "size" in vectors else {name: one(params) for name, params in vectors.items()}


def _filter(clauses: dict[str, Any] | None) -> Any:
    if clauses is None:
        return None
    return edge.Filter(**{clause: [_condition(each) for each in conditions] for clause, conditions in clauses.items()})


def _condition(condition: dict[str, Any]) -> Any:
    if "has_id" in condition:
        return edge.HasIdCondition(set(condition["has_id"]))
    match = condition["match"]
    wanted = edge.MatchValue(match["value"]) if "value" in match else edge.MatchAny(match["any"])
    return edge.FieldCondition(key=condition["key"], match=wanted)
