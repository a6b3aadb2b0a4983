#!/usr/bin/python
# Copyright (c) 2026, Somos Infra maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: group_members
short_description: Who belongs to a group, and nobody else
version_added: 0.1.0
author: Somos Infra maintainers (@somos-infra)
description:
  - Makes the named accounts members of a group and, unless told otherwise, takes everybody else out of it.
  - An account whose I(primary) group it is cannot be taken out here. It is named in a warning.
options:
  name:
    description: The group.
    type: str
    required: true
  members:
    description: The accounts that are to belong to it.
    type: list
    elements: str
    required: true
  exclusive:
    description: Whether others are taken out. If not, they are named in a warning.
    type: bool
    default: true
attributes:
  check_mode:
    description: >-
      Can run in C(check_mode) and return changed status prediction without modifying target. A group or accounts that
      are not there yet count as a change.
    support: full
  diff_mode:
    description: Shows the members before and after.
    support: full
"""

EXAMPLES = r"""
- name: Let nobody but the deploy user talk to the engine
  somos.infra.group_members:
    name: docker
    members: [deploy]
"""

RETURN = r"""
added:
  description: Accounts that became members, or would.
  returned: success
  type: list
  elements: str
removed:
  description: Accounts that were taken out, or would be.
  returned: success
  type: list
  elements: str
"""

import grp
import pwd

from ansible.module_utils.basic import AnsibleModule


def _group(name: str) -> tuple[list[str], int | None]:
    """The members and the number of a group; no number when there is none."""
    try:
        entry = grp.getgrnam(name)
    except KeyError:
        return [], None
    return sorted(entry.gr_mem), entry.gr_gid


def main() -> None:
    """Compare, then set the list in one go."""
    module = AnsibleModule(
        {
            "name": {"type": "str", "required": True},
            "members": {"type": "list", "elements": "str", "required": True},
            "exclusive": {"type": "bool", "default": True},
        },
        supports_check_mode=True,
    )
    name, wanted = module.params["name"], sorted(set(module.params["members"]))
    present, number = _group(name)
    accounts = pwd.getpwall()
    missing = sorted(set(wanted) - {account.pw_name for account in accounts})
    if number is None and not module.check_mode:
        module.fail_json(msg=f"there is no group {name} on this server: is the package installed that brings it?")
    if missing and not module.check_mode:
        module.fail_json(
            msg=f"group {name}: there is no account {', '.join(missing)} on this server. Nothing was changed"
        )
    strangers = sorted(set(present) - set(wanted))
    after = wanted if module.params["exclusive"] else sorted({*present, *wanted})
    if strangers and not module.params["exclusive"]:
        module.warn(f"group {name} has members that nobody declared: {', '.join(strangers)}")
    primary = sorted(
        account.pw_name for account in accounts if account.pw_gid == number and account.pw_name not in wanted
    )
    if primary:
        module.warn(f"{name} is the primary group of {', '.join(primary)}: give them another one (usermod -g)")
    changed = after != present
    if changed and not module.check_mode:
        status, _, error = module.run_command(["gpasswd", "--members", ",".join(after), name])
        if status:
            module.fail_json(
                msg=f"the members of group {name} cannot be set to {', '.join(after) or 'nobody'}: {error.strip()}"
            )
    module.exit_json(
        changed=changed,
        added=sorted(set(after) - set(present)),
        removed=sorted(set(present) - set(after)),
        diff={
            "before": "".join(f"{member}\n" for member in present),
            "after": "".join(f"{member}\n" for member in after),
        },
    )


if __name__ == "__main__":
    main()
