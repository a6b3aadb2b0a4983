# Copyright (c) 2026, Somos Infra maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What both halves of config_tree share: its options, its manifest, its digests and what it shows of a file."""

from __future__ import annotations

import hashlib
import hmac
import io
import json
import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any, BinaryIO, Protocol

CHUNK = 1 << 20
SHOWN_BYTES = 1 << 20
MASKED = "secret, not shown\n"

_ATTRIBUTES: dict[str, Any] = {"owner": {"type": "str"}, "group": {"type": "str"}, "mode": {"type": "raw"}}

ARGUMENT_SPEC: dict[str, Any] = {
    "name": {"type": "str", "required": True},
    "src": {"type": "str", "required": True},
    "dest": {"type": "str", "required": True},
    "also": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {
            "src": {"type": "str", "required": True},
            "path": {"type": "str", "required": True},
            "files": {"type": "list", "elements": "str", "default": ["**"]},
        },
    },
    "entries": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {
            "path": {"type": "str", "required": True},
            **_ATTRIBUTES,
            "secret": {"type": "bool", "default": False, "no_log": False},
        },
    },
    "owner": {"type": "str", "default": "root"},
    "group": {"type": "str", "default": "root"},
    "mode": {"type": "raw", "default": "0644"},
    "directory_mode": {"type": "raw", "default": "0755"},
    "directories": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {"path": {"type": "str", "required": True}, **_ATTRIBUTES},
    },
    "hashes": {"type": "dict", "default": {}},
    "validate": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {
            "argv": {"type": "list", "elements": "str", "required": True},
            "requires": {"type": "str"},
            "requires_image": {"type": "str"},
        },
    },
    "exclude": {"type": "list", "elements": "str", "default": []},
    "variables": {"type": "dict", "default": {}},
    "record_dir": {"type": "str", "default": "/var/lib/somos/config_tree"},
}


class Refusal(Exception):  # noqa: N818 - it is a decision, not an error in the code
    """A reason, in words for the user, why nothing is going to be written."""

    def __init__(self, message: str, **details: Any) -> None:
        super().__init__(message)
        self.details = details


class Readable(Protocol):
    def read(self, size: int = ..., /) -> bytes: ...


@dataclass(frozen=True)
class File:
    """A file as it has to be: the digest is keyed, so that it tells nothing to who lacks the key."""

    path: str
    owner: str
    group: str
    mode: int
    secret: bool
    size: int
    digest: str


@dataclass(frozen=True)
class Directory:
    """A directory as it has to be; one that is not declared gets its attributes when it is made, not later."""

    path: str
    owner: str
    group: str
    mode: int
    declared: bool


@dataclass(frozen=True)
class Manifest:
    """The whole tree without its contents."""

    key: str
    files: tuple[File, ...]
    directories: tuple[Directory, ...]
    root: Directory

    def dump(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def load(cls, text: str) -> Manifest:
        raw = json.loads(text)
        files = tuple(File(**item) for item in raw["files"])
        directories = tuple(Directory(**item) for item in raw["directories"])
        for path in [file.path for file in files] + [directory.path for directory in directories]:
            check_path(path)
        return cls(raw["key"], files, directories, Directory(**raw["root"]))


def check_path(path: str) -> str:
    """Return a path that stays below the directory it is relative to; refuse any other."""
    if not path or "\0" in path or any(part in ("", ".", "..") for part in path.split("/")):
        raise Refusal(f"{path!r} is not a relative path without '.', '..' or empty parts.")
    return path


def parents(path: str) -> Iterator[str]:
    """Yield the directories above a relative path, the outermost first."""
    parts = path.split("/")
    for depth in range(1, len(parts)):
        yield "/".join(parts[:depth])


def parse_mode(value: object, of: str) -> int:
    """Return the bits of a mode written as octal digits in a string: a bare YAML number has lost how it was written."""
    if not isinstance(value, str) or not re.fullmatch(r"0?[0-7]{3,4}", value):
        raise Refusal(f"The mode of {of} is {value!r}: write it as a quoted octal string, like '0644'.")
    return int(value, 8)


class Digesting:
    """Pass a stream through and know its size and SHA-256 afterwards."""

    def __init__(self, stream: Readable) -> None:
        self._stream = stream
        self._sha256 = hashlib.sha256()
        self.size = 0

    def read(self, size: int = -1, /) -> bytes:
        block = self._stream.read(size)
        self._sha256.update(block)
        self.size += len(block)
        return block

    @property
    def sha256(self) -> str:
        return self._sha256.hexdigest()


def sha256_of(stream: Readable) -> str:
    """Return the SHA-256 of a stream without ever holding more than a chunk of it."""
    digesting = Digesting(stream)
    while digesting.read(CHUNK):
        pass
    return digesting.sha256


def keyed(key: str, sha256: str) -> str:
    """Return a digest that cannot be compared with guessed contents without the key."""
    return hmac.new(bytes.fromhex(key), bytes.fromhex(sha256), "sha256").hexdigest()


def shown(stream: BinaryIO, size: int) -> str:
    """Return the text a diff shows for a file: its content, or a summary where that is no help."""
    if size <= SHOWN_BYTES:
        content = stream.read(SHOWN_BYTES + 1)
        if b"\0" not in content:
            try:
                return content.decode()
            except UnicodeDecodeError:
                pass
        kind, stream = "binary", io.BytesIO(content)
    else:
        kind = "large"
    return f"{kind}, {size} bytes, sha256 {sha256_of(stream)}\n"
