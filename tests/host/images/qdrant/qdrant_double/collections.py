"""Collections and their aliases."""

from __future__ import annotations

from typing import Any

from .errors import ApiError, bad_input, invalid, malformed, not_found
from .node import Node
from .points import done
from .request import Request, member, refuse_unknown
from .storage import Storage

_INDEXES = ("keyword", "integer", "float", "geo", "text", "bool", "datetime", "uuid")
_DISTANCES = ("Cosine", "Dot", "Euclid", "Manhattan")


def list_all(node: Node, request: Request) -> Any:
    return {"collections": [{"name": name} for name in node.storage.names()]}


def create(node: Node, request: Request) -> bool:
    vectors = member(request.fields("vectors"), "vectors")
    if not isinstance(vectors, dict):
        raise bad_input("`vectors` must be an object")
    for params in [vectors] if "size" in vectors else vectors.values():
        refuse_unknown(params, "size", "distance")
        if not isinstance(member(params, "size"), int) or not 1 <= params["size"] <= 65536:
            raise invalid("JSON body", "vectors.size: value must be from 1 to 65536")
        if member(params, "distance") not in _DISTANCES:
            raise malformed("JSON body", f"distance is none of {', '.join(_DISTANCES)}")
    node.storage.create(request.collection, vectors)
    return True


def info(node: Node, request: Request) -> Any:
    collection = node.storage.get(request.collection)
    state = collection.shard.info()
    config = {key: value for key, value in collection.config.items() if key != "uuid"}
    return {
        "status": "green",
        "optimizer_status": "ok",
        "indexed_vectors_count": state.indexed_vectors_count,
        "points_count": state.points_count,
        "segments_count": state.segments_count,
        "config": config,
        "payload_schema": {
            field: {"data_type": kind, "points": points} | _index_params(collection.schema.get(field))
            for field, (kind, points) in state.indexes.items()
        },
    }


def create_index(node: Node, request: Request) -> Any:
    body = request.fields("field_name", "field_schema")
    field, schema = member(body, "field_name"), member(body, "field_schema")
    kind = schema.get("type") if isinstance(schema, dict) else schema
    if kind not in _INDEXES:
        raise malformed("JSON body", f"field_schema is none of {', '.join(_INDEXES)}")
    collection = node.storage.get(request.collection)
    with collection.lock:
        collection.shard.create_index(field, schema)
        collection.schema = {**collection.schema, field: schema}
    return done(request)


def delete_index(node: Node, request: Request) -> Any:
    field = request.names["field"]
    collection = node.storage.get(request.collection)
    with collection.lock:
        collection.shard.delete_index(field)
        collection.schema = {name: schema for name, schema in collection.schema.items() if name != field}
    return done(request)


def _index_params(schema: Any) -> dict[str, Any]:
    return {"params": schema} if isinstance(schema, dict) else {}


def exists(node: Node, request: Request) -> Any:
    return {"exists": node.storage.exists(request.collection)}


def delete(node: Node, request: Request) -> bool:
    return node.storage.drop(request.collection)


def list_aliases(node: Node, request: Request) -> Any:
    wanted = node.storage.get(request.collection).name if "collection" in request.names else None
    return {
        "aliases": [
            {"alias_name": alias, "collection_name": collection}
            for alias, collection in sorted(node.storage.aliases.items())
            if wanted in (None, collection)
        ]
    }


def update_aliases(node: Node, request: Request) -> bool:
    # One by one, as the server does it: what was done before a refused action stays done.
    for action in member(request.fields("actions"), "actions"):
        refuse_unknown(action, "create_alias", "delete_alias", "rename_alias")
        for kind, names in action.items():
            with node.storage.lock:
                node.storage.set_aliases(_ACTIONS[kind](node.storage, dict(node.storage.aliases), names))
    return True


def _create_alias(storage: Storage, aliases: dict[str, str], names: dict[str, str]) -> dict[str, str]:
    alias, collection = member(names, "alias_name"), member(names, "collection_name")
    if collection not in storage.names():
        raise not_found(f"Collection `{collection}` doesn't exist!")
    if alias in storage.names():
        raise ApiError(409, f"Wrong input: Collection `{alias}` already exists!")
    return {**aliases, alias: collection}


def _delete_alias(storage: Storage, aliases: dict[str, str], names: dict[str, str]) -> dict[str, str]:
    aliases.pop(member(names, "alias_name"), None)
    return aliases


def _rename_alias(storage: Storage, aliases: dict[str, str], names: dict[str, str]) -> dict[str, str]:
    old, new = member(names, "old_alias_name"), member(names, "new_alias_name")
    if old not in aliases:
        raise not_found(f"Alias {old} does not exists!")
    aliases[new] = aliases.pop(old)
    return aliases


_ACTIONS = {"create_alias": _create_alias, "delete_alias": _delete_alias, "rename_alias": _rename_alias}
