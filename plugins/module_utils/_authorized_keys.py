# Copyright (c) 2026, Somos Infra maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which keys an account is to keep, and with which one we came in."""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Iterable
from pathlib import Path

_KEY = re.compile(r"(?:^|\s)(?:ssh|ecdsa|sk-ssh|sk-ecdsa)-[a-z0-9@.-]+ (AAAA[A-Za-z0-9+/]+={0,2})(?:\s|$)")


def body(line: str) -> str | None:
    """The key itself, without options and comment; none for comments and empty lines."""
    found = None if line.lstrip().startswith("#") else _KEY.search(line)
    return found[1] if found else None


def fingerprint(key: str) -> str:
    """As sshd writes it into the log."""
    try:
        digest = hashlib.sha256(base64.b64decode(key)).digest()
    except binascii.Error:
        return ""
    return "SHA256:" + base64.b64encode(digest).decode().rstrip("=")


def wanted_lines(present: Iterable[str], wanted: Iterable[str], in_use: str | None) -> tuple[list[str], list[str]]:
    """The lines that the file is to have, and those of them that stay only because they may be the way in.

    `in_use` is the fingerprint of the key of this connection; empty if nobody knows it, none if it is no concern here
    because nothing would be removed.
    """
    lines = list(dict.fromkeys(line.strip() for line in wanted if line.strip()))
    bodies = {body(line) for line in lines}
    extra = [line.strip() for line in present if body(line) and body(line) not in bodies]
    if in_use in {fingerprint(key) for key in bodies if key}:
        # We came in with one of the wanted keys: they are proven.
        return lines, []
    kept = [line for line in extra if not in_use or fingerprint(body(line) or "") == in_use]
    return lines + kept, kept


def connection(proc: Path, process: int) -> str:
    """SSH_CONNECTION of the session that started this process, from the environment of its ancestors."""
    seen: set[int] = set()
    while process > 1 and process not in seen:
        seen.add(process)
        try:
            environment = (proc / str(process) / "environ").read_bytes()
            status = (proc / str(process) / "status").read_text()
        except OSError:
            break
        for entry in environment.split(b"\0"):
            if entry.startswith(b"SSH_CONNECTION="):
                return entry.removeprefix(b"SSH_CONNECTION=").decode()
        parent = re.search(r"^PPid:\s+(\d+)", status, re.M)
        process = int(parent[1]) if parent else 0
    return ""


def key_in_use(journal: str, ssh_connection: str) -> str:
    """Fingerprint of the key with which a connection was opened, from sshd's log; empty if it does not say."""
    fields = ssh_connection.split()
    if len(fields) != 4:
        return ""
    accepted = re.compile(rf"Accepted publickey for \S+ from {re.escape(fields[0])} port {fields[1]} .*(SHA256:\S+)")
    found = [match[1] for match in map(accepted.search, journal.splitlines()) if match]
    return found[-1] if found else ""
