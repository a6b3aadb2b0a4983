# Copyright (c) 2026, Somos Infra maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Judges inventory, vault, controller and facts on the controller, and fails once with everything that is wrong."""

from __future__ import annotations

import json
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleActionFail, AnsibleError, AnsibleUndefinedVariable
from ansible.plugins.action import ActionBase
from ansible.release import __version__ as ansible_version

from ansible_collections.somos.infra.plugins.plugin_utils import _preflight
from ansible_collections.somos.infra.plugins.plugin_utils._preflight import Problem, Unreadable

ARGUMENT_SPEC: dict[str, Any] = {
    "required": {"type": "list", "elements": "str", "default": []},
    "secrets": {"type": "list", "elements": "str", "default": [], "no_log": False},
    "secret_min_length": {"type": "int", "default": 16, "no_log": False},
    "domain": {"type": "str"},
    "groups": {"type": "list", "elements": "str", "default": []},
    "absent_groups": {"type": "list", "elements": "str", "default": []},
    "min_cpus": {"type": "int", "default": 0},
    "min_memory_mb": {"type": "int", "default": 0},
    "min_disk_gb": {"type": "int", "default": 0},
    "ram": {
        "type": "dict",
        "options": {
            "profile": {"type": "str", "default": "auto"},
            "services": {"type": "list", "elements": "str"},
            "overrides": {"type": "dict", "default": {}},
        },
    },
    "address_pools": {"type": "list", "elements": "dict", "default": []},
    "ipv6_subnet": {"type": "str"},
    "compose_version": {"type": "str"},
}


class ActionModule(ActionBase):
    """No remote operation: what it needs of the server, the facts have already brought."""

    _requires_connection = False
    TRANSFERS_FILES = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Collect every problem of this host; fail with all of them, or pass without a word."""
        super().run(tmp, task_vars)
        _, args = self.validate_argument_spec(ARGUMENT_SPEC)
        task_vars = task_vars or {}
        host = task_vars["inventory_hostname"]
        problems = [*self._inventory_problems(args), *_server_problems(args, task_vars["ansible_facts"])]
        # What concerns all hosts alike is said once.
        if host == task_vars["ansible_play_hosts_all"][0]:
            problems += _common_problems(args, task_vars["groups"])
        if problems:
            raise AnsibleActionFail(_preflight.report(host, problems))
        return {"changed": False}

    def _inventory_problems(self, args: dict[str, Any]) -> Iterator[Problem]:
        yield from _preflight.required({name: self._value(name) for name in args["required"]})
        secrets = {name: self._value(name) for name in args["secrets"]}
        yield from _preflight.secrets(secrets, args["secret_min_length"])
        if args["domain"] is not None:
            yield from _preflight.domain(args["domain"])

    def _value(self, name: str) -> Any:
        try:
            return self._templar.resolve_variable_expression(name)
        except AnsibleUndefinedVariable as error:
            missing = str(error.message).partition(" is undefined")[0].strip("'\" ")
            return Unreadable("is not set" if missing in ("", name) else f"refers to {missing}, which is not set")
        except AnsibleError:
            # The exception's text may quote the value.
            return Unreadable("cannot be read; for an encrypted one, the vault password may be missing or wrong")


def _server_problems(args: dict[str, Any], facts: dict[str, Any]) -> Iterator[Problem]:
    if "distribution" not in facts:
        yield Problem("The server's facts", "are missing", "Gather distribution, hardware and network before this task")
        return
    yield from _preflight.operating_system(facts)
    yield from _preflight.resources(facts, args["min_cpus"], args["min_memory_mb"], args["min_disk_gb"])
    yield from _preflight.address_pools(args["address_pools"], facts)
    if args["ipv6_subnet"] is not None:
        yield from _preflight.ipv6_subnet(args["ipv6_subnet"], facts)
    if args["ram"]:
        yield from _preflight.ram(facts["memtotal_mb"], **args["ram"])


def _common_problems(args: dict[str, Any], groups: dict[str, list[str]]) -> Iterator[Problem]:
    yield from _preflight.groups(groups, args["groups"], args["absent_groups"])
    yield from _preflight.controller(ansible_version, _collection_version("community.docker"), args["compose_version"])


def _collection_version(name: str) -> str | None:
    try:
        package = import_module(f"ansible_collections.{name}")
        manifest = json.loads(Path(next(iter(package.__path__)), "MANIFEST.json").read_text())
    except (ImportError, OSError):
        return None
    return manifest["collection_info"]["version"]
