#!/usr/bin/python
# Copyright (c) 2026, Somos Infra maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: sshd_host
short_description: Host keys, moduli and file modes of an SSH server, and what its sshd can do
version_added: 0.1.0
author: Somos Infra maintainers (@somos-infra)
description:
  - Puts in order what sshd's configuration rests on, and returns what the configuration may ask of this release.
  - It writes no configuration and restarts nothing.
options:
  algorithms:
    description:
      - For each keyword of sshd's configuration the algorithms that may be used, the best first.
      - Those that this sshd does not have, and keywords that it does not know, are left out of RV(algorithms).
    type: dict
    required: true
  rsa_bits:
    description: Length of an RSA host key that has to be made.
    type: int
    default: 4096
  rsa_bits_min:
    description: An RSA host key shorter than this is weak.
    type: int
    default: 3072
  replace_rsa:
    description:
      - Whether an RSA host key may be replaced. Say so only when the client that runs this knows another host key.
      - A weak key is replaced then. As long as O(dropin) does not name the host keys, so is one shorter than
        O(rsa_bits), because nobody but the person who set the server up has met it yet.
      - A key is never replaced otherwise, since its clients would be warned of an attack.
    type: bool
    default: false
  moduli_bits:
    description: Groups for the Diffie-Hellman exchange that are smaller than this are taken out of C(moduli).
    type: int
    default: 3072
  dropin:
    description: The configuration that names the host keys once they are settled.
    type: path
    required: true
  directory:
    description: Where sshd keeps its files.
    type: path
    default: /etc/ssh
attributes:
  check_mode:
    description: Can run in C(check_mode) and return changed status prediction without modifying target.
    support: full
  diff_mode:
    description: Names the keys, modes and groups that change.
    support: full
"""

EXAMPLES = r"""
- name: Put host keys and moduli in order
  somos.infra.sshd_host:
    algorithms:
      KexAlgorithms: [mlkem768x25519-sha256, curve25519-sha256]
    dropin: /etc/ssh/sshd_config.d/00-somos.conf
  register: __ssh_sshd
"""

RETURN = r"""
algorithms:
  description: The algorithms asked for that this sshd has, by keyword, in the order asked for.
  returned: success
  type: dict
keywords:
  description: Every keyword that this sshd knows, in lower case.
  returned: success
  type: list
  elements: str
host_keys:
  description: The private host keys that are worth offering.
  returned: success
  type: list
  elements: str
fingerprints:
  description: The fingerprint of each of RV(host_keys); empty for a key that is still to be made.
  returned: success
  type: list
  elements: str
