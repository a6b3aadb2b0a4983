"""Qdrant over its REST API, and the embedding of a text."""

from __future__ import annotations

import hashlib
import math
import re
import unicodedata
import uuid
from collections.abc import Sequence
from typing import Any, cast

import httpx

from . import settings

SIZE = 64


def embed(text: str) -> list[float]:
    """A deterministic embedding: signed feature hashing of the words, without accents and case, to unit length."""
    plain = unicodedata.normalize("NFKD", text.casefold())
    vector = [0.0] * SIZE
    for word in re.findall(r"\w+", "".join(c for c in plain if not unicodedata.combining(c))):
        digest = hashlib.blake2b(word.encode(), digest_size=4).digest()
        vector[int.from_bytes(digest[:3], "big") % SIZE] += 1.0 if digest[3] % 2 else -1.0
    length = math.hypot(*vector)
    if not length:
        vector[0] = length = 1.0
    return [value / length for value in vector]


class Vectors:
    """One collection; made when first written to."""

    def __init__(self, http: httpx.AsyncClient, collection: str) -> None:
        self._http = http
        self._path = f"/collections/{collection}"

    async def upsert(self, point: uuid.UUID, vector: Sequence[float], payload: dict[str, Any]) -> None:
        body = {"points": [{"id": str(point), "vector": list(vector), "payload": payload}]}
        response = await self._http.put(f"{self._path}/points", params={"wait": "true"}, json=body)
        if response.status_code == httpx.codes.NOT_FOUND:
            await self._create(len(vector))
            response = await self._http.put(f"{self._path}/points", params={"wait": "true"}, json=body)
        response.raise_for_status()

    async def nearest(self, vector: Sequence[float], limit: int) -> list[tuple[uuid.UUID, float]]:
        body = {"query": list(vector), "limit": limit, "with_payload": False}
        response = await self._http.post(f"{self._path}/points/query", json=body)
        if response.status_code == httpx.codes.NOT_FOUND:
            return []
        points = response.raise_for_status().json()["result"]["points"]
        return [(uuid.UUID(point["id"]), cast(float, point["score"])) for point in points]

    async def delete(self, point: uuid.UUID) -> None:
        response = await self._http.post(
            f"{self._path}/points/delete", params={"wait": "true"}, json={"points": [str(point)]}
        )
        if response.status_code != httpx.codes.NOT_FOUND:
            response.raise_for_status()

    async def _create(self, size: int) -> None:
        response = await self._http.put(self._path, json={"vectors": {"size": size, "distance": "Cosine"}})
        if response.status_code != httpx.codes.CONFLICT:  # another process was faster
            response.raise_for_status()


def http_client() -> httpx.AsyncClient:
    # The key travels in the clear inside the Compose network: never let a proxy variable take it elsewhere.
    return httpx.AsyncClient(
        base_url=settings.require("QDRANT_URL"),
        headers={"api-key": settings.require("QDRANT_API_KEY")},
        timeout=4,
        trust_env=False,
    )
