# Copyright (c) 2026, Somos Infra maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What Qdrant's answers say: versions, collections, snapshots. Standard library only, no Ansible."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

from ._qdrant_errors import QdrantError

_TIME_IN_NAME = re.compile(r"-(\d{4}-\d\d-\d\d-\d\d-\d\d-\d\d)\.snapshot$")


@dataclass(frozen=True)
class Version:
    """A server's version, ``1.19.0`` or ``1.20.1-dev``."""

    text: str

    @property
    def release(self) -> tuple[int, int, int]:
        """Major, minor, patch. Raises QdrantError for what is no version."""
        match = re.match(r"v?(\d+)\.(\d+)(?:\.(\d+))?", self.text)
        if match is None:
            raise QdrantError(f"{self.text!r} is not a version of Qdrant.")
        major, minor, patch = match.groups()
        return int(major), int(minor), int(patch or 0)

    def restores(self, source: Version) -> bool:
        """Whether a server of this version restores snapshots of *source*: of its minor version, or the one before.

        Qdrant's documentation, 2026-08. The server itself does not look, and fails over the data, or at its next start.
        """
        return self.release[0] == source.release[0] and self.release[1] - source.release[1] in (0, 1)


@dataclass(frozen=True)
class Snapshot:
    """A snapshot on the server. *size* in bytes; *created* in UTC; *checksum* is the file's SHA-256 in hexadecimal.

    The server knows no checksum of uploaded files, and none at all where snapshots are kept in S3.
    """

    name: str
    size: int
    created: datetime | None = None
    checksum: str | None = None

    @classmethod
    def parse(cls, answer: Mapping[str, Any]) -> Snapshot:
        """From the server's description. Raises QdrantError for a name that must never become a path."""
        name = safe_name(str(answer["name"]))
        created = _time(str(answer.get("creation_time") or "")) or time_in_name(name)
        return cls(name, int(answer["size"]), created, answer.get("checksum") or None)


@dataclass(frozen=True)
class Collection:
    """What a collection is: *status* (green, yellow, grey, red) with its reason, *config* as the server gives it."""

    name: str
    status: str
    config: Mapping[str, Any]
    reason: str = "ok"

    @classmethod
    def parse(cls, name: str, answer: Mapping[str, Any]) -> Collection:
        """From the server's description."""
        optimizer = answer.get("optimizer_status", "ok")
        reason = optimizer.get("error", optimizer) if isinstance(optimizer, dict) else optimizer
        return cls(name, str(answer["status"]), dict(answer["config"]), str(reason))


def safe_name(name: str) -> str:
    """*name*, if it is the name of a snapshot file and nothing more. Raises QdrantError for a path, or worse."""
    bad = not name.endswith(".snapshot") or name == ".snapshot" or len(name.encode("utf-8", "replace")) > 255
    if bad or re.search(r"[/\\\x00-\x1f\x7f\ud800-\udfff]", name):
        raise QdrantError(f"{name!r} is not the name of a snapshot: refused, as it would become the name of a file.")
    return name


def time_in_name(name: str) -> datetime | None:
    """When a snapshot was made, by its name: the server writes UTC, to the second."""
    match = _TIME_IN_NAME.search(name)
    try:
        return datetime.strptime(f"{match[1]}+0000", "%Y-%m-%d-%H-%M-%S%z") if match else None
    except ValueError:
        return None


def _time(value: str) -> datetime | None:
    try:
        moment = datetime.fromisoformat(value.rstrip("Z"))
    except ValueError:
        return None
    return moment.astimezone(timezone.utc) if moment.tzinfo else moment.replace(tzinfo=timezone.utc)
