#!/usr/bin/python
# Copyright (c) 2026, Somos Infra maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: pam_profiles
short_description: Put profiles of PAM into force
version_added: 0.1.0
author: Somos Infra maintainers (@somos-infra)
description:
  - Enables profiles that lie in C(/usr/share/pam-configs) with Debian's own C(pam-auth-update).
  - It looks at the stacks themselves, C(/etc/pam.d/common-*). A run that was cut off after a profile had been written
    therefore enables it at the next run, and so does one that finds the stacks changed.
  - Other changes that were made to the stacks by hand stay, unless they stand in the way. Then the stacks are made
    anew, with a warning, and the old ones are kept as C(/etc/pam.d/common-*.pam-old).
options:
  profiles:
    description: Names of profiles.
    type: list
    elements: str
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
    description: Shows the modules that the stacks lack.
    support: full
"""

EXAMPLES = r"""
- name: Slow down who guesses passwords
  somos.infra.pam_profiles:
    profiles: [somos-faillock]
"""

RETURN = r"""
missing:
  description: Modules that the stacks lacked.
  returned: success
  type: list
  elements: str
  sample: ["auth: pam_faillock.so authfail"]
"""

from pathlib import Path

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.somos.infra.plugins.module_utils._pam_profiles import KINDS, missing


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8") if path.exists() else ""


def main() -> None:
    """Compare the stacks with the profiles, have them made anew where they differ."""
    module = AnsibleModule(
        {
            "profiles": {"type": "list", "elements": "str", "required": True},
            "root": {"type": "path", "default": "/"},
        },
        supports_check_mode=True,
    )
    root, names = Path(module.params["root"]), module.params["profiles"]
    profiles = {name: _text(root / "usr/share/pam-configs" / name) for name in names}
    unknown = [name for name, text in profiles.items() if not text]
    if unknown and not module.check_mode:
        module.fail_json(msg=f"/usr/share/pam-configs has no profile {', '.join(unknown)}.")

    def lacks() -> list[str]:
        return missing(profiles, {kind: _text(root / f"etc/pam.d/common-{kind}") for kind in KINDS})

    before = lacks()
    if before and not module.check_mode:
        module.run_command(["pam-auth-update", "--package", "--enable", *names], check_rc=True)
        if lacks():
            # It leaves alone what was changed by hand, and what is protected must not be.
            module.run_command(["pam-auth-update", "--force", "--package", "--enable", *names], check_rc=True)
            module.warn(
                "/etc/pam.d/common-* had been changed by hand and were made anew; the old ones end in .pam-old."
            )
        still = lacks()
        if still:
            module.fail_json(
                msg=f"pam-auth-update leaves the stacks of PAM without {'; '.join(still)}. Nobody is locked out. Look "
                "at /etc/pam.d/common-* and at what `pam-auth-update --force` says, then run again."
            )
    module.exit_json(
        changed=bool(before or unknown),
        missing=before,
        diff={"before": "", "after": "".join(f"{line}\n" for line in before)},
    )


if __name__ == "__main__":
    main()
