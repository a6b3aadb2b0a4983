#!/usr/bin/python
# Copyright (c) 2026, Somos Infra maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: sshd_config
short_description: Repeat the rules of a drop-in of sshd in sshd_config
version_added: 0.1.0
author: Somos Infra maintainers (@somos-infra)
description:
  - Keeps a block in C(sshd_config) that repeats what the drop-in on this server says to everybody. It stands after the
    line that includes drop-ins, before any C(Match). Ports and host keys are not repeated, as they would
    add up.
  - Lines of others that contradict the block are set aside by a comment, and come back when the drop-in has no such
    rule any more, as when it is withdrawn.
  - sshd judges the file before it replaces the old one. Nothing is restarted.
options:
  dropin:
    description: The drop-in. While it does not exist, the block is taken out.
    type: path
    required: true
  path:
    description: The configuration.
    type: path
    default: /etc/ssh/sshd_config
attributes:
  check_mode:
    description: >-
      Can run in C(check_mode) and return changed status prediction without modifying target. It compares with the
      drop-in that is there.
    support: full
  diff_mode:
    description: Shows the file, before and after.
    support: full
"""

EXAMPLES = r"""
- name: Repeat the drop-in's rules where others look for them
  somos.infra.sshd_config:
    dropin: /etc/ssh/sshd_config.d/00-somos.conf
"""

RETURN = r"""
hash:
  description: SHA-256 of the block.
  returned: success
  type: str
"""

import os
from hashlib import sha256
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.somos.infra.plugins.module_utils._sshd_config import repeat, rules


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="surrogateescape")
    except FileNotFoundError:
        return ""


def _write(module: AnsibleModule, path: Path, text: str) -> None:
    state, draft = path.stat(), path.with_name(f".{path.name}.new")
    draft.unlink(missing_ok=True)
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8", errors="surrogateescape") as stream:
        os.fchown(stream.fileno(), state.st_uid, state.st_gid)
        os.fchmod(stream.fileno(), state.st_mode & 0o7777)
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())
    sshd = module.get_bin_path("sshd", required=True, opt_dirs=["/usr/sbin"])
    code, out, err = module.run_command([sshd, "-t", "-f", str(draft)])
    if code:
        draft.unlink()
        module.fail_json(
            msg=f"sshd would refuse {path} with the rules of {module.params['dropin']} in it: {(err or out).strip()} "
            "The file is as it was. Look at the line that is named, in the file or in what it includes; then run again."
        )
    draft.replace(path)


def main() -> None:
    """Read both, put the block in, have it judged, replace."""
    module = AnsibleModule(
        {
            "dropin": {"type": "path", "required": True},
            "path": {"type": "path", "default": "/etc/ssh/sshd_config"},
        },
        supports_check_mode=True,
    )
    path = Path(module.params["path"]).resolve()
    wanted = rules(_read(Path(module.params["dropin"])))
    before = _read(path)
    # Without the file there is no sshd yet (--check on a bare server), and nothing to repeat.
    after = repeat(before, wanted) if before else before
    if after != before and not module.check_mode:
        _write(module, path, after)
    module.exit_json(
        changed=after != before,
        hash=sha256("\n".join(wanted).encode()).hexdigest(),
        diff={"before_header": str(path), "after_header": str(path), "before": before, "after": after},
    )


if __name__ == "__main__":
    main()
