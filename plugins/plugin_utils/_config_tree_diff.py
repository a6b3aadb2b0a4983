# Copyright (c) 2026, Somos Infra maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What config_tree shows of a change: what the server says was there beside what the controller wants there."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

from ansible_collections.somos.infra.plugins.module_utils._config_tree import MASKED, Directory, Manifest, shown
from ansible_collections.somos.infra.plugins.plugin_utils._config_tree import SourceFile


def paths(changes: Iterable[dict[str, Any]], removed: bool) -> list[str]:
    """List the changed paths that were removed, or the others; a directory has a slash at its end."""
    return [
        (change["path"] or ".") + ("/" if change["kind"] == "directory" else "")
        for change in changes
        if (change["action"] == "remove") is removed
    ]


def diff(
    changes: Iterable[dict[str, Any]], files: Iterable[SourceFile], tree: Manifest, dest: str
) -> list[dict[str, Any]]:
    """Turn the server's changes into the pairs that Ansible shows: texts for contents, dicts for attributes."""
    sources = {file.path: file for file in files}
    directories = {directory.path: directory for directory in (tree.root, *tree.directories)}
    pairs = []
    for change in changes:
        path, before, removed = change["path"], change["before"], change["action"] == "remove"
        show = _Pair(str(PurePath(dest, path)))
        known = {key: before[key] for key in ("owner", "group", "mode")} if before else {}
        if change["kind"] == "directory":
            was = {} if change["action"] == "create" else {"state": "directory", **known}
            pairs.append(show.pair(was, {} if removed else {"state": "directory", **_attributes(directories[path])}))
            continue
        wanted = {} if removed else _attributes(sources[path])
        if change["action"] != "attributes":
            pairs.append(show.pair(before["text"] if before else "", "" if removed else _text(sources[path])))
        if known and wanted and known != wanted:
            pairs.append(show.pair(known, wanted))
    return pairs


@dataclass(frozen=True)
class _Pair:
    path: str

    def pair(self, before: str | dict[str, str], after: str | dict[str, str]) -> dict[str, Any]:
        return {"before_header": self.path, "after_header": self.path, "before": before, "after": after}


def _attributes(item: SourceFile | Directory) -> dict[str, str]:
    return {"owner": item.owner, "group": item.group, "mode": f"{item.mode:04o}"}


def _text(file: SourceFile) -> str:
    if file.secret:
        return f"new content, {MASKED}"
    with file.open() as stream:
        return shown(stream, file.size)
