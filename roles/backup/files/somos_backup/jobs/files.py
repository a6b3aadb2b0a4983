"""Job of kind `files`: trees of the host, with owners, modes and links."""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from .base import StagedJob


class Files(StagedJob):
    """*paths*, but nothing at or below *exclude*. A path that is not there is left out and named in the facts."""

    proof = "each with content, owner and mode"

    def room(self) -> int:
        return sum(path.lstat().st_size if path.exists() else 0 for root in self._roots() for path in self._tree(root))

    def stage(self, directory: Path) -> dict[str, Any]:
        for root in self._roots():
            for path in self._tree(root):
                # What goes meanwhile, by a run of Ansible for instance, is nobody's configuration any more.
                with contextlib.suppress(FileNotFoundError):
                    copy(path, directory / path.relative_to("/"), directory)
        there = [str(path) for path in self._roots()]
        return {"paths": there, "absent": [path for path in self.value("paths") if path not in there]}

    def _roots(self) -> list[Path]:
        return [Path(path) for path in self.value("paths") if os.path.lexists(path)]

    def _tree(self, root: Path) -> Iterator[Path]:
        """What is below *root*, each directory before what is in it. Sockets and devices are nobody's configuration."""
        if str(root) in self.values.get("exclude", ()):
            return
        try:
            kind = root.lstat().st_mode
            below = sorted(root.iterdir()) if stat.S_ISDIR(kind) else []
        except FileNotFoundError:
            return
        if stat.S_ISDIR(kind):
            yield root
            for path in below:
                yield from self._tree(path)
        elif stat.S_ISREG(kind) or stat.S_ISLNK(kind):
            yield root


def copy(source: Path, target: Path, top: Path) -> None:
    """*source* as it is, with its owner and mode; directories above it are made, below *top*."""
    status = source.lstat()  # before anything is made for what is not there any more
    for parent in reversed([parent for parent in target.parents if parent != top and parent.is_relative_to(top)]):
        parent.mkdir(exist_ok=True)
    if stat.S_ISDIR(status.st_mode):
        target.mkdir(exist_ok=True)
    else:
        shutil.copy2(source, target, follow_symlinks=False)
    os.chown(target, status.st_uid, status.st_gid, follow_symlinks=False)
    if not stat.S_ISLNK(status.st_mode):
        target.chmod(stat.S_IMODE(status.st_mode))
