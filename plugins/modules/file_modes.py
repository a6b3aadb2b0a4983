#!/usr/bin/python
# Copyright (c) 2026, Somos Infra maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: file_modes
short_description: Take away permissions that go too far
version_added: 0.1.0
author: Somos Infra maintainers (@somos-infra)
description:
  - Takes away what goes beyond a limit, for many files in one call. It never gives a permission.
  - Files that do not exist and symbolic links are left out.
options:
  limits:
    description: >-
      Globs (C(**) crosses directories) and the widest mode that what they name may have, as a quoted octal string. The
      first glob that names a file counts.
    type: dict
    required: true
  root:
    description: Where the server's file system begins.
    type: path
    default: /
attributes:
  check_mode:
    description: Can run in C(check_mode) and return changed status prediction without modifying target.
    support: full
  diff_mode:
    description: Shows the modes that go too far, before and after.
    support: full
"""

EXAMPLES = r"""
- name: Keep others out of cron's directories
  somos.infra.file_modes:
    limits:
      /etc/cron.d: "0700"
"""

RETURN = r"""
paths:
  description: What was, or would be, restricted.
  returned: success
  type: list
  elements: str
"""

from pathlib import Path

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.somos.infra.plugins.module_utils._file_modes import too_wide


def main() -> None:
    """Find, restrict, report."""
    module = AnsibleModule(
        {"limits": {"type": "dict", "required": True}, "root": {"type": "path", "default": "/"}},
        supports_check_mode=True,
    )
    try:
        limits = {pattern: int(str(mode), 8) for pattern, mode in module.params["limits"].items()}
    except ValueError as error:
        module.fail_json(msg=f'limits: a mode is a quoted octal string, such as "0640" ({error})')
    changes = list(too_wide(Path(module.params["root"]), limits))
    if not module.check_mode:
        for change in changes:
            change.path.chmod(change.after)
    module.exit_json(
        changed=bool(changes),
        paths=[str(change.path) for change in changes],
        diff={
            "before": "".join(f"{change.path} {change.before:04o}\n" for change in changes),
            "after": "".join(f"{change.path} {change.after:04o}\n" for change in changes),
        },
    )


if __name__ == "__main__":
    main()
