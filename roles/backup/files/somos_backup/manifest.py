"""What a backup contains, written beside it when it is made, so that a restored one can be held against it."""

from __future__ import annotations

import hashlib
import json
import os
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from .errors import BackupError

NAME = "manifest.json"
DATA = "data"
FORMAT = 1
_BLOCK = 1 << 20


@dataclass(frozen=True)
class Manifest:
    """*taken*: UTC. *facts*: what the job knows of its data. *files*: every entry below data/, by relative path."""

    job: str
    run: str
    taken: str
    facts: Mapping[str, Any]
    files: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    @property
    def size(self) -> int:
        return sum(int(entry.get("size", 0)) for entry in self.files.values())


def seal(directory: Path, job: str, run: str, facts: Mapping[str, Any]) -> Manifest:
    """Write the manifest of *directory* last of all: what has none is not whole."""
    taken = datetime.now(timezone.utc).isoformat(timespec="seconds")
    manifest = Manifest(job, run, taken, facts, dict(entries(directory / DATA)))
    text = json.dumps({"format": FORMAT, **manifest.__dict__}, indent=1, sort_keys=True)
    (directory / NAME).write_text(text + "\n", encoding="utf-8")
    return manifest


def read(directory: Path) -> Manifest:
    """Raises BackupError for a backup without a manifest, or with one that cannot be read."""
    path = directory / NAME
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        if values.pop("format") != FORMAT:
            raise BackupError(f"{path} is of a newer version of somos-backup. Run role backup again.")
        return Manifest(**values)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise BackupError(f"The backup has no manifest that can be read ({error}): it is not whole.") from error


def entries(root: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Everything below *root*: files with size and SHA-256, links with where they lead; owners and modes."""
    for path in sorted(_walk(root)):
        status = path.lstat()
        entry: dict[str, Any] = {"mode": oct(stat.S_IMODE(status.st_mode)), "owner": f"{status.st_uid}:{status.st_gid}"}
        if stat.S_ISREG(status.st_mode):
            entry |= {"size": status.st_size, "sha256": digest(path)}
        elif stat.S_ISLNK(status.st_mode):
            entry = {"link": os.fsencode(path.readlink()).decode("utf-8", "backslashreplace")}
        yield os.fsencode(path.relative_to(root)).decode("utf-8", "backslashreplace"), entry


def differences(directory: Path, manifest: Manifest) -> list[str]:
    """What of the restored *directory* is not as it was saved: one sentence each."""
    found = dict(entries(directory / DATA))
    return [
        *(f"{name} is missing" for name in sorted(manifest.files.keys() - found.keys())),
        *(f"{name} was not there when it was saved" for name in sorted(found.keys() - manifest.files.keys())),
        *(
            f"{name}: {key} is {found[name].get(key)}, was {entry.get(key)}"
            for name, entry in sorted(manifest.files.items())
            if name in found
            for key in sorted(entry.keys() | found[name].keys())
            if found[name].get(key) != entry.get(key)
        ),
    ]


def digest(path: Path, algorithm: str = "sha256") -> str:
    """The digest of a file, in hexadecimal; a MiB at a time."""
    result = hashlib.new(algorithm, usedforsecurity=False)
    with path.open("rb") as stream:
        while block := stream.read(_BLOCK):
            result.update(block)
    return result.hexdigest()


def _walk(root: Path) -> Iterator[Path]:
    for directory, directories, names in os.walk(root):
        yield from (Path(directory) / name for name in [*directories, *names])
