"""A request as the handlers see it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .errors import ApiError, bad_input


@dataclass(frozen=True)
class Request:
    names: dict[str, str]
    query: dict[str, str]
    body: Any

    def fields(self, *known: str) -> dict[str, Any]:
        """The body, an object with no other keys than the known ones: the double refuses what it does not do."""
        if not isinstance(self.body, dict):
            raise ApiError(400, "Format error in JSON body: expected an object")
        refuse_unknown(self.body, *known)
        return self.body

    @property
    def collection(self) -> str:
        return self.names["collection"]

    @property
    def wait(self) -> bool:
        return self.query.get("wait") == "true"


def refuse_unknown(given: dict[str, Any], *known: str) -> None:
    unknown = sorted(set(given) - set(known))
    if unknown:
        raise bad_input(f"this test double does not know {', '.join(unknown)}")


def member(given: dict[str, Any], key: str) -> Any:
    if key not in given:
        raise ApiError(400, f"Format error in JSON body: missing field `{key}`")
    return given[key]
