# Copyright (c) 2026, Somos Infra maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Kernel settings as files below /proc/sys: compare what is wanted with what runs, and write the difference."""

from __future__ import annotations

import errno
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

_PORT_LISTS = {"net.ipv4.ip_local_reserved_ports"}


@dataclass
class Comparison:
    """Settings by what is to become of them; the values are texts in the kernel's own notation."""

    before: dict[str, str] = field(default_factory=dict)
    after: dict[str, str] = field(default_factory=dict)
    absent: list[str] = field(default_factory=list)


def path_of(key: str, root: Path) -> Path:
    """`net.ipv4.ip_forward`, or `net/ipv4/conf/eth0.100/rp_filter` for names with a dot, as sysctl(8) reads them."""
    first = re.search(r"[./]", key)
    name = key if first and first.group() == "/" else key.translate(str.maketrans("./", "/."))
    if not name or name.startswith("/") or ".." in name.split("/"):
        raise ValueError(f"{key!r} is not the name of a kernel setting")
    return root / name


def canonical(key: str, value: Any) -> str:
    """The value as the kernel prints it, so that equal settings compare equal."""
    if key.replace("/", ".") in _PORT_LISTS:
        return ",".join(_ranges(sorted(set(_ports(str(value))))))
    return " ".join(str(value).split())


def compare(settings: Mapping[str, Any], root: Path) -> Comparison:
    """Which settings differ in the running kernel, and which it does not have."""
    comparison = Comparison()
    for key, value in _expanded(settings, root):
        try:
            live = canonical(key, path_of(key, root).read_text())
        except FileNotFoundError:
            comparison.absent.append(key)
            continue
        wanted = canonical(key, value)
        if live != wanted:
            comparison.before[key] = live
            comparison.after[key] = wanted
    return comparison


def _expanded(settings: Mapping[str, Any], root: Path) -> Iterator[tuple[str, Any]]:
    """A star, as in `net.ipv4.conf.*.send_redirects`, is every interface that is there without a setting of its own."""
    for key, value in sorted(settings.items()):
        if "*" not in key:
            yield key, value
            continue
        for path in sorted(root.glob(str(path_of(key, Path())))):
            # Names of interfaces have dots, hence the other way of writing a setting.
            name = str(path.relative_to(root))
            if name not in settings and name.replace("/", ".") not in settings:
                yield name, value


def write(settings: Mapping[str, str], root: Path) -> list[str]:
    """Write the settings and return those that this machine keeps to itself, as containers' hosts do."""
    refused = []
    for key, value in settings.items():
        try:
            path_of(key, root).write_text(f"{value}\n")
        except OSError as error:
            if error.errno not in (errno.EACCES, errno.EPERM, errno.EROFS):
                raise ValueError(f"the kernel does not take {key} = {value}: {error.strerror}") from error
            refused.append(key)
    return refused


def _ports(text: str) -> Iterator[int]:
    for part in re.split(r"[,\s]+", text.strip()):
        if part:
            first, _, last = part.partition("-")
            yield from range(int(first), int(last or first) + 1)


def _ranges(ports: list[int]) -> Iterator[str]:
    start = 0
    for index, port in enumerate(ports):
        if index + 1 == len(ports) or ports[index + 1] != port + 1:
            yield str(port) if ports[start] == port else f"{ports[start]}-{port}"
            start = index + 1
