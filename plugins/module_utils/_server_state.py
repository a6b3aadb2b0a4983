# Copyright (c) 2026, Somos Infra maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a role has to know about a server before it changes it, read from files alone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

# What keeps the time, by its unit, and a file that only its package brings. They exclude each other in Debian.
TIME_DAEMONS = {
    "chrony": "usr/sbin/chronyd",
    "ntpsec": "usr/lib/systemd/system/ntpsec.service",
    "ntp": "usr/lib/systemd/system/ntp.service",
    "openntpd": "usr/lib/systemd/system/openntpd.service",
    "systemd-timesyncd": "usr/lib/systemd/systemd-timesyncd",
}
_RTF_ADDRCONF = 0x0004_0000
_NOWHERE = "0" * 32


def read(root: Path, name: str) -> str:
    """The text of a file, empty when there is none."""
    try:
        return (root / name).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def members(groups: str, name: str) -> list[str]:
    """The members of a group, from the text of /etc/group."""
    for line in groups.splitlines():
        fields = line.split(":")
        if len(fields) == 4 and fields[0] == name:
            return sorted(filter(None, fields[3].split(",")))
    return []


def installed(status: str) -> list[str]:
    """The packages that dpkg has installed, from the text of its status file."""
    return sorted(set(_installed(status)))


def _installed(status: str) -> Iterator[str]:
    for paragraph in status.split("\n\n"):
        if "\nStatus: install ok installed" in paragraph or "\nStatus: hold ok installed" in paragraph:
            yield paragraph.strip().splitlines()[0].removeprefix("Package: ")


def needs_router_advertisements(routes: str) -> bool:
    """Whether the kernel has learned its way to the Internet from a router, from the text of /proc/net/ipv6_route.

    Where it has, a server that stops listening loses IPv6 when the route expires, and with it perhaps the operator.
    """
    for line in routes.splitlines():
        fields = line.split()
        # Destination, prefix length, source, its length, gateway, metric, two counters, flags, interface.
        if len(fields) == 10 and fields[0] == _NOWHERE and fields[1] == "00" and int(fields[8], 16) & _RTF_ADDRCONF:
            return True
    return False


def time_daemons(root: Path) -> list[str]:
    """The packages that keep the time here."""
    return [package for package, program in TIME_DAEMONS.items() if (root / program).exists()]
