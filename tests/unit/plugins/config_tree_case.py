"""A server's directory and a tree for it: what the tests of config_tree start from, as root and as anybody else."""

from __future__ import annotations

import io
import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ansible_collections.somos.infra.plugins.module_utils._config_tree import Manifest
from ansible_collections.somos.infra.plugins.module_utils._config_tree_converge import Job, Result, converge
from ansible_collections.somos.infra.plugins.plugin_utils._config_tree import SourceFile, manifest, pack

ME = str(os.getuid())
MY_GROUP = str(os.getgid())

Tree = Mapping[str, "str | bytes | F"]


@dataclass
class F:
    """A file that is not just text with the default mode."""

    content: str | bytes
    mode: int = 0o644
    secret: bool = False
    owner: str = ME


@dataclass
class Case:
    """One tree on one server; the defaults of a call can be changed for one call by keyword."""

    tmp: Path
    name: str = "demo"
    directories: list[dict[str, Any]] = field(default_factory=list)
    checks: list[dict[str, Any]] = field(default_factory=list)

    @property
    def dest(self) -> Path:
        return self.tmp / "dest"

    @property
    def records(self) -> Path:
        return self.tmp / "records"

    def job(self, tree: Tree, *, archive: bool = True, **changed: Any) -> Job:
        files = source_files(tree)
        described = describe(files, changed.pop("directories", self.directories))
        contents = io.BytesIO()
        pack(files, contents)
        contents.seek(0)
        settings: dict[str, Any] = {
            "name": self.name,
            "dest": str(self.dest),
            "manifest": described,
            "checks": self.checks,
            "record_dir": str(self.records),
            "scratch": str(self.tmp),
            "archive": contents if archive else None,
            "diff": True,
        }
        return Job(**(settings | changed))

    def run(self, tree: Tree, **changed: Any) -> Result:
        return converge(self.job(tree, **changed))

    def check(self, tree: Tree, **changed: Any) -> Result:
        return self.run(tree, check_mode=True, **changed)


def source_files(tree: Tree) -> list[SourceFile]:
    files = []
    for path, item in sorted(tree.items()):
        file = item if isinstance(item, F) else F(item)
        content = file.content.encode() if isinstance(file.content, str) else file.content
        files.append(SourceFile(path, path, True, file.owner, MY_GROUP, file.mode, file.secret, content))
        files[-1].measure()
    return files


def describe(files: list[SourceFile], directories: list[dict[str, Any]]) -> Manifest:
    return manifest(files, {"owner": ME, "group": MY_GROUP, "directory_mode": "0755", "directories": directories})


def snapshot(root: Path, *, times: bool = False) -> dict[str, tuple[Any, ...]]:
    """Everything below a directory: kind, mode, owner and content; with times, also what any write would change."""
    found = {}
    for path in sorted((root, *root.rglob("*"))) if root.exists() else ():
        status = path.lstat()
        content = path.read_bytes() if stat.S_ISREG(status.st_mode) else None
        seen: tuple[Any, ...] = (oct(status.st_mode), status.st_uid, status.st_gid, content)
        found[str(path.relative_to(root))] = (
            (*seen, status.st_ino, status.st_mtime_ns, status.st_ctime_ns) if times else seen
        )
    return found


def actions(result: Result) -> dict[str, object]:
    """What a result says was done, by path; a directory has a slash at its end."""
    return {
        f"{change['path']}{'/' if change['kind'] == 'directory' else ''}": change["action"] for change in result.changes
    }
