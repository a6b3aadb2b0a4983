#!/usr/bin/python
# Copyright (c) 2026, Somos Infra maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: server_state
short_description: What the role base has to know before it changes a server
version_added: 0.1.0
author: Somos Infra maintainers (@somos-infra)
description:
  - Reads a handful of files in one call, and changes nothing.
options:
  operators_group:
    description: The group whose members are the accounts that a run has made for operators.
    type: str
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
    description: There is nothing to show.
    support: none
"""

EXAMPLES = r"""
- name: Look at the server
  somos.infra.server_state:
    operators_group: somos-operators
  register: __base_state
"""

RETURN = r"""
operators:
  description: The members of O(operators_group).
  returned: success
  type: list
  elements: str
packages:
  description: The installed packages.
  returned: success
  type: list
  elements: str
router_interfaces:
  description: Interfaces on which the kernel learns its default route from a router, and would lose it.
  returned: success
  type: list
  elements: str
time_daemons:
  description: The packages of programs that keep the time.
  returned: success
  type: list
  elements: str
upgraded:
  description: How the server was brought up to date the first time, C(safe) or C(dist); empty if it was not.
  returned: success
  type: str
"""

from pathlib import Path

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.somos.infra.plugins.module_utils._server_state import (
    installed,
    members,
    read,
    router_interfaces,
    time_daemons,
)


def main() -> None:
    """Read, report."""
    module = AnsibleModule(
        {"operators_group": {"type": "str", "required": True}, "root": {"type": "path", "default": "/"}},
        supports_check_mode=True,
    )
    root = Path(module.params["root"])
    module.exit_json(
        changed=False,
        operators=members(read(root, "etc/group"), module.params["operators_group"]),
        packages=installed(read(root, "var/lib/dpkg/status")),
        router_interfaces=router_interfaces(root),
        time_daemons=time_daemons(root),
        upgraded=read(root, "var/lib/somos/base/upgraded").strip(),
    )


if __name__ == "__main__":
    main()