"""

import os
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.somos.infra.plugins.module_utils._sshd import (
    QUERIES,
    SshdError,
    choose,
    host_key,
    keywords,
    pins_host_keys,
    strong_moduli,
)

KINDS = ("rsa", "ed25519")


class Host:
    """The files of one server, changed unless they are only looked at."""

    def __init__(self, module: AnsibleModule) -> None:
        self.module, self.dry = module, module.check_mode
        self.directory = Path(module.params["directory"])
        self.before: list[str] = []
        self.after: list[str] = []

    def ask(self, *argv: str) -> str:
        status, text, error = self.module.run_command(list(argv))
        if status:
            raise SshdError(f"`{' '.join(argv)}` failed: {error.strip() or text.strip()}")
        return str(text)

    def offer(self) -> tuple[list[str], dict[str, list[str]]]:
        """Keywords and algorithms of this release, whatever its configuration looks like."""
        sshd = self.module.get_bin_path("sshd", opt_dirs=["/usr/sbin"])
        if sshd is None and self.dry:
            return [], {}
        if sshd is None:
            raise SshdError("there is no sshd on this server: install openssh-server")
        known = keywords(self.ask(sshd, "-T", "-f", "/dev/null"))
        wanted = self.module.params["algorithms"]
        queries = {QUERIES[name] for name in wanted if name in QUERIES and name.lower() in known}
        lists = {query: self.ask("ssh", "-Q", query).split() for query in sorted(queries)}
        return known, choose(wanted, known, lists)

    def keys(self) -> list[tuple[Path, str]]:
        """Make the host keys that are missing or may go, and return those worth offering with their fingerprints."""
        return [(self.directory / f"ssh_host_{kind}_key", self._key(kind)) for kind in KINDS]

    def _key(self, kind: str) -> str:
        path = self.directory / f"ssh_host_{kind}_key"
        if not path.exists():
            return self._make(path, kind, "none")
        # First of all: ssh-keygen describes a key by its public half, if there is one.
        self._publish(path)
        key = host_key(self.ask("ssh-keygen", "-l", "-f", str(path)))
        if kind != "rsa" or key.bits >= self._rsa_bits():
            return key.fingerprint
        if not self.module.params["replace_rsa"]:
            if key.bits < self.module.params["rsa_bits_min"]:
                self.module.warn(f"the host key {path} has only {key.bits} bits; it is replaced by a later step or run")
            return key.fingerprint
        made = self._make(path, kind, f"{key.bits} bits, {key.fingerprint}")
        self.module.warn(
            f"the RSA host key {path} had {key.bits} bits and {'would be' if self.dry else 'was'} replaced: "
            f"{key.fingerprint} became {made or 'a new one'}. Who knows the server by its Ed25519 key notices nothing; "
            "anybody else has to forget the old key (ssh-keygen -R)"
        )
        return made

    def _rsa_bits(self) -> int:
        """How long the RSA key has to be to stay: settled keys are only replaced when they are weak."""
        dropin = Path(self.module.params["dropin"])
        settled = dropin.exists() and pins_host_keys(dropin.read_text())
        return int(self.module.params["rsa_bits_min" if settled else "rsa_bits"])

    def _make(self, path: Path, kind: str, before: str) -> str:
        made = ""
        if not self.dry:
            draft = path.with_name(f".{path.name}.new")
            draft.unlink(missing_ok=True)
            size = ["-b", str(self.module.params["rsa_bits"])] if kind == "rsa" else []
            # No passphrase: sshd reads the key alone. The comment says whose it is.
            comment = f"root@{os.uname().nodename}"
            self.ask("ssh-keygen", "-q", "-t", kind, *size, "-N", "", "-C", comment, "-f", str(draft))
            made = host_key(self.ask("ssh-keygen", "-l", "-f", str(draft))).fingerprint
            # sshd refuses a private key whose public half is another one, but does without a public half.
            self._public(path).unlink(missing_ok=True)
            draft.replace(path)
            self._public(draft).replace(self._public(path))
        self.before.append(f"{path}: {before}")
        self.after.append(f"{path}: {made or 'a new key'}")
        return made

    def _publish(self, path: Path) -> None:
        """Write the public half that is missing or belongs to another key, as after a run that was cut off."""
        public = self._public(path)
        if self.dry and path.stat().st_mode & 0o077:
            return
        wanted = self.ask("ssh-keygen", "-y", "-P", "", "-f", str(path)).split()[:2]
        if public.exists() and public.read_text().split()[:2] == wanted:
            return
        self.before.append(f"{public}: not the public half of {path}")
        self.after.append(f"{public}: {' '.join(wanted)}")
        if not self.dry:
            self._write(public, f"{' '.join(wanted)} root@{os.uname().nodename}\n")

    @staticmethod
    def _public(path: Path) -> Path:
        return path.with_name(f"{path.name}.pub")

    def moduli(self) -> None:
        """Take the small groups out. A release without the file uses built-in groups, which are large enough."""
        path, bits = self.directory / "moduli", self.module.params["moduli_bits"]
        if not path.exists():
            return
        text = path.read_text()
        try:
            strong = strong_moduli(text, bits)
        except SshdError as error:
            raise SshdError(f"{path}: {error}") from error
        if strong == text:
            return
        small = len(text.splitlines()) - len(strong.splitlines())
        self.before.append(f"{path}: {small} groups of less than {bits} bits")
        self.after.append(f"{path}: none")
        if not self.dry:
            self._write(path, strong)

    def modes(self) -> None:
        """Only root reads the configuration and the private keys; the public halves are for everybody."""
        secret = [*self.directory.glob("ssh_host_*_key"), self.directory / "sshd_config"]
        secret += sorted(self.directory.glob("sshd_config.d/*.conf"))
        for path, mode in [*((path, 0o600) for path in secret), *((path, 0o644) for path in self._publics())]:
            if path.exists():
                self._mode(path, mode)

    def _publics(self) -> list[Path]:
        return sorted(self.directory.glob("ssh_host_*_key.pub"))

    def _mode(self, path: Path, mode: int) -> None:
        status = path.stat()
        if (status.st_mode & 0o7777, status.st_uid, status.st_gid) == (mode, os.geteuid(), os.getegid()):
            return
        self.before.append(f"{path}: {status.st_uid}:{status.st_gid} {status.st_mode & 0o7777:04o}")
        self.after.append(f"{path}: {os.geteuid()}:{os.getegid()} {mode:04o}")
        if not self.dry:
            os.chown(path, os.geteuid(), os.getegid())
            path.chmod(mode)

    @staticmethod
    def _write(path: Path, text: str) -> None:
        draft = path.with_name(f".{path.name}.new")
        with draft.open("w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        draft.chmod(0o644)
        draft.replace(path)


def main() -> None:
    """Look, put in order, report."""
    module = AnsibleModule(
        {
            "algorithms": {"type": "dict", "required": True},
            "rsa_bits": {"type": "int", "default": 4096},
            "rsa_bits_min": {"type": "int", "default": 3072},
            "replace_rsa": {"type": "bool", "default": False},
            "moduli_bits": {"type": "int", "default": 3072},
            "dropin": {"type": "path", "required": True},
            "directory": {"type": "path", "default": "/etc/ssh"},
        },
        supports_check_mode=True,
    )
    host = Host(module)
    try:
        # What this sshd cannot do comes first: then nothing has been changed when it stops here.
        known, algorithms = host.offer()
        # ssh-keygen reads no private key that others could read.
        host.modes()
        keys = host.keys() if known else []
        host.moduli()
    except SshdError as error:
        module.fail_json(msg=f"{module.params['directory']}: {error}")
    module.exit_json(
        changed=bool(host.after) or not known,
        keywords=known,
        algorithms=algorithms,
        host_keys=[str(path) for path, _ in keys],
        fingerprints=[fingerprint for _, fingerprint in keys],
        diff={
            "before": "".join(f"{line}\n" for line in host.before),
            "after": "".join(f"{line}\n" for line in host.after),
        },
    )


if __name__ == "__main__":
    main()
