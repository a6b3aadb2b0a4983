#!/usr/bin/python
# Copyright (c) 2026, Somos Infra maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: file_settings
short_description: Set single settings in files that belong to packages
version_added: 0.1.0
author: Somos Infra maintainers (@somos-infra)
description:
  - Some files know no drop-ins and differ between distributions, such as C(/etc/login.defs) or those of PAM. This sets
    what is wanted in many of them in one call, and leaves the rest of each as its package made it.
  - A file is replaced atomically and keeps owner and mode. One that does not exist is left out.
options:
  files:
    description: The files.
    type: list
    elements: dict
    required: true
    suboptions:
      path:
        description: The file.
        type: path
        required: true
      assignment:
        description: What stands between a setting and its value.
        type: str
        default: " "
      settings:
        description: Settings and their values. A commented line with the setting is the place where it is put.
        type: dict
        default: {}
      lines:
        description: Whole lines.
        type: list
        elements: dict
        default: []
        suboptions:
          match:
            description: A regular expression. The line takes the place of what matches, or comes last.
            type: str
            required: true
          line:
            description: The line.
            type: str
            required: true
      without:
        description: Words that must not stand in certain lines.
        type: list
        elements: dict
        default: []
        suboptions:
          match:
            description: A regular expression that says in which lines.
            type: str
            required: true
          word:
            description: The word.
            type: str
            required: true
attributes:
  check_mode:
    description: Can run in C(check_mode) and return changed status prediction without modifying target.
    support: full
  diff_mode:
    description: Shows the files, before and after.
    support: full
"""

EXAMPLES = r"""
- name: Set the defaults of new accounts
  somos.infra.file_settings:
    files:
      - path: /etc/login.defs
        assignment: "\t"
        settings: {UMASK: "027"}
"""

RETURN = r"""
absent:
  description: Files that do not exist.
  returned: success
  type: list
  elements: str
"""

import os
import tempfile
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.somos.infra.plugins.module_utils._file_settings import edit


def _replace(path: Path, text: str) -> None:
    state = path.stat()
    descriptor, draft = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    with os.fdopen(descriptor, "w", encoding="utf-8", errors="surrogateescape") as stream:
        os.fchown(stream.fileno(), state.st_uid, state.st_gid)
        os.fchmod(stream.fileno(), state.st_mode & 0o7777)
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())
    Path(draft).replace(path)


def main() -> None:
    """For each file: read, edit, replace."""
    pair = {"match": {"type": "str", "required": True}}
    module = AnsibleModule(
        {
            "files": {
                "type": "list",
                "elements": "dict",
                "required": True,
                "options": {
                    "path": {"type": "path", "required": True},
                    "assignment": {"type": "str", "default": " "},
                    "settings": {"type": "dict", "default": {}},
                    "lines": {
                        "type": "list",
                        "elements": "dict",
                        "default": [],
                        "options": {**pair, "line": {"type": "str", "required": True}},
                    },
                    "without": {
                        "type": "list",
                        "elements": "dict",
                        "default": [],
                        "options": {**pair, "word": {"type": "str", "required": True}},
                    },
                },
            }
        },
        supports_check_mode=True,
    )
    absent, diffs = [], []
    for spec in module.params["files"]:
        path = Path(spec["path"]).resolve()
        try:
            before = path.read_text(encoding="utf-8", errors="surrogateescape")
        except FileNotFoundError:
            absent.append(spec["path"])
            continue
        after = edit(before, spec)
        if after == before:
            continue
        diffs.append({"before_header": str(path), "after_header": str(path), "before": before, "after": after})
        if not module.check_mode:
            _replace(path, after)
    module.exit_json(changed=bool(diffs), absent=absent, diff=diffs)


if __name__ == "__main__":
    main()
