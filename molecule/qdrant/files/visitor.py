"""Run on the server: `fill N` makes collections, `look` prints all that a user of Qdrant sees, in few lines.

The key stands in QDRANT_API_KEY. `look` prints digests, for a collection of thousands of points is no text to read.
"""

from __future__ import annotations

import hashlib
import http.client
import json
import os
import sys
from typing import Any

PORT = int(os.environ.get("QDRANT_PORT", "6333"))
BATCH = 1000


def ask(method: str, path: str, body: Any = None) -> Any:
    connection = http.client.HTTPConnection("127.0.0.1", PORT, timeout=120)
    text = None if body is None else json.dumps(body)
    connection.request(method, path, text, {"api-key": os.environ["QDRANT_API_KEY"]})
    answer = json.loads(connection.getresponse().read())
    if answer["status"] != "ok":
        raise SystemExit(f"{method} {path}: {answer['status']}")
    return answer["result"]


def fill(points: int) -> None:
    plain = {"size": 8, "distance": "Cosine"}
    ask("PUT", "/collections/empty", {"vectors": plain})
    ask("PUT", "/collections/one", {"vectors": plain})
    ask("PUT", "/collections/many", {"vectors": plain})
    ask("PUT", "/collections/named", {"vectors": {"text": plain, "image": {"size": 2, "distance": "Dot"}}})
    ask("PUT", "/collections/many/index?wait=true", {"field_name": "kind", "field_schema": "keyword"})
    upsert("one", [{"id": 1, "vector": [1] * 8, "payload": {}}])
    upsert("named", [{"id": n, "vector": {"text": [n + 1] * 8, "image": [1, n]}} for n in range(100)])
    for start in range(0, points, BATCH):
        ids = range(start, min(points, start + BATCH))
        upsert("many", [{"id": n, "vector": vector(n), "payload": {"kind": f"kind {n % 5}", "n": n}} for n in ids])
    aliases = [{"create_alias": {"alias_name": "live", "collection_name": "many"}}]
    ask("POST", "/collections/aliases", {"actions": aliases})


def upsert(collection: str, points: list[dict[str, Any]]) -> None:
    ask("PUT", f"/collections/{collection}/points?wait=true", {"points": points})


def vector(number: int) -> list[int]:
    """Some direction, the same every time."""
    return [byte - 128 for byte in hashlib.sha256(str(number).encode()).digest()[:8]]


def look() -> dict[str, Any]:
    names = sorted(each["name"] for each in ask("GET", "/collections")["collections"])
    aliases = {each["alias_name"]: each["collection_name"] for each in ask("GET", "/aliases")["aliases"]}
    return {"aliases": aliases, "collections": {name: seen(name) for name in names}}


def seen(name: str) -> dict[str, Any]:
    digest, offset = hashlib.sha256(), None
    while True:
        body = {"limit": BATCH, "with_vector": True, "with_payload": True, "offset": offset}
        page = ask("POST", f"/collections/{name}/points/scroll", body)
        digest.update(json.dumps(page["points"], sort_keys=True).encode())
        offset = page["next_page_offset"]
        if offset is None:
            break
    using = {"using": "text"} if name == "named" else {}
    found = ask("POST", f"/collections/{name}/points/query", {"query": vector(-1), "limit": 10, **using})["points"]
    return {
        "points": ask("POST", f"/collections/{name}/points/count", {"exact": True})["count"],
        "digest": digest.hexdigest(),
        "nearest": [[point["id"], round(point["score"], 5)] for point in found],
        "index": sorted(ask("GET", f"/collections/{name}")["payload_schema"]),
    }


if __name__ == "__main__":
    if sys.argv[1] == "fill":
        fill(int(sys.argv[2]))
    else:
        print(json.dumps(look(), indent=1, sort_keys=True))
