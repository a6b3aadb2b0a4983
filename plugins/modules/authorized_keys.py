#!/usr/bin/python
# Copyright (c) 2026, Somos Infra maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: authorized_keys
short_description: Let these keys in, and only them, once that is proven to work
version_added: 0.1.0
author: Somos Infra maintainers (@somos-infra)
description:
  - Keeps the C(authorized_keys) of several accounts in one call.
  - Keys that are not listed are removed when this very connection was opened with a listed one. If it was opened with
    another key, that key stays, with a warning. If nobody knows with which key, all stay.
  - With which key the connection was opened is what sshd has written into the server's journal.
options:
  accounts:
    description:
      - For each account the complete lines of its C(authorized_keys). An empty list lets nobody in.
    type: dict
    required: true
attributes:
  check_mode:
    description: >-
      Can run in C(check_mode) and return changed status prediction without modifying target. An account that does not
      exist yet counts as one whose keys would change.
    support: full
  diff_mode:
    description: Shows the keys, before and after.
    support: full
"""

EXAMPLES = r"""
- name: Authorize the keys
  somos.infra.authorized_keys:
    accounts:
      deploy: ["{{ lookup('ansible.builtin.file', '~/.ssh/id_ed25519.pub') }}"]
"""

RETURN = r"""
kept:
  description: Accounts with keys that are not listed and stay, because they may be the way in.
  returned: success
  type: dict
  sample: {"deploy": ["ssh-ed25519 AAAA… old laptop"]}
"""

import os
import pwd
import tempfile
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.somos.infra.plugins.module_utils._authorized_keys import (
    body,
    connection,
    key_in_use,
    wanted_lines,
)

PROC = Path("/proc")


def _ask_in_use(module: AnsibleModule) -> str:
    """The journal knows the key of this connection."""
    came = connection(PROC, os.getpid())
    if not came:
        return ""
    # Both names: OpenSSH 9.8 moved sessions to a program of their own.
    _, journal, _ = module.run_command(
        ["journalctl", "--identifier=sshd", "--identifier=sshd-session", "--output=cat", "--no-pager", "--lines=20000"]
    )
    return key_in_use(journal, came)


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return ""


def _closed(path: Path, user: pwd.struct_passwd, mode: int) -> bool:
    try:
        state = path.lstat()
    except FileNotFoundError:
        return False
    return (state.st_uid, state.st_mode & 0o777) == (user.pw_uid, mode)


def _write(path: Path, user: pwd.struct_passwd, text: str) -> None:
    directory = path.parent
    if directory.is_symlink():
        raise OSError(f"{directory} is a symbolic link")
    directory.mkdir(mode=0o700, exist_ok=True)
    os.chown(directory, user.pw_uid, user.pw_gid, follow_symlinks=False)
    directory.chmod(0o700)
    descriptor, draft = tempfile.mkstemp(dir=directory, prefix=".authorized_keys.")
    with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
        os.fchown(stream.fileno(), user.pw_uid, user.pw_gid)
        os.fchmod(stream.fileno(), 0o600)
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())
    Path(draft).replace(path)


def main() -> None:
    """For each account: read, judge, write."""
    module = AnsibleModule(
        {"accounts": {"type": "dict", "required": True, "no_log": False}},
        supports_check_mode=True,
    )
    in_use: str | None = None
    kept: dict[str, list[str]] = {}
    diffs = []
    for name, keys in module.params["accounts"].items():
        try:
            user = pwd.getpwnam(name)
        except KeyError:
            if not module.check_mode:
                module.fail_json(msg=f"There is no account {name} on this server.")
            diffs.append({"before": "", "after": "".join(f"{key.strip()}\n" for key in keys)})
            continue
        path = Path(user.pw_dir) / ".ssh" / "authorized_keys"
        before = _read(path)
        listed = {body(key) for key in keys}
        if in_use is None and any(body(line) and body(line) not in listed for line in before.splitlines()):
            in_use = _ask_in_use(module)
        lines, stay = wanted_lines(before.splitlines(), keys, in_use)
        if stay:
            kept[name] = stay
            module.warn(
                f"{name} keeps {len(stay)} key(s) that the inventory does not list, because "
                f"{'this run came in with it' if in_use else 'nobody knows with which key this run came in'}. "
                "A run that comes in with a listed key removes them."
            )
        after = "".join(f"{line}\n" for line in lines)
        shut = _closed(path.parent, user, 0o700) and _closed(path, user, 0o600)
        if before == after and (shut or (not path.exists() and not lines)):
            continue
        diffs.append({"before_header": str(path), "after_header": str(path), "before": before, "after": after})
        if not module.check_mode:
            try:
                _write(path, user, after)
            except OSError as error:
                module.fail_json(msg=f"{path} could not be written, the old keys stay: {error}")
    module.exit_json(changed=bool(diffs), kept=kept, diff=diffs)


if __name__ == "__main__":
    main()
