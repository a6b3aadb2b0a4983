"""Qdrant's own description of its API, its OpenAPI file, as a judge of answers.

The file is not a part of this project. QDRANT_OPENAPI says where it is; unless it does, `../shared/qdrant/openapi.json`
is looked for from the repository's root.
"""

from __future__ import annotations

import json
import os
import re
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

ROOT = Path(__file__).resolve().parents[4]
FILE = Path(os.environ.get("QDRANT_OPENAPI") or ROOT.parent / "shared" / "qdrant" / "openapi.json")

_URI = "urn:qdrant"
# Where the server's source answers in plain text, whatever its description says.
_PLAIN = [
    (r"\w+ .*", {401}),
    (r"GET .*/snapshots/[^/]+", {404}),
    (r"POST .*/snapshots/upload", {400, 403}),
]
# Where the server answers `null`, although its description says that the answer is true or false.
_NULL = re.compile(r"POST /collections/[^/]+/shards/\d+/snapshots/upload")


class Description:
    def __init__(self, content: dict[str, Any]) -> None:
        components = {"components": _strict(content["components"])}
        resource = Resource.from_contents(components, default_specification=DRAFT202012)
        self._registry = Registry().with_resource(_URI, resource).crawl()
        self._operations = [
            (re.compile(f"{method.upper()} " + re.sub(r"{\w+}", "[^/]+", path)), operation)
            for path, operations in content["paths"].items()
            for method, operation in operations.items()
        ]

    def problems(self, method: str, path: str, status: int, kind: str, content: bytes) -> list[str]:
        """What is wrong with an answer."""
        request = f"{method} {path}"
        if kind == "text/plain" and any(re.fullmatch(plain, request) and status in of for plain, of in _PLAIN):
            return []
        operation = next((each for pattern, each in self._operations if pattern.fullmatch(request)), None)
        if operation is None:
            return [] if (status, content) == (404, b"") else [f"{request} is not described"]
        responses = operation["responses"]
        response = responses.get(str(status)) or responses.get(f"{status // 100}XX") or responses.get("default")
        if response is None or (status < 300 and str(status) not in responses):
            return [f"{request} answers {status}, which is not described"]
        media = response.get("content", {"": {}}).get(kind)
        if media is None:
            return [] if "content" not in response else [f"{request} answers {status} as {kind}"]
        if kind != "application/json":
            return []
        validator = self._validator(json.dumps(media["schema"]))
        answer = json.loads(content)
        if _NULL.fullmatch(request) and answer.get("result", "") is None:
            answer["result"] = True
        where = f"{request} {status}"
        return [f"{where}: {error.json_path}: {error.message}" for error in validator.iter_errors(answer)]

    @cache  # noqa: B019 - as many as there are kinds of answers
    def _validator(self, schema: str) -> Any:
        return jsonschema.Draft202012Validator(_strict(json.loads(schema)), registry=self._registry)


def _strict(schema: Any) -> Any:
    """In JSON Schema's words, and without room for members that the description does not know."""
    if isinstance(schema, list):
        return [_strict(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    strict = {key: _strict(value) for key, value in schema.items() if key != "nullable"}
    if isinstance(schema.get("$ref"), str):
        strict["$ref"] = _URI + schema["$ref"]
    if isinstance(schema.get("properties"), dict) and "type" in schema:
        strict.setdefault("additionalProperties", False)
    if schema.get("nullable") is True:
        return {"anyOf": [strict, {"type": "null"}]} if strict.keys() - {"description"} else {"type": "null"}
    return strict


@cache
def description() -> Description | None:
    return Description(json.loads(FILE.read_text())) if FILE.exists() else None
