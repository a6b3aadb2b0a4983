# Copyright (c) 2026, Somos Infra maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Bring UFW in line with a policy: read, say what differs, write, look again. For the module ufw_policy alone."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ansible_collections.somos.infra.plugins.module_utils import _ufw_docker as docker
from ansible_collections.somos.infra.plugins.module_utils import _ufw_files as files
from ansible_collections.somos.infra.plugins.module_utils import _ufw_live as live
from ansible_collections.somos.infra.plugins.module_utils import _ufw_rules as rules
from ansible_collections.somos.infra.plugins.module_utils._ssh_connection import Connection
from ansible_collections.somos.infra.plugins.module_utils._ufw_system import PolicyError, System
from ansible_collections.somos.infra.plugins.module_utils._ufw_warnings import warnings

__all__ = ["Policy", "PolicyError"]

UNDO = "somos-firewall-undo"


class Policy:
    """One call of the module."""

    def __init__(self, module: Any, here: Connection | None) -> None:
        self.parameters: dict[str, Any] = module.params
        self.system = System(module)
        self.check_mode: bool = module.check_mode
        self.port = here.port if here else self.parameters["connection_port"]
        self.client = here.client if here else None
        wanted = rules.wanted(self.parameters["rules"], self.parameters["outgoing_rules"])
        self.rules, self.extra = rules.with_connection(wanted, self.client, self.port)
        self.blocks = {
            version: docker.block(
                self.parameters["rules"],
                version,
                self.parameters["docker_bridges"],
                self.parameters["isolated_bridges"],
                self.parameters["docker_rules"],
            )
            for version in (4, 6)
        }
        self.commands: list[list[str]] = []
        self.diffs: list[dict[str, str]] = []
        self.warnings: list[str] = []
        self.foreign: list[str] = []
        self.drift: dict[int, live.Drift] = {}
        self.edited = self.unproven = False

    def converge(self) -> None:
        if not self.system.installed:
            if not self.check_mode:
                raise PolicyError(
                    "UFW is not installed on this server: install its package first (the role firewall does)."
                )
            # An earlier task would have installed it.
            self.commands.append(["ufw", "--force", "enable"])
            self._show("UFW", "", files.wanted_settings(self.parameters, True).text(self.rules))
            return
        settings = files.read_settings()
        wanted = files.wanted_settings(self.parameters, self.system.ipv6)
        wanted_rules = [rule for rule in self.rules if self.system.ipv6 or not rule.v6]
        plan = rules.plan(self._held(), wanted_rules)
        texts = self._block_files()
        settings.at_boot = self.system.unit_enabled()
        self.drift = self.system.drift() if settings.enabled else {}
        # Now already: not only a reload empties that chain, UFW also reloads when it is told a default.
        kept = self.system.foreign()
        self._show("UFW", settings.text(plan.before), wanted.text(plan.after))

        self._write(files.DEFAULTS, files.with_defaults(wanted))
        self._tell_ufw(lambda: rules.plan(self._held(), wanted_rules).commands)
        self._remove_foreign(plan.foreign)
        self._check_the_door()
        for path, text in texts.items():
            self._write(path, text)
        self._tell_ufw(lambda: files.policy_commands(files.read_settings(), wanted))
        if not settings.at_boot:
            self._do("systemctl", "enable", "ufw.service")
        self._load(settings.enabled, kept)
        self._report()

    def _block_files(self) -> dict[Path, str]:
        """The files with their blocks, each loaded in a network namespace of its own before it may replace anything."""
        texts = {}
        for version, path in files.AFTER_RULES.items():
            text = path.read_text()
            line = docker.rival(text)
            if line is not None:
                raise PolicyError(
                    f"{path}, line {line}: something else fills the chain {docker.CHAIN} there; the two would erase "
                    f"each other at every start. Remove it (ufw-docker: `ufw-docker uninstall`), put rules that are to "
                    f"stay into firewall_docker_rules, and run again. Nothing was changed."
                )
            texts[path] = docker.put(text, self.blocks[version])
            if texts[path] != text:
                self.system.try_block(self.blocks[version], version)
        return texts

    def _tell_ufw(self, missing: Callable[[], list[list[str]]]) -> None:
        """UFW writes to its files before it tells the kernel. Where the kernel lacks its chains only that fails, and
        the reload mends that; a command for both families then takes one attempt for each.
        """
        broken = self.edited or any(drift.found for drift in self.drift.values())
        for command in missing():
            self.commands.append(["ufw", *command])
            for _ in ("IPv4", "IPv6", "done") if not self.check_mode else ():
                try:
                    self.system.run("ufw", *command)
                    break
                except PolicyError:
                    if not broken:
                        raise
        left = [] if self.check_mode else missing()
        if left:
            raise PolicyError(f"UFW did not take `ufw {shlex.join(left[0])}`: try it by hand. Nothing was closed.")

    def _held(self) -> list[rules.Rule]:
        return [rule for version in (4, 6) for rule in rules.parse(files.user_rules(version))]

    def _check_the_door(self) -> None:
        """After the rules are written and before anything is closed: would the connection in use be let in?"""
        if self.check_mode:
            return
        held = self._held()
        for client in [self.client] if self.client else ["192.0.2.1"]:
            found = rules.verdict(held, client, self.port)
            if found is None or found.action.removesuffix("_log") not in ("allow", "limit"):
                raise PolicyError(
                    f"UFW would shut out this very connection from {client} to port {self.port}: "
                    + (f"its rule `{found}` comes first. Remove it (`ufw status numbered`, `ufw delete N`), or name it "
                       "in firewall_remove. " if found else "no rule lets it in. ")
                    + "Nothing was closed."
                )  # fmt: skip
            if found.action.startswith("limit"):
                self.warnings.append(
                    f"UFW counts connections to port {self.port} (`{found}`) and turns away whoever makes six in 30 "
                    "seconds, as Ansible does: remove that rule, or name it in firewall_remove."
                )

    def _load(self, enabled: bool, kept: dict[int, list[str]]) -> None:
        """Switch on what is off, reload what is stale; the rules of others in DOCKER-USER outlive both."""
        stale = self.edited or any(drift.found for drift in self.drift.values())
        if not enabled or stale:
            # The last chance for somebody who is shut out after all, and for a run that dies here.
            if not self.system.closed():
                self._arm()
            self._do("ufw", *(["reload"] if enabled else ["--force", "enable"]))
        if self.check_mode:
            return
        if not self.system.unit_active():
            self._do("systemctl", "start", "ufw.service")
        if self.commands or self.edited:
            self.system.give_back(kept)
            self._look_again()
        self.unproven = self.system.undo_pending(UNDO)

    def _look_again(self) -> None:
        after = self.system.drift()
        self.system.hook(after)
        wrong = [line for drift in self.system.drift().values() for line in (*drift.before, *drift.after)]
        if wrong:
            raise PolicyError(
                "The kernel does not filter as UFW's files say, even after a reload. Something else writes there "
                f"(firewalld, netfilter-persistent, a script)? These rules differ: {'; '.join(wrong[:8])}"
            )

    def _arm(self) -> None:
        if self.system.undo_pending(UNDO) and not self.check_mode:
            self._do("systemctl", "stop", f"{UNDO}.timer")
        after = str(self.parameters["proof_seconds"])
        self._do("systemd-run", "--quiet", "--collect", f"--unit={UNDO}", f"--on-active={after}",
                 "--timer-property=AccuracySec=1s", self.system.ufw, "--force", "disable")  # fmt: skip

    def _remove_foreign(self, foreign: list[rules.Rule]) -> None:
        """UFW's own wording names the rules of others: it works for profiles and routes too."""
        if not foreign and not self.parameters["remove"]:
            return
        for text in self.system.added():
            name, _, comment = text.partition(" comment ")
            if comment.strip("'\"").startswith(rules.MARK):
                continue
            if name in self.parameters["remove"]:
                words = shlex.split(name)
                position = 1 if words[0] == "route" else 0
                self._do("ufw", "--force", *words[:position], "delete", *words[position:])
                self._show("UFW, rules of others", f"{name}\n", "")
            elif foreign:
                self.foreign.append(name)

    def _write(self, path: Path, text: str) -> None:
        before = path.read_text()
        if before == text:
            return
        self._show(str(path), before, text)
        self.edited = True
        if not self.check_mode:
            files.replace(path, text)

    def _do(self, *command: str) -> None:
        self.commands.append(list(command))
        if not self.check_mode:
            self.system.run(*command)

    def _show(self, what: str, before: str, after: str) -> None:
        if before != after:
            self.diffs.append({"before_header": what, "after_header": what, "before": before, "after": after})

    def _report(self) -> None:
        for version, drift in self.drift.items():
            self._show(f"kernel, IPv{version}", _lines(drift.before), _lines(drift.after))
        self.warnings += warnings(self.port, self.extra, self.foreign, self.holes, self.kept, self.system.rivals())

    @property
    def holes(self) -> list[str]:
        return list(dict.fromkeys(rule for drift in self.drift.values() for rule in drift.holes))

    @property
    def kept(self) -> list[str]:
        return list(dict.fromkeys(rule for drift in self.drift.values() for rule in drift.kept))

    def result(self) -> dict[str, Any]:
        return {
            "changed": bool(self.commands or self.edited),
            "commands": [" ".join(command) for command in self.commands],
            "diff": self.diffs,
            "foreign": self.foreign,
            "holes": self.holes,
            "kept": self.kept,
            "unproven": self.unproven,
        }


def _lines(found: list[str]) -> str:
    return "".join(f"{line}\n" for line in found)
