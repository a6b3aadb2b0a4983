# Copyright (c) 2026, Somos Infra maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What an sshd can do, and whether its keys and moduli are long enough: OpenSSH's words in, judgements out."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

# Which list of `ssh -Q` a keyword chooses from. It is that of the same source as the sshd beside it.
QUERIES = {
    "KexAlgorithms": "kex",
    "Ciphers": "cipher",
    "MACs": "mac",
    "HostKeyAlgorithms": "key-sig",
    "PubkeyAcceptedAlgorithms": "key-sig",
    "HostbasedAcceptedAlgorithms": "key-sig",
    "CASignatureAlgorithms": "key-sig",
    "GSSAPIKexAlgorithms": "kex-gss",
}


class SshdError(ValueError):
    """Something that would leave sshd without a way to work; the message says what to do."""


class HostKey(NamedTuple):
    """A host key as `ssh-keygen -l` shows it."""

    bits: int
    fingerprint: str
    kind: str


def keywords(effective: str) -> list[str]:
    """The keywords that this sshd knows, in lower case, out of what `sshd -T` prints."""
    return sorted({line.split(maxsplit=1)[0].lower() for line in effective.splitlines() if line.strip()})


def choose(
    audited: Mapping[str, Sequence[str]], known: Iterable[str], offered: Mapping[str, Sequence[str]]
) -> dict[str, list[str]]:
    """For each keyword that this sshd knows, the audited algorithms that it has, in the audited order.

    `offered` are the lists of `ssh -Q`, by the names of QUERIES.
    """
    known = set(known)
    chosen: dict[str, list[str]] = {}
    for keyword, wanted in audited.items():
        if keyword not in QUERIES:
            raise SshdError(f"{keyword} is not a list of algorithms; those are: {', '.join(QUERIES)}")
        if keyword.lower() not in known:
            continue
        available = offered.get(QUERIES[keyword], ())
        kept = [name for name in dict.fromkeys(wanted) if name in available]
        if not kept:
            raise SshdError(
                f"{keyword}: this sshd has none of {', '.join(wanted) or 'the empty list'}. "
                f"It has: {', '.join(available)}. Name at least one of them"
            )
        chosen[keyword] = kept
    return chosen


def host_key(listed: str) -> HostKey:
    """Read `3072 SHA256:… comment (RSA)`."""
    found = re.match(r"(?P<bits>\d+) (?P<fingerprint>\S+) .*\((?P<kind>[\w-]+)\)\s*\Z", listed.strip())
    if not found:
        raise SshdError(f"ssh-keygen describes a host key as {listed.strip()!r}, which is not understood")
    return HostKey(int(found["bits"]), found["fingerprint"], found["kind"])


def pins_host_keys(dropin: str) -> bool:
    """Whether a configuration names its host keys: then clients have been told of them, and they stay."""
    return re.search(r"^\s*HostKey\s", dropin, re.MULTILINE | re.IGNORECASE) is not None


def strong_moduli(text: str, bits: int) -> str:
    """The lines of /etc/ssh/moduli whose group has at least so many bits, comments included."""
    kept, groups = [], 0
    for line in text.splitlines(keepends=True):
        fields = line.split()
        if not fields or fields[0].startswith("#"):
            kept.append(line)
        # The fifth field is the size of the modulus without its first bit.
        elif len(fields) == 7 and fields[4].isdigit() and int(fields[4]) + 1 >= bits:
            kept.append(line)
            groups += 1
    if not groups:
        raise SshdError(
            f"not one group has {bits} bits or more: sshd would fall back to a built-in one. "
            "Restore the file from the package openssh-server"
        )
    return "".join(kept)
