# Copyright (c) 2026, Somos Infra maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What each tree has written to this server: the reason why it may remove a file later."""

from __future__ import annotations

import contextlib
import fcntl
import io
import json
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from ansible_collections.somos.infra.plugins.module_utils._config_tree import Refusal, check_path
from ansible_collections.somos.infra.plugins.module_utils._config_tree_place import Place

_VERSION = 1
_LOCK_SECONDS = 300


@dataclass
class Written:
    """What one tree wrote below one directory; the directory itself, where the tree created it, is the path ''."""

    files: set[str] = field(default_factory=set)
    secrets: set[str] = field(default_factory=set)
    directories: set[str] = field(default_factory=set)

    def __bool__(self) -> bool:
        return bool(self.files or self.directories)

    def __or__(self, other: Written) -> Written:
        return Written(self.files | other.files, self.secrets | other.secrets, self.directories | other.directories)


class Record:
    """The record of one tree: what it wrote, by destination."""

    def __init__(self, directory: str, name: str) -> None:
        self._place = Place(directory)
        self._file = f"{check_path(name)}.json"
        if "/" in name:
            raise Refusal(f"The name of a tree is the name of its record, so {name!r} may not contain a slash.")
        self.dests = self._load(self._file)

    def _load(self, file: str) -> dict[str, Written]:
        try:
            with self._place.open(file) as stream:
                raw = json.load(stream)
            if raw["version"] != _VERSION:
                raise ValueError(f"version {raw['version']} is not {_VERSION}")
            return {dest: _written(item) for dest, item in raw["dests"].items()}
        except FileNotFoundError:
            return {}
        except (ValueError, KeyError, TypeError, AttributeError, Refusal) as error:
            raise Refusal(
                f"{self._place.show(file)} cannot be understood ({error}). Restore it, or remove it: "
                "then what this tree wrote before and no longer has stays where it is."
            ) from error

    def save(self, dests: dict[str, Written]) -> None:
        """Write the record, unless it says so already, such that it is on the disk before anything it speaks of."""
        dests = {dest: written for dest, written in dests.items() if written}
        if dests == self.dests:
            return
        raw = {dest: {key: sorted(value) for key, value in vars(written).items()} for dest, written in dests.items()}
        text = json.dumps({"version": _VERSION, "dests": raw}, indent=1, sort_keys=True) + "\n"
        self._place.write(self._file, io.BytesIO(text.encode()), None, None, 0o600)
        self._place.sync(self._file)
        self.dests = dests

    def tidy(self) -> None:
        """Remove what an interrupted write of the record has left."""
        self._place.tidy(self._file)

    def claimed_by_others(self) -> set[str]:
        """Return the absolute paths that belong to other trees: a file that moved from one role to another."""
        claimed: set[str] = set()
        with contextlib.suppress(FileNotFoundError):
            for file in sorted(Path(self._place.root).glob("[!.]*.json")):
                if file.name != self._file:
                    for dest, written in self._load(file.name).items():
                        claimed.update(Place(dest).show(path) for path in written.files)
        return claimed


def _written(raw: dict[str, list[str]]) -> Written:
    written = Written(*(set(raw[key]) for key in ("files", "secrets", "directories")))
    for path in written.files | (written.directories - {""}):
        check_path(path)
    return written


@contextlib.contextmanager
def locked(directory: str) -> Iterator[None]:
    """Keep every other config_tree of this server waiting; the kernel lets go of the lock when a run is killed."""
    Path(directory).mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        deadline = time.monotonic() + _LOCK_SECONDS
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise Refusal(f"Another config_tree has held {directory} for {_LOCK_SECONDS} s.") from None
                time.sleep(0.2)
        yield
    finally:
        os.close(descriptor)
