# Copyright (c) 2026, Somos Infra maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What was restored on this host, and what was begun. Standard library only, no Ansible."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ._qdrant_files import local, write_file


class Record:
    """A small JSON file: for each collection of one server, the checksum of its snapshot, and how far its restore came.

    Without it a restore is repeated, so a damaged one counts as empty. Writing raises LocalError.
    """

    def __init__(self, path: str, url: str) -> None:
        self.path = Path(path)
        self.url = url

    def restored(self, collection: str) -> str | None:
        """The checksum of what was restored last, if it was restored to its end."""
        entry = self._entry(collection)
        return entry.get("checksum") if entry.get("state") == "done" else None

    def begun(self, collection: str) -> bool:
        """Whether a restore was begun and not finished: what the collection holds may be half of something."""
        return self._entry(collection).get("state") == "begun"

    def begun_with(self, collection: str, checksum: str | None) -> bool:
        """Whether it was that snapshot's restore."""
        return self.begun(collection) and self._entry(collection).get("checksum") == checksum

    def safety(self, collection: str) -> str | None:
        """The server's snapshot of what was there before a restore that was not finished."""
        entry = self._entry(collection)
        return entry.get("safety") if entry.get("state") == "begun" else None

    def begin(self, collection: str, checksum: str | None, safety: str | None) -> None:
        entry = self._entry(collection)
        before = entry.get("before") if entry.get("state") == "begun" else entry
        self._change(collection, {"state": "begun", "checksum": checksum, "safety": safety, "before": before})

    def finish(self, collection: str, checksum: str | None) -> None:
        self._change(collection, {"state": "done", "checksum": checksum})

    def forget(self, collection: str) -> None:
        """The restore that was begun changed nothing after all."""
        self._change(collection, self._entry(collection).get("before"))

    def directory(self) -> Path:
        """Where it lies; made if it is missing."""
        with local(f"The record {self.path} cannot be written"):
            self.path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        return self.path.parent

    def _all(self) -> dict[str, Any]:
        try:
            found = json.loads(self.path.read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError):
            return {}
        return found if isinstance(found, dict) else {}

    def _entry(self, collection: str) -> dict[str, Any]:
        server = self._all().get(self.url)
        entry = server.get(collection) if isinstance(server, dict) else None
        return entry if isinstance(entry, dict) else {}

    def _change(self, collection: str, entry: dict[str, Any] | None) -> None:
        everything = self._all()
        found = everything.get(self.url)
        server = {name: each for name, each in found.items() if name != collection} if isinstance(found, dict) else {}
        if entry:
            server[collection] = entry
        self.directory()
        with local(f"The record {self.path} cannot be written"):
            write_file(self.path, json.dumps({**everything, self.url: server}, indent=2, sort_keys=True) + "\n")
