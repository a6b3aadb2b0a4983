# Copyright (c) 2026, Somos Infra maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What has to be done to a server so that a tree is as its manifest says; found by reading alone."""

from __future__ import annotations

import grp
import os
import pwd
import stat
from dataclasses import asdict, dataclass, field
from pathlib import PurePath

from ansible_collections.somos.infra.plugins.module_utils._config_tree import (
    MASKED,
    Directory,
    File,
    Manifest,
    Refusal,
    keyed,
    parents,
    sha256_of,
    shown,
)
from ansible_collections.somos.infra.plugins.module_utils._config_tree_place import Place
from ansible_collections.somos.infra.plugins.module_utils._config_tree_record import Record, Written


@dataclass
class Before:
    """What was there, in the words in which the manifest says what has to be."""

    owner: str
    group: str
    mode: str
    text: str | None = None


@dataclass
class Change:
    """One difference: `action` is create, write (content), attributes or remove."""

    kind: str
    path: str
    action: str
    before: Before | None = None

    def dump(self) -> dict[str, object]:
        return asdict(self)


class Owners:
    """Users and groups by name or number. One that does not exist yet is None where that is allowed (check mode)."""

    def __init__(self, allow_unknown: bool) -> None:
        self._allow_unknown = allow_unknown

    def of(self, item: File | Directory) -> tuple[int | None, int | None]:
        return self._find(item.owner, "user", item.path), self._find(item.group, "group", item.path)

    def _find(self, name: str, kind: str, path: str) -> int | None:
        if name.isdecimal():
            return int(name)
        try:
            return pwd.getpwnam(name).pw_uid if kind == "user" else grp.getgrnam(name).gr_gid
        except KeyError:
            if self._allow_unknown:
                return None
            raise Refusal(f"{path or 'dest'} has to belong to {kind} {name!r}, which does not exist here.") from None


@dataclass
class Plan:
    """The steps, each list in the order in which it is to be done."""

    changes: list[Change] = field(default_factory=list)
    make: list[Directory] = field(default_factory=list)
    correct: list[File | Directory] = field(default_factory=list)
    write: list[File] = field(default_factory=list)
    keep: list[File] = field(default_factory=list)
    remove: list[tuple[Place, str]] = field(default_factory=list)


