# Copyright (c) 2026, Somos Infra maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filter refused_ssh_keys: documented in refused_ssh_keys.yml beside this file."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Collection, Iterable
from typing import Any

from ansible.errors import AnsibleFilterError

# Options may come first and hold spaces; the blob of every key begins with the length of its type's name.
_KEY = re.compile(r"(?:^|\s)(?P<type>(?:sk-)?(?:ssh|ecdsa)-\S+)\s+(?P<blob>AAAA\S+)(?:\s+(?P<comment>.*))?$")
# An RSA key is the same whatever hash it signs with; every other key's type is the name of its signature.
_SIGNATURES = {
    "ssh-rsa": {"ssh-rsa", "rsa-sha2-256", "rsa-sha2-512"},
    "ssh-rsa-cert-v01@openssh.com": {"rsa-sha2-256-cert-v01@openssh.com", "rsa-sha2-512-cert-v01@openssh.com"},
}


def refused_ssh_keys(keys: Iterable[str], algorithms: Collection[str], rsa_bits: int) -> list[str]:
    refused = []
    for line in keys:
        found = _KEY.search(str(line).strip())
        if not found:
            continue
        kind, name = found["type"], found["comment"] or f"{found['blob'][:12]}…{found['blob'][-8:]}"
        if not _SIGNATURES.get(kind, {kind}) & set(algorithms):
            refused.append(f"{name} ({kind})")
        elif kind == "ssh-rsa" and (bits := _modulus_bits(found["blob"], name)) < int(rsa_bits):
            refused.append(f"{name} (RSA of {bits} bits)")
    return refused


def _modulus_bits(blob: str, name: str) -> int:
    """RFC 4253, section 6.6: the type's name, the exponent and the modulus, each after its length in four bytes."""
    try:
        data = base64.b64decode(blob, validate=True)
    except binascii.Error as error:
        raise AnsibleFilterError(
            f"refused_ssh_keys: the key {name} is not whole ({error}): copy the .pub file"
        ) from error
    fields: list[bytes] = []
    while data:
        end = 4 + int.from_bytes(data[:4], "big")
        fields.append(data[4:end])
        if len(data) < end:
            break
        data = data[end:]
    if len(fields) != 3 or data:
        raise AnsibleFilterError(f"refused_ssh_keys: the key {name} is not whole: copy the .pub file again")
    return int.from_bytes(fields[2], "big").bit_length()


class FilterModule:
    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"refused_ssh_keys": refused_ssh_keys}
