# Copyright (c) 2026, Somos Infra maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The controller's half of config_tree, as far as it needs nothing of Ansible: from a directory to a manifest."""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import tarfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import IO, Any, BinaryIO

from ansible_collections.somos.infra.plugins.module_utils._config_tree import (
    Directory,
    File,
    Manifest,
    Refusal,
    check_path,
    keyed,
    parents,
    parse_mode,
    sha256_of,
)

TEMPLATE_SUFFIX = ".j2"


@dataclass
class SourceFile:
    """A file of the source directory and what it becomes; a template has its content once it is rendered."""

    path: str
    source: str
    template: bool
    owner: str
    group: str
    mode: int
    secret: bool
    content: bytes | None = None
    size: int = 0
    sha256: str = ""

    def open(self) -> BinaryIO:
        return Path(self.source).open("rb") if self.content is None else io.BytesIO(self.content)

    def measure(self) -> None:
        with self.open() as stream:
            self.sha256 = sha256_of(stream)
            self.size = stream.tell()


@cache
def _pattern(glob: str) -> re.Pattern[str]:
    translated = ""
    for token in re.split(r"(\*\*/|\*\*|\*|\?|\[[^/\]]+\])", glob):
        special = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}.get(token)
        if special is None:
            is_set = token.startswith("[") and token.endswith("]")
            special = re.sub(r"^\[!", "[^", token).replace("\\", r"\\") if is_set else re.escape(token)
        translated += special
    return re.compile(translated, re.DOTALL)


def matches(path: str, globs: Iterable[str]) -> bool:
    """Say whether a path matches a glob: * stays within a directory, ** crosses directories."""
    return any(_pattern(glob).fullmatch(path) for glob in globs)


def read_source(root: str, args: dict[str, Any]) -> list[SourceFile]:
    """List the files of the source directories in order, with the attributes that the task's entries give them."""
    files: dict[str, SourceFile] = {}
    for source, path, template in _found(root, args["also"]):
        if path in files:
            raise Refusal(f"{source} and {files[path].source} both become {path}.")
        entry: dict[str, Any] = next((entry for entry in args["entries"] if matches(path, [entry["path"]])), {})
        attributes = _attributes(path, entry, args, "mode")
        files[path] = SourceFile(path, source, template, **attributes, secret=bool(entry.get("secret")))
    for path in files:
        for above in parents(path):
            if above in files:
                raise Refusal(f"{files[above].source} becomes a file where {path} needs a directory.")
    _refuse_unmatched(files, "entries", (entry["path"] for entry in args["entries"]))
    _refuse_unmatched(files, "hashes", (glob for globs in args["hashes"].values() for glob in globs))
    return [file for path, file in sorted(files.items()) if not matches(path, args["exclude"])]


def _found(root: str, also: Iterable[dict[str, Any]]) -> Iterator[tuple[str, str, bool]]:
    """Yield the path of every file, the path that it gets, and whether it is rendered."""
    for relative in _walk(root):
        template = relative.endswith(TEMPLATE_SUFFIX)
        yield str(Path(root, relative)), check_path(relative.removesuffix(TEMPLATE_SUFFIX)), template
    for item in also:
        chosen = [relative for relative in _walk(item["src"]) if matches(relative, item["files"])]
        _refuse_unmatched(chosen, f"files of {item['src']}", item["files"])
        for relative in chosen:
            yield str(Path(item["src"], relative)), check_path(f"{item['path'].rstrip('/')}/{relative}"), False


def _walk(root: str) -> Iterator[str]:
    for directory, names, files in os.walk(root):
        names.sort()
        for name in (*names, *files):
            here = Path(directory, name)
            if here.is_symlink():
                raise Refusal(f"{here} is a symbolic link, which config_tree does not ship: put the file itself there.")
            if name in files:
                if not here.is_file():
                    raise Refusal(f"{here} is not a regular file.")
                yield str(here.relative_to(root))


def _attributes(path: str, entry: dict[str, Any], args: dict[str, Any], mode: str) -> dict[str, Any]:
    return {
        "owner": entry.get("owner") or args["owner"],
        "group": entry.get("group") or args["group"],
        "mode": parse_mode(entry.get("mode") or args[mode], path),
    }


def _refuse_unmatched(paths: Iterable[str], option: str, globs: Iterable[str]) -> None:
    for glob in globs:
        if not any(matches(path, [glob]) for path in paths):
            raise Refusal(f"{glob!r} in {option} matches no file of src.")


def hash_globs(hashes: dict[str, Any]) -> dict[str, list[str]]:
    """Return the globs of each digest, refusing what is no list of strings."""
    for name, globs in hashes.items():
        if not isinstance(globs, list) or not all(isinstance(glob, str) for glob in globs) or not globs:
            raise Refusal(f"hashes.{name} has to be a list of globs, not {globs!r}.")
    return hashes


def digest(files: Iterable[SourceFile]) -> str:
    """Return the digest of some files: path, content, owner, group and mode of each.

    It is made to be seen: in a result, in a container's label. Where a secret takes part it is stretched, so that
    guessing a weak secret from it costs tens of milliseconds a guess instead of tens of nanoseconds.
    """
    chosen = list(files)
    rows = [[file.path, file.sha256, file.owner, file.group, file.mode] for file in chosen]
    plain = hashlib.sha256(json.dumps(rows).encode())
    if any(file.secret for file in chosen):
        return hashlib.scrypt(plain.digest(), salt=b"somos.infra.config_tree", n=1 << 14, r=8, p=1, dklen=32).hex()
    return plain.hexdigest()


def manifest(files: Iterable[SourceFile], args: dict[str, Any]) -> Manifest:
    """Describe the tree to the server. The key is a new one for each call: it makes the digests useless elsewhere."""
    key = os.urandom(32).hex()
    described = tuple(
        File(file.path, file.owner, file.group, file.mode, file.secret, file.size, keyed(key, file.sha256))
        for file in files
    )
    declared = {
        check_path(item["path"].rstrip("/")): Directory(
            item["path"].rstrip("/"), **_attributes(item["path"], item, args, "directory_mode"), declared=True
        )
        for item in args["directories"]
    }
    implied = _attributes("directory_mode", {}, args, "directory_mode")
    needed = {above for path in (*(file.path for file in described), *declared) for above in parents(path)}
    directories = {path: Directory(path, **implied, declared=False) for path in needed} | declared
    return Manifest(
        key,
        described,
        tuple(directory for _path, directory in sorted(directories.items())),
        Directory("", **implied, declared=False),
    )


def pack(files: Iterable[SourceFile], archive: IO[bytes]) -> None:
    """Write the contents of some files as a tar archive, never holding a whole file that came from the disk."""
    with tarfile.open(fileobj=archive, mode="w|", format=tarfile.PAX_FORMAT) as tar:
        for file in files:
            member = tarfile.TarInfo(file.path)
            member.size = file.size
            with file.open() as content:
                tar.addfile(member, content)
