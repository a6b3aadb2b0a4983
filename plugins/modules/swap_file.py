#!/usr/bin/python
# Copyright (c) 2026, Somos Infra maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: swap_file
short_description: Keep a file that can be swapped to
version_added: 0.1.0
author: Somos Infra maintainers (@somos-infra)
description:
  - Makes the file, of zeros and without holes, under another name, and gives it its name when it is complete. A run
    that was cut off therefore leaves nothing that passes for a swap file.
  - Makes it anew when its size is to change, if what lies in it fits into memory meanwhile.
  - Does not swap to it; that is the work of a unit of systemd.
options:
  path:
    description: The file.
    type: path
    required: true
  size_mb:
    description: Its size in MiB. 0 takes it out of use and removes it.
    type: int
    required: true
  root:
    description: Where C(/proc) is found.
    type: path
    default: /
attributes:
  check_mode:
    description: Can run in C(check_mode) and return changed status prediction without modifying target.
    support: full
  diff_mode:
    description: Shows the size, before and after.
    support: full
"""

EXAMPLES = r"""
- name: Make the swap file
  somos.infra.swap_file:
    path: /swapfile
    size_mb: 4096
"""

RETURN = r"""
usable:
  description: Whether the file is there, or would be, and can be swapped to.
  returned: success
  type: bool
reason:
  description: Why there is no such file here. Empty if there is one.
  returned: success
  type: str
  sample: /swapfile would lie on btrfs, where the kernel cannot swap to a file
"""

import re
import shutil
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.somos.infra.plugins.module_utils._swap_file import (
    FILE_SYSTEMS,
    MIB,
    Area,
    areas,
    file_system,
    fill,
    is_whole,
)


def _available_kib(root: Path) -> int:
    found = re.search(r"^MemAvailable:\s+(\d+)", (root / "proc/meminfo").read_text(), re.M)
    return int(found[1]) if found else 0


def _obstacle(path: Path, size_mb: int, others: list[Area], root: Path) -> str:
    """What speaks against a swap file on this server, in words."""
    if sum(area.size_kib for area in others) >= size_mb * 1000:
        return f"the server already swaps to {', '.join(area.path for area in others)}"
    kind = file_system((root / "proc/mounts").read_text(), str(path))
    if kind not in FILE_SYSTEMS:
        return f"{path} would lie on {kind}, where the kernel cannot swap to a file"
    return ""


def _expect_to_fit(module: AnsibleModule, area: Area, root: Path) -> None:
    """Before it is taken out of use: what it holds goes back into memory."""
    if area.used_kib > _available_kib(root):
        module.fail_json(
            msg=f"{area.path} holds {area.used_kib // 1024} MiB that do not fit into memory, so it cannot be made anew "
            "now. Stop something large, or leave the size as it is, and run again."
        )


def _expect_room(module: AnsibleModule, path: Path, size_mb: int) -> None:
    """Before anything is taken out of use: the old file stays until the new one is whole."""
    free = shutil.disk_usage(path.parent).free
    if free < (size_mb + 1024) * MIB:
        module.fail_json(
            msg=f"{path} of {size_mb} MiB would leave less than 1 GiB on the disk, of which {free // MIB} MiB are "
            "free. Choose a smaller size, 0 for none, or another place."
        )


def _make(module: AnsibleModule, path: Path, size_mb: int) -> Path:
    draft = path.with_name(f".{path.name}.new")
    draft.unlink(missing_ok=True)
    fill(draft, size_mb)
    module.run_command(["mkswap", str(draft)], check_rc=True)
    return draft


def main() -> None:
    """Look, judge, make or remove."""
    module = AnsibleModule(
        {
            "path": {"type": "path", "required": True},
            "size_mb": {"type": "int", "required": True},
            "root": {"type": "path", "default": "/"},
        },
        supports_check_mode=True,
    )
    path, size_mb, root = Path(module.params["path"]), module.params["size_mb"], Path(module.params["root"])
    in_use = areas((root / "proc/swaps").read_text())
    own = [area for area in in_use if area.path == str(path)]
    others = [area for area in in_use if area.path != str(path)]
    reason = _obstacle(path, size_mb, others, root) if size_mb else ""
    wanted = size_mb if not reason else 0
    before = path.stat().st_size // MIB if path.exists() else 0
    # A server that cannot have one keeps what lies there: it is not ours.
    changed = not is_whole(path, wanted) if wanted else not size_mb and path.exists()
    if changed and not module.check_mode:
        for area in own:
            _expect_to_fit(module, area, root)
        draft = None
        if wanted:
            _expect_room(module, path, wanted)
            draft = _make(module, path, wanted)
        for area in own:
            module.run_command(["swapoff", area.path], check_rc=True)
        if draft:
            draft.replace(path)
        else:
            path.unlink()
    module.exit_json(
        changed=changed,
        usable=bool(wanted),
        reason=reason,
        diff={"before": f"{path}: {before} MiB\n", "after": f"{path}: {wanted if changed else before} MiB\n"},
    )


if __name__ == "__main__":
    main()
