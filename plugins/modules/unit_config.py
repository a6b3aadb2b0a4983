#!/usr/bin/python
# Copyright (c) 2026, Somos Infra maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: unit_config
short_description: Run a systemd unit with the configuration that lies on disk
version_added: 0.1.0
author: Somos Infra maintainers (@somos-infra)
description:
  - Enables and starts a unit, and reloads or restarts it if it has not read its present configuration yet.
  - What it read last is recorded after a successful reload or restart. A run that is cut off between writing the
    configuration and the reload therefore reloads at the next run, which a handler would not.
options:
  name:
    description: The unit, with its suffix.
    type: str
    required: true
  config_hash:
    description: Hash of the configuration that the unit is to have read, as M(somos.infra.config_tree) returns it.
    type: str
    required: true
  apply:
    description: How a running unit is made to read its configuration. The first time it is always restarted.
    type: str
    choices: [reload, restart]
    default: restart
  replaces:
    description:
      - Units that must not do this unit's work, as C(ssh.socket) does in place of C(ssh.service). They are stopped and
        disabled after this unit has been enabled. Those that are not installed are ignored.
    type: list
    elements: str
    default: []
  record_directory:
    description: Directory on the server that remembers what each unit read last.
    type: path
    default: /var/lib/somos/units
attributes:
  check_mode:
    description: >-
      Can run in C(check_mode) and return changed status prediction without modifying target. A unit that is not
      installed yet counts as one that would change.
    support: full
  diff_mode:
    description: Shows the systemctl commands that are missing.
    support: full
"""

EXAMPLES = r"""
- name: Run sshd with its configuration
  somos.infra.unit_config:
    name: ssh.service
    config_hash: "{{ __ssh_tree.hash }}"
    apply: reload
    replaces: [ssh.socket]
"""

RETURN = r"""
commands:
  description: The systemctl commands that were run, or would be.
  returned: success
  type: list
  elements: list
  sample: [["enable", "ssh.service"], ["reload", "ssh.service"]]
"""

from pathlib import Path

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.somos.infra.plugins.module_utils._unit import PROPERTIES, Unit, plan

SYSTEM = Path("/etc/systemd/system")


def _ask(module: AnsibleModule, name: str) -> Unit:
    # Not checked: where systemd does not run, the answer is empty, which means "not installed".
    _, text, _ = module.run_command(["systemctl", "show", f"--property={','.join(PROPERTIES)}", name])
    drop_ins = [str(path) for path in (SYSTEM / f"{name}.d").glob("*.conf")]
    return Unit.parse(name, text, drop_ins)


def _run(module: AnsibleModule, command: list[str], unit: str) -> None:
    status, _, error = module.run_command(["systemctl", *command])
    if status:
        _, journal, _ = module.run_command(["journalctl", "--unit", unit, "--lines=15", "--no-pager", "--output=cat"])
        module.fail_json(
            msg=f"systemctl {' '.join(command)} failed: {error.strip()}\nThe journal's last lines:\n{journal.strip()}"
        )


def _write(record: Path, text: str) -> None:
    record.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    draft = record.with_name(f".{record.name}.new")
    draft.write_text(text)
    draft.replace(record)


def main() -> None:
    """Ask systemd, run what is missing, remember what was read."""
    module = AnsibleModule(
        {
            "name": {"type": "str", "required": True},
            "config_hash": {"type": "str", "required": True},
            "apply": {"type": "str", "choices": ["reload", "restart"], "default": "restart"},
            "replaces": {"type": "list", "elements": "str", "default": []},
            "record_directory": {"type": "path", "default": "/var/lib/somos/units"},
        },
        supports_check_mode=True,
    )
    name, wanted = module.params["name"], module.params["config_hash"]
    record = Path(module.params["record_directory"]) / name
    unit = _ask(module, name)
    if not unit.installed and not module.check_mode:
        module.fail_json(msg=f"systemd knows no unit {name} on this server: is its package installed?")
    replaced = [_ask(module, rival) for rival in module.params["replaces"]]
    read = record.read_text() if record.exists() else None
    commands = plan(unit, replaced, module.params["apply"], read, wanted)
    if not module.check_mode:
        for command in commands:
            _run(module, command, name)
        if read != wanted:
            _write(record, wanted)
    missing = "".join(f"systemctl {' '.join(command)}\n" for command in commands)
    module.exit_json(changed=bool(commands), commands=commands, diff={"before": "", "after": missing})


if __name__ == "__main__":
    main()
