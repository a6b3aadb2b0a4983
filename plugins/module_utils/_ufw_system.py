# Copyright (c) 2026, Somos Infra maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The programs that ufw_policy runs on the server: ufw, iptables, systemctl, and a network to rehearse in."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

from ansible_collections.somos.infra.plugins.module_utils._ufw_docker import CHAIN
from ansible_collections.somos.infra.plugins.module_utils._ufw_live import Drift, Table, compare, foreign_in_docker_user

IPTABLES = {4: "iptables", 6: "ip6tables"}
RIVALS = ("nftables.service", "firewalld.service", "netfilter-persistent.service")
TRANSIENT = Path("/run/systemd/transient")
IF_INET6 = Path("/proc/net/if_inet6")

# UFW starts in a network of its own, from the server's files, and says what it has loaded. Programs that others have
# hung into its start, and settings of the kernel, are left out: they would not stay in that network.
REHEARSAL = """set -e
for file in /etc/ufw/before.init /etc/ufw/after.init /etc/ufw/sysctl.conf; do
  if [ -e "$file" ]; then mount --bind /dev/null "$file"; fi
done
/lib/ufw/ufw-init start quiet >&2
for version; do echo "### rehearsed $version"; "$version" -S; done
"""


class PolicyError(Exception):
    """What went wrong on the server, for people."""


class System:
    def __init__(self, module: Any) -> None:
        self._module = module
        self._can_rehearse = True
        places = ["/usr/sbin", "/sbin"]
        self.ufw: str = module.get_bin_path("ufw", opt_dirs=places) or ""
        self.installed = bool(self.ufw)
        self.ipv6 = IF_INET6.exists()
        self.versions = (4, 6) if self.ipv6 else (4,)

    def run(self, *command: str, stdin: str | None = None) -> str:
        """Its output; a failure says what was run, what it said, and what is to be done."""
        code, out, err = self._module.run_command(list(command), data=stdin)
        if code:
            raise PolicyError(f"`{shlex.join(command)}` failed: {(err or out).strip()}")
        return str(out)

    def _ask(self, *command: str, stdin: str | None = None) -> tuple[int, str, str]:
        code, out, err = self._module.run_command(list(command), data=stdin)
        return int(code), str(out), str(err)

    # --- units ------------------------------------------------------------------------------------------------------
    def unit_enabled(self) -> bool:
        return self._ask("systemctl", "is-enabled", "ufw.service")[1].strip() == "enabled"

    def unit_active(self) -> bool:
        return self._ask("systemctl", "is-active", "ufw.service")[1].strip() == "active"

    def rivals(self) -> list[str]:
        """Other firewalls that start with the machine."""
        answers = self._ask("systemctl", "is-enabled", *RIVALS)[1].splitlines()
        # Older releases of systemd say nothing, on this channel, of a unit that is not there.
        if len(answers) != len(RIVALS):
            answers = [self._ask("systemctl", "is-enabled", rival)[1].strip() for rival in RIVALS]
        return [rival for rival, answer in zip(RIVALS, answers, strict=True) if answer == "enabled"]

    def undo_pending(self, unit: str) -> bool:
        return (TRANSIENT / f"{unit}.timer").exists()

    # --- the kernel -------------------------------------------------------------------------------------------------
    def table(self, version: int) -> Table:
        return Table.parse(self.run(IPTABLES[version], "-S"))

    def tables(self) -> dict[int, Table]:
        return {version: self.table(version) for version in self.versions}

    def closed(self) -> bool:
        """Whether what comes in is filtered already."""
        return all(table.policies.get("INPUT") == "DROP" for table in self.tables().values())

    def foreign(self) -> dict[int, list[str]]:
        return {version: foreign_in_docker_user(table) for version, table in self.tables().items()}

    def give_back(self, kept: dict[int, list[str]]) -> None:
        for version, rules in kept.items():
            there = set(self.table(version).chains.get(CHAIN, []))
            for number, rule in enumerate(rules, 1):
                if rule not in there:
                    self.run(IPTABLES[version], "-I", CHAIN, str(number), *shlex.split(rule)[2:])

    def hook(self, drift: dict[int, Drift]) -> None:
        """Docker's traffic passes DOCKER-USER first, and lists of networks that nobody uses any more are gone."""
        for version, found in drift.items():
            if found.unhooked:
                self._ask(IPTABLES[version], "-D", "FORWARD", "-j", CHAIN)
                self.run(IPTABLES[version], "-I", "FORWARD", "-j", CHAIN)
            for chain in found.stale_chains:
                self.run(IPTABLES[version], "-F", chain)
                self.run(IPTABLES[version], "-X", chain)

    # --- rehearsals -------------------------------------------------------------------------------------------------
    def drift(self) -> dict[int, Drift]:
        """How the kernel differs from what UFW would load; nothing where no network namespace can be had."""
        names = [IPTABLES[version] for version in self.versions]
        code, out, err = self._ask("unshare", "--net", "--mount", "sh", "-c", REHEARSAL, "sh", *names)
        if code:
            if not self._can_rehearse or "unshare" not in err:
                raise PolicyError(f"UFW does not start from its files: {(err or out).strip()}")
            self._can_rehearse = False
            self._module.warn(f"The kernel's rules were not compared with UFW's files: {err.strip()}")
            return {}
        parts = dict(part.split("\n", 1) for part in out.split("### rehearsed ")[1:])
        expected = {version: Table.parse(parts[IPTABLES[version]]) for version in self.versions}
        return {version: compare(self.table(version), table) for version, table in expected.items()}

    def try_block(self, text: str, version: int) -> None:
        """Load the block in a network namespace before it may replace anything."""
        program = f"{IPTABLES[version]}-restore"
        code, out, err = self._ask("unshare", "--net", program, "--noflush", stdin=text)
        if code and "unshare" not in err:
            raise PolicyError(
                f"{program} refuses the rules for Docker's ports, nothing was changed: {(err or out).strip()}. "
                f"firewall_docker_rules and firewall_docker_bridges are what goes in there from the inventory."
            )

    # --- UFW --------------------------------------------------------------------------------------------------------
    def added(self) -> list[str]:
        """The rules that people have added, in the words that UFW takes."""
        lines = self.run(self.ufw, "show", "added").splitlines()
        return [line.removeprefix("ufw ") for line in lines if line.startswith("ufw ")]
