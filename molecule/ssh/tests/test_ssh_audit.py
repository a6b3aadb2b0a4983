"""The judgement of ssh-audit, an instrument that is not ours: no failure, no warning, its policy passed."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from ssh_audit.builtin_policies import BUILTIN_POLICIES

# ssh-audit 3.3 has no policy for OpenSSH 10 yet; Debian 13 is held to the newest.
NEWEST = "Hardened OpenSSH Server v9.9 (version 1)"
DEBIAN12 = "Hardened OpenSSH Server v9.2 (version 3)"
# Debian 12 has the cure of the Terrapin attack, and says so among its key exchanges. The policy for OpenSSH 9.2 is
# older than the cure, and cannot be met to the letter by any server that has it.
TERRAPIN = "kex-strict-s-v00@openssh.com"


def audit(address: str, *options: str) -> str:
    argv = [sys.executable, "-m", "ssh_audit", "--no-colors", *options, f"{address}:2222"]
    return subprocess.run(argv, capture_output=True, text=True, timeout=240, check=False).stdout


@pytest.fixture
def policy(tmp_path: Path) -> list[str]:
    """The built-in policy for this sshd, and for Debian 12 the same with the marker it cannot know."""
    if os.environ["MOLECULE_SCENARIO_NAME"] == "ssh":
        return ["--policy", NEWEST]
    known = BUILTIN_POLICIES[DEBIAN12]
    lines = [
        *('name = "OpenSSH 9.2 with the cure of Terrapin"', "version = 1"),
        f"host keys = {', '.join(known['host_keys'])}",
        f"optional host keys = {', '.join(known['optional_host_keys'])}",
        # Debian 12 has the final name of this key exchange as well.
        f"key exchanges = {', '.join(['sntrup761x25519-sha512', *known['kex'], TERRAPIN])}",
        f"ciphers = {', '.join(known['ciphers'])}",
        f"macs = {', '.join(known['macs'])}",
        f"host_key_sizes = {json.dumps(known['hostkey_sizes'])}",
        f"dh_modulus_sizes = {json.dumps(known['dh_modulus_sizes'])}",
    ]
    path = tmp_path / "policy"
    path.write_text("\n".join(lines) + "\n")
    return ["--policy", str(path)]


def test_nothing_fails_and_nothing_is_warned_of(address: str) -> None:
    report = audit(address)
    assert "# key exchange algorithms" in report, report
    assert re.findall(r".*\[(?:fail|warn)\].*", report) == []


def test_the_policy_for_hardened_servers_is_passed(address: str, policy: list[str]) -> None:
    report = audit(address, *policy)
    assert "Passed" in report, report