class Planner:
    """Compares a manifest and the record of what was written before with what is there."""

    def __init__(self, place: Place, manifest: Manifest, record: Record, owners: Owners, diff: bool) -> None:
        self._place = place
        self._manifest = manifest
        self._record = record
        self._owners = owners
        self._diff = diff
        self._plan = Plan()
        self._gone: set[str] = set()
        self._was_secret = record.dests.get(place.root, Written()).secrets

    def plan(self) -> Plan:
        # What goes is found first: a file may have become a directory, or a directory a file.
        self._plan_removed_files()
        self._plan_removed_directories()
        self._plan_directories()
        for file in self._manifest.files:
            self._plan_file(file)
        return self._plan

    def _plan_removed_files(self) -> None:
        wanted = {self._place.show(file.path) for file in self._manifest.files}
        stale = [
            (Place(dest), path)
            for dest, written in sorted(self._record.dests.items())
            for path in sorted(written.files)
            if Place(dest).show(path) not in wanted
        ]
        claimed = self._record.claimed_by_others() if stale else set()
        for place, path in stale:
            status = place.status(path)
            # What is no regular file is not what was written here.
            if status is None or not stat.S_ISREG(status.st_mode) or place.show(path) in claimed:
                continue
            secret = path in self._record.dests[place.root].secrets
            before = self._before_file(place, path, status, secret)
            self._plan.changes.append(Change("file", self._name(place, path), "remove", before))
            self._plan.remove.append((place, path))
            self._gone.add(place.show(path))

    def _plan_removed_directories(self) -> None:
        wanted: set[str] = set()
        if self._manifest.files or self._manifest.directories:
            wanted.update(self._place.show(directory.path) for directory in self._manifest.directories)
            wanted.update((self._place.root, *map(str, PurePath(self._place.root).parents)))
        for dest, written in sorted(self._record.dests.items()):
            place = Place(dest)
            # The deepest first, so that a directory is empty once what it held is gone.
            for path in sorted(written.directories, key=lambda path: (-path.count("/"), not path, path)):
                here = place.show(path)
                names = None if here in wanted else place.names(path)
                if names is not None and all(str(PurePath(here, name)) in self._gone for name in names):
                    self._plan.changes.append(Change("directory", self._name(place, path), "remove"))
                    self._plan.remove.append((place, path))
                    self._gone.add(here)

    def _plan_directories(self) -> None:
        root = self._manifest.root
        if not self._place.exists() and (self._manifest.files or self._manifest.directories):
            self._owners.of(root)
            self._plan.changes.append(Change("directory", "", "create"))
            self._plan.make.append(root)
        for directory in self._manifest.directories:
            status = None if self._is_gone(directory.path) else self._place.expect(directory.path, "directory")
            if status is None:
                self._owners.of(directory)
                self._plan.changes.append(Change("directory", directory.path, "create"))
                self._plan.make.append(directory)
            elif directory.declared and not self._same_attributes(directory, status):
                before = _before(directory, status)
                self._plan.changes.append(Change("directory", directory.path, "attributes", before))
                self._plan.correct.append(directory)

    def _plan_file(self, file: File) -> None:
        gone = self._is_gone(file.path)
        status = None if gone else self._place.expect(file.path, "regular file")
        if status is None:
            self._owners.of(file)
            self._plan.changes.append(Change("file", file.path, "create"))
            self._plan.write.append(file)
            return
        if not self._same_content(file, status):
            secret = file.secret or file.path in self._was_secret
            before = self._before_file(self._place, file.path, status, secret, file)
            self._plan.changes.append(Change("file", file.path, "write", before))
            self._plan.write.append(file)
            return
        self._plan.keep.append(file)
        if not self._same_attributes(file, status):
            self._plan.changes.append(Change("file", file.path, "attributes", _before(file, status)))
            self._plan.correct.append(file)

    def _is_gone(self, path: str) -> bool:
        return any(self._place.show(item) in self._gone for item in (*parents(path), path))

    def _same_content(self, file: File, status: os.stat_result) -> bool:
        if status.st_size != file.size:
            return False
        with self._place.open(file.path) as stream:
            return keyed(self._manifest.key, sha256_of(stream)) == file.digest

    def _same_attributes(self, item: File | Directory, status: os.stat_result) -> bool:
        return (*self._owners.of(item), item.mode) == (status.st_uid, status.st_gid, stat.S_IMODE(status.st_mode))

    def _before_file(
        self, place: Place, path: str, status: os.stat_result, secret: bool, file: File | None = None
    ) -> Before:
        before = _before(file, status)
        if self._diff:
            if secret:
                before.text = MASKED
            else:
                with place.open(path) as stream:
                    before.text = shown(stream, status.st_size)
        return before

    def _name(self, place: Place, path: str) -> str:
        """Name a path for the user: relative to dest, or absolute when the tree has moved to another dest."""
        return path if place.root == self._place.root else place.show(path)


def _before(item: File | Directory | None, status: os.stat_result) -> Before:
    """Describe an owner by number where the manifest does so, by name otherwise."""
    owner, group = str(status.st_uid), str(status.st_gid)
    try:
        if item is None or not item.owner.isdecimal():
            owner = pwd.getpwuid(status.st_uid).pw_name
        if item is None or not item.group.isdecimal():
            group = grp.getgrgid(status.st_gid).gr_name
    except KeyError:
        pass  # an id without a name
    return Before(owner, group, f"{stat.S_IMODE(status.st_mode):04o}")
