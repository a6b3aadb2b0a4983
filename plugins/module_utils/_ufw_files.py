# Copyright (c) 2026, Somos Infra maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What UFW keeps in its files: settings, and the rules that a person adds."""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ansible_collections.somos.infra.plugins.module_utils._ufw_rules import Rule

DEFAULTS = Path("/etc/default/ufw")
CONFIGURATION = Path("/etc/ufw/ufw.conf")
USER_RULES = {4: Path("/etc/ufw/user.rules"), 6: Path("/etc/ufw/user6.rules")}
AFTER_RULES = {4: Path("/etc/ufw/after.rules"), 6: Path("/etc/ufw/after6.rules")}

_POLICIES = {"ACCEPT": "allow", "DROP": "deny", "REJECT": "reject"}
_DIRECTIONS = {"incoming": "INPUT", "outgoing": "OUTPUT", "routed": "FORWARD"}


@dataclass
class Settings:
    """Everything that UFW holds beside its rules."""

    enabled: bool
    at_boot: bool
    policies: dict[str, str]
    logging: str
    ipv6: bool
    sysctl_file: str

    def text(self, rules: Sequence[Rule]) -> str:
        """For people, in a diff."""
        lines = [
            f"enabled: {_yes(self.enabled)}",
            f"starts with the machine: {_yes(self.at_boot)}",
            *(f"{direction}: {policy}" for direction, policy in self.policies.items()),
            f"logging: {self.logging}",
            f"IPv6: {_yes(self.ipv6)}",
            f"kernel settings: {self.sysctl_file or 'none of its own'}",
            *sorted(str(rule) for rule in rules),
        ]
        return "\n".join(lines) + "\n"


def _yes(value: bool) -> str:
    return "yes" if value else "no"


def read_settings() -> Settings:
    defaults, configuration = _assignments(DEFAULTS.read_text()), _assignments(CONFIGURATION.read_text())
    return Settings(
        enabled=configuration.get("ENABLED", "no").lower() == "yes",
        at_boot=False,
        policies={
            direction: _POLICIES.get(defaults.get(f"DEFAULT_{chain}_POLICY", ""), "unknown")
            for direction, chain in _DIRECTIONS.items()
        },
        logging=configuration.get("LOGLEVEL", "low"),
        ipv6=defaults.get("IPV6", "no").lower() == "yes",
        sysctl_file=defaults.get("IPT_SYSCTL", ""),
    )


def wanted_settings(parameters: Mapping[str, Any], ipv6: bool) -> Settings:
    return Settings(
        enabled=True,
        at_boot=True,
        policies={"incoming": "deny", "outgoing": parameters["outgoing"], "routed": "deny"},
        logging=parameters["logging"],
        ipv6=ipv6,
        sysctl_file=parameters["sysctl_file"],
    )


def policy_commands(has: Settings, wants: Settings) -> list[list[str]]:
    """What UFW itself has to be told, as it derives rules for the log from it."""
    commands = [
        ["default", policy, direction]
        for direction, policy in wants.policies.items()
        if has.policies[direction] != policy
    ]
    return commands + ([["logging", wants.logging]] if has.logging != wants.logging else [])


def with_defaults(wants: Settings, path: Path = DEFAULTS) -> str:
    """The file with the two settings that UFW has no command for."""
    return _assign(_assign(path.read_text(), "IPV6", _yes(wants.ipv6)), "IPT_SYSCTL", wants.sysctl_file)


def user_rules(version: int) -> str:
    path = USER_RULES[version]
    return path.read_text() if path.exists() else ""


def _assignments(text: str) -> dict[str, str]:
    """Shell assignments as UFW's files have them; the last one counts."""
    found = re.findall(r"^\s*([A-Z0-9_]+)=[\"']?([^\"'#\n]*)[\"']?", text, flags=re.M)
    return {name: value.strip() for name, value in found}


def _assign(text: str, name: str, value: str) -> str:
    if _assignments(text).get(name) == value:
        return text
    if re.search(rf"^{name}=", text, flags=re.M):
        return re.sub(rf"^{name}=.*$", f"{name}={value}", text, flags=re.M)
    return f"{text.rstrip()}\n{name}={value}\n"


def replace(path: Path, text: str) -> None:
    """In one step, with owner and mode as they are."""
    draft = path.with_name(f".{path.name}.somos")
    draft.write_text(text)
    shutil.copystat(path, draft)
    draft.replace(path)
