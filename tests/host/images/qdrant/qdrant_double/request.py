"""A request as the handlers see it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .errors import bad_input, invalid, malformed

_HEX = set("0123456789abcdefABCDEF")


@dataclass(frozen=True)
class Upload:
    """The file of a multipart body, on disk; it is gone after the request unless it was moved."""

    path: Path
    filename: str | None


@dataclass(frozen=True)
class Request:
    names: dict[str, str]
    query: dict[str, str]
    body: Any
    upload: Upload | None = None

    def fields(self, *known: str) -> dict[str, Any]:
        """The body, an object with no other keys than the known ones: the double refuses what it does not do."""
        if not isinstance(self.body, dict):
            raise malformed("JSON body", "expected an object")
        given = {key: value for key, value in self.body.items() if value is not None}
        refuse_unknown(given, *known)
        return given

    def forget_upload(self) -> None:
        if self.upload:
            self.upload.path.unlink(missing_ok=True)

    @property
    def collection(self) -> str:
        name = self.names["collection"]
        if not 1 <= len(name) <= 255 or {"/", "\0"} & set(name):
            raise invalid("path parameters", f"collection_name: invalid collection name {name!r}")
        return name

    @property
    def wait(self) -> bool:
        """Of updates: unless it says so, the client is not told when it is done."""
        return self.flag("wait", default=False)

    def flag(self, key: str, *, default: bool) -> bool:
        value = self.query.get(key)
        if value not in (None, "true", "false"):
            raise malformed("query parameters", "provided string was not `true` or `false`")
        return default if value is None else value == "true"


def refuse_unknown(given: dict[str, Any], *known: str) -> None:
    """A key that is null says no more than one that is absent."""
    unknown = sorted({key for key, value in given.items() if value is not None} - set(known))
    if unknown:
        raise bad_input(f"this test double does not know {', '.join(unknown)}")


def member(given: dict[str, Any], key: str) -> Any:
    if key not in given:
        raise malformed("JSON body", f"missing field `{key}`")
    return given[key]


def valid_checksum(given: str | None, where: str) -> str | None:
    if given is not None and len(given) != 64:
        raise invalid(where, f"checksum: Validation error: invalid_sha256_hash [length {len(given)}, expected 64]")
    if given is not None and not _HEX.issuperset(given):
        raise invalid(where, "checksum: invalid characters, expected 0-9, a-f, A-F")
    return given


def valid_priority(given: str | None, where: str) -> None:
    """Alone on its node the server overwrites whatever the priority; but it knows three words only."""
    if given not in (None, "no_sync", "snapshot", "replica"):
        message = f"unknown variant `{given}`, expected one of `no_sync`, `snapshot`, `replica`"
        raise malformed(where, message)
