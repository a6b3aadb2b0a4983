#!/usr/bin/python
# Copyright (c) 2026, Somos Infra maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: certificate
short_description: Look after the certificate that the reverse proxy serves
version_added: 0.1.0
author: Somos Infra maintainers (@somos-infra)
description:
  - Runs the program that role P(somos.infra.certbot#role) installed, and reports what it did.
  - What visitors do not notice is a warning, for instance an authority that does not answer while the certificate in
    service is valid. It fails when they are not shown a certificate that they accept.
options:
  verb:
    description:
      - V(prepare) puts the best certificate of the server where the proxy reads it, a placeholder if there is none.
      - V(issue) asks the certificate authority if that is due by what lies on the server, and has the result served.
    type: str
    choices: [prepare, issue]
    required: true
  program:
    description: The program. In check mode it need not be there yet.
    type: path
    default: /usr/local/lib/somos/certificate
attributes:
  check_mode:
    description: Can run in C(check_mode) and return changed status prediction without modifying target.
    support: full
  diff_mode:
    description: Shows what was done, or would be, in words.
    support: full
"""

EXAMPLES = r"""
- name: Have a certificate in service, from the authority if that is due
  somos.infra.certificate:
    verb: issue
"""

RETURN = r"""
did:
  description: What was done, or would be in check mode.
  returned: always
  type: list
  elements: str
  sample: ["got a certificate from https://acme-v02.api.letsencrypt.org/directory, valid until 2027-02-23 04:10 UTC"]
"""

import json
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule


def main() -> None:
    module = AnsibleModule(
        {
            "verb": {"type": "str", "choices": ["prepare", "issue"], "required": True},
            "program": {"type": "path", "default": "/usr/local/lib/somos/certificate"},
        },
        supports_check_mode=True,
    )
    program, verb = module.params["program"], module.params["verb"]
    if module.check_mode and not Path(program).exists():
        did = [f"look after the certificate ({verb})"]
        module.exit_json(changed=True, did=did, diff={"before": "", "after": f"{did[0]}\n"})
    argv = [program, "--json", *(["--check"] if module.check_mode else []), verb]
    code, out, err = module.run_command(argv)
    try:
        report = json.loads(out)
    except ValueError:
        module.fail_json(msg=f"`{' '.join(argv)}` ended with exit code {code} and no report: {err.strip()[-2000:]}")
    shown = "".join(f"{line}\n" for line in report["did"])
    result = {"changed": report["changed"], "did": report["did"], "diff": {"before": "", "after": shown}}
    if report["error"] and not report["good"]:
        module.fail_json(msg=report["error"], **result)
    if report["error"]:
        module.warn(report["error"])
    module.exit_json(**result)


if __name__ == "__main__":
    main()
