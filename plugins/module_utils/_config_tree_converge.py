# Copyright (c) 2026, Somos Infra maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The server's half of config_tree: stage the tree, check it, replace what differs, remember what was written."""

from __future__ import annotations

import contextlib
import shutil
import tarfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from ansible_collections.somos.infra.plugins.module_utils._config_tree import (
    Digesting,
    File,
    Manifest,
    Refusal,
    keyed,
    parents,
)
from ansible_collections.somos.infra.plugins.module_utils._config_tree_check import run_checks
from ansible_collections.somos.infra.plugins.module_utils._config_tree_place import Place
from ansible_collections.somos.infra.plugins.module_utils._config_tree_plan import Owners, Plan, Planner
from ansible_collections.somos.infra.plugins.module_utils._config_tree_record import Record, Written, locked

_SECRET_BYTES = 1 << 20


@dataclass
class Job:
    """One call: the manifest, and the archive with the contents that the server has said it lacks."""

    name: str
    dest: str
    manifest: Manifest
    checks: list[dict[str, Any]]
    record_dir: str
    scratch: str
    archive: BinaryIO | None = None
    check_mode: bool = False
    diff: bool = False


@dataclass
class Result:
    """What was done, or would be; `missing` names the files whose contents the archive has to bring first."""

    changes: list[dict[str, object]] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    validated: list[dict[str, Any]] = field(default_factory=list)


def converge(job: Job) -> Result:
    """Make the tree below dest what the manifest says; in check mode, say what that would change."""
    if job.check_mode:
        return _converge(job, Path(job.scratch, f"{job.name}.stage"))
    with locked(job.record_dir):
        return _converge(job, Path(job.record_dir, f"{job.name}.stage"))


def _converge(job: Job, stage: Path) -> Result:
    place = Place(job.dest)
    record = Record(job.record_dir, job.name)
    owners = Owners(allow_unknown=job.check_mode)
    if not job.check_mode:
        _tidy(record, stage)
    plan = Planner(place, job.manifest, record, owners, job.diff).plan()
    result = Result(changes=[change.dump() for change in plan.changes])
    if plan.write and job.archive is None and (job.checks or not job.check_mode):
        result.missing = [file.path for file in plan.write]
    elif plan.changes and (job.checks or not job.check_mode):
        with _staged(stage, job, place, plan, owners) as tree:
            if job.checks:
                secrets = [_secret_text(tree, file) for file in job.manifest.files if file.secret]
                result.validated = run_checks(job.checks, tree.root, secrets, job.check_mode)
            if not job.check_mode:
                _apply(job, place, plan, record, owners, tree)
    elif not job.check_mode:
        _finish(job, place, record)
    return result


def _tidy(record: Record, stage: Path) -> None:
    """Remove what an interrupted run has left: its stage, and half-written files beside their targets."""
    if stage.exists():
        shutil.rmtree(stage)
    record.tidy()
    for dest, written in record.dests.items():
        for path in written.files | written.directories:
            Place(dest).tidy(path)


@contextlib.contextmanager
def _staged(stage: Path, job: Job, place: Place, plan: Plan, owners: Owners) -> Iterator[Place]:
    """Lay the new tree out below a directory of its own, as it will be: content, owners and modes.

    The directory around it is private. A container that a check runs has the tree itself mounted, and its user comes
    in by the tree's own modes.
    """
    stage.mkdir(mode=0o700)
    try:
        tree = Place(str(stage / "tree"), durable=False)
        tree.make_directory("", None, None, 0o755)
        for directory in job.manifest.directories:
            tree.make_directory(directory.path, *owners.of(directory), directory.mode)
        if job.archive is not None:
            _unpack(job.archive, {file.path: file for file in plan.write}, job.manifest.key, tree, owners)
        if job.checks:
            for file in plan.keep:
                with place.open(file.path) as content:
                    tree.write(file.path, content, *owners.of(file), file.mode)
        yield tree
    finally:
        shutil.rmtree(stage)


def _unpack(archive: BinaryIO, wanted: dict[str, File], key: str, tree: Place, owners: Owners) -> None:
    """Stage the files of the archive, each held against the digest that the manifest gives it."""
    with tarfile.open(fileobj=archive, mode="r|") as tar:
        for member in tar:
            file = wanted.pop(member.name, None)
            content = tar.extractfile(member) if member.isreg() else None
            if file is None or content is None:
                continue
            digesting = Digesting(content)
            tree.write(file.path, digesting, *owners.of(file), file.mode)
            if keyed(key, digesting.sha256) != file.digest:
                raise Refusal(f"{file.path} changed on the controller while it was sent, or was damaged: run again.")
    if wanted:
        raise Refusal(f"Something changed {', '.join(sorted(wanted))} while the tree was sent: run again.")


def _secret_text(tree: Place, file: File) -> str:
    with tree.open(file.path) as stream:
        return stream.read(_SECRET_BYTES).decode(errors="replace")


def _apply(job: Job, place: Place, plan: Plan, record: Record, owners: Owners, tree: Place) -> None:
    """Do what is planned. The record runs ahead of it: a path is in there before the first write and until the last."""
    ahead = dict(record.dests)
    made = {directory.path for directory in plan.make}
    ahead[place.root] = ahead.get(place.root, Written()) | _written(job.manifest, made)
    record.save(ahead)

    # What stands where something of another kind has to be goes first, everything else last.
    new = {place.show(path) for path in made.union(file.path for file in plan.write)}
    _remove(target for target in plan.remove if _in_the_way(target, new))
    for directory in plan.make:
        place.make_directory(directory.path, *owners.of(directory), directory.mode)
    for item in plan.correct:
        place.give(item.path, *owners.of(item), item.mode)
    for file in plan.write:
        with tree.open(file.path) as content:
            place.write(file.path, content, *owners.of(file), file.mode)
    _remove(target for target in plan.remove if not _in_the_way(target, new))
    for path in {file.path.rpartition("/")[0]: file.path for file in plan.write}.values():
        place.sync(path)
    _finish(job, place, record)


def _in_the_way(target: tuple[Place, str], new: set[str]) -> bool:
    """Say whether a path that goes is above, at or below one that comes."""
    place, path = target
    gone = place.show(path)
    return any(item in new for item in (gone, *parents(gone))) or any(item.startswith(f"{gone}/") for item in new)


def _remove(targets: Iterable[tuple[Place, str]]) -> None:
    for place, path in targets:
        place.remove(path)


def _finish(job: Job, place: Place, record: Record) -> None:
    """Record what is there now; a directory that is not empty stays recorded until it is."""
    dests = {
        dest: Written(directories={path for path in written.directories if Place(dest).names(path) is not None})
        for dest, written in record.dests.items()
    }
    made = dests.get(place.root, Written()).directories
    record.save({**dests, place.root: _written(job.manifest, made)})


def _written(manifest: Manifest, directories: set[str]) -> Written:
    files = {file.path for file in manifest.files}
    return Written(files, {file.path for file in manifest.files if file.secret}, directories)
