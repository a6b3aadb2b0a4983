# Copyright (c) 2026, Somos Infra maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which systemctl commands make a unit run with the configuration that lies on disk."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

PROPERTIES = ("LoadState", "ActiveState", "UnitFileState", "NeedDaemonReload", "DropInPaths")


@dataclass(frozen=True)
class Unit:
    """What systemd says of a unit."""

    name: str
    installed: bool
    active: bool
    enabled: bool
    stale: bool

    @classmethod
    def parse(cls, name: str, text: str, drop_ins: Sequence[str] = ()) -> Unit:
        """Read the output of `systemctl show --property=…`; `drop_ins` are the unit's on disk.

        systemd 252 does not notice the first drop-in of a unit by itself.
        """
        values: Mapping[str, str] = dict(line.split("=", 1) for line in text.splitlines() if "=" in line)
        return cls(
            name=name,
            installed=values.get("LoadState") not in (None, "", "not-found"),
            active=values.get("ActiveState") in ("active", "reloading"),
            # "static", "generated" and the like start by other means; there is nothing to enable.
            enabled=values.get("UnitFileState") not in ("disabled", ""),
            stale=values.get("NeedDaemonReload") == "yes"
            or not set(drop_ins) <= set(values.get("DropInPaths", "").split()),
        )


def plan(unit: Unit, replaced: list[Unit], apply: str, read: str | None, wanted: str) -> list[list[str]]:
    """The systemctl commands still missing, in an order that leaves a way back in wherever it is cut off.

    `read` is the hash of what the unit read last, if that is known, and `wanted` of what it is to have read.
    """
    rivals = [rival for rival in replaced if rival.installed and (rival.active or rival.enabled)]
    commands = []
    if unit.stale:
        commands.append(["daemon-reload"])
    if not unit.enabled:
        # First of all: a restart of the machine in the middle must find either the old unit or the new one.
        commands.append(["enable", unit.name])
    commands += [["disable", "--now", rival.name] for rival in rivals]
    if not unit.active:
        commands.append(["start", unit.name])
    elif rivals or read is None:
        # The process may hold a socket that another unit opened for it; a reload would keep that socket.
        commands.append(["restart", unit.name])
    elif read != wanted:
        commands.append([apply, unit.name])
    return commands
