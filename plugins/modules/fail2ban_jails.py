#!/usr/bin/python
# Copyright (c) 2026, Somos Infra maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: fail2ban_jails
short_description: Jails of fail2ban that run, and bans that stand in the kernel
version_added: 0.1.0
author: Somos Infra maintainers (@somos-infra)
description:
  - Waits until fail2ban answers, and fails with its own words if a jail does not run even after a reload.
  - Compares what every jail has banned with the sets of nftables that drop the packets. A jail whose bans are missing
    there, because somebody has emptied the tables, is restarted, which puts them back.
options:
  jails:
    description: The jails that have to run.
    type: list
    elements: str
    required: true
  table:
    description: >-
      Table of nftables, of the family C(inet), with a chain of the jail's name and its sets, C(-4) and C(-6).
      Only jails whose action is O(action) are compared.
    type: str
    required: true
  action:
    description: Name of the action that fills the table.
    type: str
    default: somos-packets
  timeout_s:
    description: Seconds that fail2ban gets to answer, and a jail to start.
    type: int
    default: 20
attributes:
  check_mode:
    description: >-
      Can run in C(check_mode) and return changed status prediction without modifying target. Where fail2ban is not
      installed or does not run yet it predicts a change.
    support: full
  diff_mode:
    description: Shows the jails that do not run and the bans that the kernel does not know.
    support: full
"""

EXAMPLES = r"""
- name: Expect the jail of sshd to run and its bans to hold
  somos.infra.fail2ban_jails:
    jails: [sshd]
    table: f2b-somos
"""

RETURN = r"""
banned:
  description: What each jail has banned.
  returned: when fail2ban answers
  type: dict
  sample: {"sshd": ["203.0.113.66"]}
"""

import time
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.somos.infra.plugins.module_utils._fail2ban import (
    Table,
    addresses,
    lines,
    missing,
    running_jails,
)


class Server:
    """fail2ban as its client shows it, and the kernel's table."""

    def __init__(self, module: AnsibleModule) -> None:
        self._module = module
        self.client: str | None = module.get_bin_path("fail2ban-client")
        self._nft: str | None = module.get_bin_path("nft", opt_dirs=["/usr/sbin", "/sbin"])

    def ask(self, *words: str) -> tuple[int, str]:
        code, out, err = self._module.run_command([self.client, *words])
        return code, out if code == 0 else err or out

    def jails(self) -> list[str]:
        code, out = self.ask("status")
        return running_jails(out) if code == 0 else []

    def wait(self, wanted: list[str], seconds: float) -> list[str]:
        """The jails that still do not run when the time is over, or at once when all do."""
        deadline = time.monotonic() + seconds
        while True:
            absent = [name for name in wanted if name not in self.jails()]
            if not absent or time.monotonic() > deadline:
                return absent
            time.sleep(0.3)

    def banned(self, jails: list[str], action: str) -> dict[str, set[str]]:
        found = {}
        for jail in jails:
            actions = self.ask("get", jail, "actions")[1]
            code, out = self.ask("get", jail, "banip")
            if action in actions.replace(",", " ").split() and code == 0:
                found[jail] = addresses(out)
        return found

    def table(self, name: str) -> Table:
        code, out, _ = self._module.run_command([self._nft or "nft", "--json", "list", "table", "inet", name])
        return Table.parse(out if code == 0 else "")


def main() -> None:
    """Ask, put right, ask again."""
    module = AnsibleModule(
        {
            "jails": {"type": "list", "elements": "str", "required": True},
            "table": {"type": "str", "required": True},
            "action": {"type": "str", "default": "somos-packets"},
            "timeout_s": {"type": "int", "default": 20},
        },
        supports_check_mode=True,
    )
    module.run_command_environ_update = {"LC_ALL": "C", "LANGUAGE": "C"}
    server, jails, table = Server(module), module.params["jails"], module.params["table"]
    if server.client is None:
        if not module.check_mode:
            module.fail_json(msg="fail2ban-client is not installed on this server: install the package fail2ban first.")
        module.exit_json(changed=True, diff={"before": "", "after": _running(jails)})

    absent = server.wait(jails, 0 if module.check_mode else module.params["timeout_s"])
    repaired = bool(absent)
    before = _running([name for name in jails if name not in absent])
    if absent and not module.check_mode:
        reloaded = server.ask("reload")[1]
        absent = server.wait(jails, module.params["timeout_s"])
        if absent:
            # What keeps the server itself from starting is in the journal, the rest in its log.
            _, log, _ = module.run_command(["journalctl", "--unit=fail2ban", "--lines=8", "--no-pager", "--output=cat"])
            log += module.run_command(["tail", "--lines=12", "/var/log/fail2ban.log"])[1]
            names = ", ".join(absent)
            module.fail_json(
                msg=f"fail2ban does not run the jail {names}: {reloaded.strip()}\nIts logs end with:\n{log}"
            )

    running = [name for name in jails if name not in absent]
    banned = server.banned(running, module.params["action"])
    lost = missing(banned, server.table(table))
    if lost and not module.check_mode:
        for jail in lost:
            server.ask("restart", jail)
        server.wait(jails, module.params["timeout_s"])
        still = _settle(server, running, module.params, lost)
        if still:
            module.fail_json(msg=f"The kernel does not take the bans of fail2ban: {lines(still).strip()}. See its log.")
    result: dict[str, Any] = {"banned": {jail: sorted(ips) for jail, ips in banned.items()}}
    known = {jail: sorted(ips - set(lost.get(jail, []))) for jail, ips in banned.items()}
    after = {jail: sorted(ips) for jail, ips in banned.items()}
    module.exit_json(
        changed=repaired or bool(lost),
        diff={"before": before + lines(known), "after": _running(jails) + lines(after)},
        **result,
    )


def _settle(
    server: Server, jails: list[str], parameters: dict[str, Any], lost: dict[str, list[str]]
) -> dict[str, list[str]]:
    """A jail that has restarted restores its bans in its own time."""
    deadline = time.monotonic() + parameters["timeout_s"]
    while True:
        # Bans that have ended meanwhile are nobody's loss.
        still = missing(server.banned(jails, parameters["action"]), server.table(parameters["table"]))
        restored = {jail: ips for jail, ips in still.items() if jail in lost}
        if not restored or time.monotonic() > deadline:
            return restored
        time.sleep(0.3)


def _running(jails: list[str]) -> str:
    return "".join(f"{name}: runs\n" for name in jails)


if __name__ == "__main__":
    main()
