# Copyright (c) 2026, Somos Infra maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a role has to know about a server before it changes it, read from files alone."""

from __future__ import annotations

import re
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
# accept_ra: 1 listens to routers until the server forwards packets itself, 2 also then (ip-sysctl.txt).
LISTEN_ALWAYS = "2"
# Not interfaces, or Docker's: where 2 is the default, they have it too.
_NO_UPLINK = re.compile(r"all|default|lo|docker.*|br-.*|veth.*")


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


def router_interfaces(root: Path) -> list[str]:
    """The interfaces on which the kernel learns its way to the Internet from a router (IPv6), by name.

    A server that stops listening there loses IPv6 when the route expires, and with it perhaps the operator. An
    interface that was told to listen whatever happens counts as well: its route may be missing at this very moment.
    """
    learned = _learned_default_routes(read(root, "proc/net/ipv6_route"))
    settings = (root / "proc/sys/net/ipv6/conf").glob("*/accept_ra")
    told = {path.parent.name for path in settings if read(path.parent, path.name).strip() == LISTEN_ALWAYS}
    return sorted(name for name in {*learned, *told} if not _NO_UPLINK.fullmatch(name))


def deaf_router_interfaces(root: Path) -> list[str]:
    """Of these, the ones that stop listening as soon as the server forwards packets for others."""
    interfaces = router_interfaces(root)
    listens = {name: read(root, f"proc/sys/net/ipv6/conf/{name}/accept_ra").strip() for name in interfaces}
    return [name for name, setting in listens.items() if setting != LISTEN_ALWAYS]


def _learned_default_routes(routes: str) -> Iterator[str]:
    for line in routes.splitlines():
        fields = line.split()
        # Destination, prefix length, source, its length, gateway, metric, two counters, flags, interface.
        if len(fields) == 10 and fields[0] == _NOWHERE and fields[1] == "00" and int(fields[8], 16) & _RTF_ADDRCONF:
            yield fields[9]


def time_daemons(root: Path) -> list[str]:
    """The packages that keep the time here."""
    return [package for package, program in TIME_DAEMONS.items() if (root / program).exists()]
