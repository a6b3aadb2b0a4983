"""Points: written, searched, read and counted."""

from __future__ import annotations

from typing import Any

from .errors import RefusedByEngineError, bad_input, not_found
from .model import Point, PointId, Selection
from .node import Node
from .request import Request, member, refuse_unknown


def upsert(node: Node, request: Request) -> Any:
    points = [_point(each) for each in member(request.fields("points"), "points")]
    collection = node.storage.get(request.collection)
    with collection.lock:
        collection.shard.upsert(points)
    return done(request)


def delete(node: Node, request: Request) -> Any:
    ids = member(request.fields("points"), "points")
    collection = node.storage.get(request.collection)
    with collection.lock:
        collection.shard.delete(ids)
    return done(request)


def retrieve(node: Node, request: Request) -> Any:
    body = request.fields("ids", "with_payload", "with_vector")
    shard = node.storage.get(request.collection).shard
    return [_found(point) for point in shard.retrieve(member(body, "ids"), _selection(body, with_payload=True))]


def get(node: Node, request: Request) -> Any:
    given = request.names["id"]
    point_id: PointId = int(given) if given.isdecimal() else given
    selection = Selection(with_payload=True, with_vector=True)
    shard = node.storage.get(request.collection).shard
    try:
        found = shard.retrieve([point_id], selection)
    except RefusedByEngineError as error:
        raise bad_input(f'Can not recognize "{given}" as point id') from error
    if not found:
        raise not_found(f"Point with id {given} does not exists!")
    return _found(found[0])


def query(node: Node, request: Request) -> Any:
    body = request.fields(
        "query", "using", "limit", "offset", "filter", "with_payload", "with_vector", "score_threshold"
    )
    vector = member(body, "query")
    if isinstance(vector, dict):
        refuse_unknown(vector, "nearest")
        vector = member(vector, "nearest")
    if not isinstance(vector, list):
        raise bad_input("this test double searches by a vector only")
    found = node.storage.get(request.collection).shard.nearest(
        vector,
        body.get("using"),
        _selection(body, with_payload=False),
        limit=body.get("limit", 10),
        offset=body.get("offset", 0),
        score_threshold=body.get("score_threshold"),
    )
    return {"points": [_found(point) for point in found]}


def scroll(node: Node, request: Request) -> Any:
    body = request.fields("limit", "offset", "filter", "with_payload", "with_vector")
    found, following = node.storage.get(request.collection).shard.scroll(
        _selection(body, with_payload=True), limit=body.get("limit", 10), offset=body.get("offset")
    )
    return {"points": [_found(point) for point in found], "next_page_offset": following}


def count(node: Node, request: Request) -> Any:
    body = request.fields("filter", "exact")
    counted = node.storage.get(request.collection).shard.count(_filter(body), exact=body.get("exact", True))
    return {"count": counted}


def _point(given: dict[str, Any]) -> Point:
    refuse_unknown(given, "id", "vector", "payload")
    return Point(member(given, "id"), member(given, "vector"), given.get("payload"))


def _found(point: Point) -> dict[str, Any]:
    answer: dict[str, Any] = {"id": point.id}
    if point.score is not None:
        answer |= {"version": point.version, "score": point.score}
    answer |= {"payload": point.payload} if point.payload is not None else {}
    answer |= {"vector": point.vector} if point.vector is not None else {}
    return answer


def done(request: Request) -> Any:
    # Written before the answer either way; a client that does not wait is told no more than the server would say.
    return {"operation_id": 0, "status": "completed" if request.wait else "acknowledged"}


def _selection(body: dict[str, Any], with_payload: bool) -> Selection:
    return Selection(
        with_payload=body.get("with_payload", with_payload),
        with_vector=body.get("with_vector", False),
        matching=_filter(body),
    )


def _filter(body: dict[str, Any]) -> dict[str, Any] | None:
    clauses: dict[str, Any] | None = body.get("filter")
    if clauses is None:
        return None
    refuse_unknown(clauses, "must", "should", "must_not")
    for condition in [each for conditions in clauses.values() for each in conditions]:
        refuse_unknown(condition, "has_id", "key", "match")
        if "has_id" not in condition:
            refuse_unknown(member(condition, "match"), "value", "any")
            member(condition, "key")
    return clauses
