"""What the tests of the modules for Qdrant share: a server with something in it, and how to compare what it holds."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from running_double import Double, Settings

__all__ = ["Double", "Settings"]

NEAR = [0.1, 0.9, 0.3]


def settings_in(directory: Path) -> Settings:
    return Settings(
        host="127.0.0.1",
        http_port=0,
        api_key="manage",
        read_only_api_key="read",
        storage_path=directory / "storage",
        snapshots_path=directory / "snapshots",
        faults=True,
    )


def fill(double: Double) -> None:
    """Collections of every shape, with 0, 1 and 60 points, aliases, and an index of a payload's field."""
    plain = {"size": 3, "distance": "Cosine"}
    double.result("PUT", "/collections/empty", {"vectors": plain})
    double.result("PUT", "/collections/one", {"vectors": plain})
    double.result("PUT", "/collections/plain", {"vectors": plain})
    double.result("PUT", "/collections/named", {"vectors": {"text": plain, "image": {"size": 2, "distance": "Dot"}}})
    double.result("PUT", "/collections/plain/index?wait=true", {"field_name": "kind", "field_schema": "keyword"})
    upsert(double, "one", [{"id": 7, "vector": [1, 0, 0], "payload": {"kind": "a"}}])
    upsert(
        double,
        "plain",
        [{"id": n, "vector": [n % 7, n % 5 + 1, 1], "payload": {"kind": "ab"[n % 2], "n": n}} for n in range(60)],
    )
    upsert(
        double,
        "named",
        [{"id": n, "vector": {"text": [n, 1, 0], "image": [1, n]}, "payload": {"n": n}} for n in range(5)],
    )
    alias(double, live="plain", pictures="named")


def upsert(double: Double, collection: str, points: list[dict[str, Any]]) -> None:
    double.result("PUT", f"/collections/{collection}/points?wait=true", {"points": points})


def alias(double: Double, **aliases: str) -> None:
    actions = [{"create_alias": {"alias_name": name, "collection_name": of}} for name, of in aliases.items()]
    double.result("POST", "/collections/aliases", {"actions": actions})


def holdings(double: Double) -> dict[str, Any]:
    """All that a user of the server could see: points, results of queries, aliases, indexes, snapshots left over."""
    names = sorted(each["name"] for each in double.result("GET", "/collections")["collections"])
    return {
        "aliases": aliases(double),
        "collections": {name: collection(double, name) for name in names},
    }


def aliases(double: Double) -> dict[str, str]:
    return {each["alias_name"]: each["collection_name"] for each in double.result("GET", "/aliases")["aliases"]}


def collection(double: Double, name: str) -> dict[str, Any]:
    info = double.result("GET", f"/collections/{name}")
    using = {"using": "text"} if name == "named" else {}
    found = double.result("POST", f"/collections/{name}/points/query", {"query": NEAR, "limit": 20, **using})
    scores = [(point["id"], round(point["score"], 6)) for point in found["points"]]
    return {
        "points": double.points(name),
        "nearest": scores,
        "vectors": info["config"]["params"]["vectors"],
        "index": {field: each["data_type"] for field, each in info["payload_schema"].items()},
    }


def left_on_server(double: Double) -> list[str]:
    """Every snapshot file on the server's disk, listed by it or not."""
    return sorted(path.name for path in double.settings.snapshots_path.rglob("*.snapshot"))


def expect(double: Double, on: str, do: str, **more: Any) -> None:
    """What is to happen to the next request of a kind; see the double's README."""
    assert double.ask("PUT", "/_double/faults", [{"on": on, "do": do, **more}], key=None).status == 200


def all_happened(double: Double) -> bool:
    """Whether every expected fault was met."""
    return bool(double.ask("GET", "/_double/faults", key=None).body == [])


def wipe(double: Double) -> None:
    """The server's disk is lost; an empty one starts in its place, on the same port."""
    port = double.port
    double.stop()
    for path in (double.settings.storage_path, double.settings.snapshots_path):
        shutil.rmtree(path)
    double.settings = Settings(**{**vars(double.settings), "http_port": port})
    double.start()
