#!/usr/bin/python
# Copyright (c) 2026, Somos Infra maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: sysctl_live
short_description: Bring the settings of the running kernel in line
version_added: 0.1.0
author: Somos Infra maintainers (@somos-infra)
description:
  - Compares settings with the running kernel in one call and writes those that differ.
  - It looks at the kernel, not at whether a file changed. A run that was cut off after the file had been written
    therefore applies it at the next run.
  - Persistence is the business of a file in C(/etc/sysctl.d), for instance written by M(somos.infra.config_tree).
options:
  settings:
    description:
      - Names and values. A setting that this kernel does not have is left out and reported in RV(absent).
      - A setting that may not be written, as in a container, is left as it is, with a warning.
    type: dict
    required: true
attributes:
  check_mode:
    description: Can run in C(check_mode) and return changed status prediction without modifying target.
    support: full
  diff_mode:
    description: Shows the settings that differ, before and after.
    support: full
"""

EXAMPLES = r"""
- name: Apply the kernel settings
  somos.infra.sysctl_live:
    settings:
      vm.swappiness: 10
      net.ipv4.ip_local_port_range: 1024 65535
"""

RETURN = r"""
absent:
  description: Settings that this kernel does not have.
  returned: success
  type: list
  elements: str
refused:
  description: Settings that differ and may not be written on this machine.
  returned: success
  type: list
  elements: str
"""

from pathlib import Path

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.somos.infra.plugins.module_utils._sysctl import compare, write

PROC_SYS = Path("/proc/sys")


def main() -> None:
    """Read the parameters, bring the kernel in line, report."""
    module = AnsibleModule({"settings": {"type": "dict", "required": True}}, supports_check_mode=True)
    try:
        comparison = compare(module.params["settings"], PROC_SYS)
        refused = [] if module.check_mode else write(comparison.after, PROC_SYS)
    except ValueError as error:
        module.fail_json(msg=str(error))
    for key in refused:
        module.warn(f"{key} stays {comparison.before[key]}: this machine does not let it be set")
    changes = sorted(comparison.after.keys() - set(refused))
    module.exit_json(
        changed=bool(changes),
        absent=comparison.absent,
        refused=refused,
        diff={
            "before": "".join(f"{key} = {comparison.before[key]}\n" for key in changes),
            "after": "".join(f"{key} = {comparison.after[key]}\n" for key in changes),
        },
    )


if __name__ == "__main__":
    main()
