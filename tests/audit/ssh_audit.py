"""ssh-audit, from Debian, from outside."""

from __future__ import annotations

import json
import re
from typing import Any

from tests.host.shell import HostError

from .report import Figure, Measured
from .servers import AUDITOR, Audited, outside

PORT = 2222
KINDS = ("kex", "key", "enc", "mac")
# ssh-audit has a policy for each release of OpenSSH up to this one; for a newer sshd the last one counts.
NEWEST_POLICY = (9, 9)
# A policy knows its release as upstream published it. Debian 12 added to 9.2 the cure of the Terrapin attack, which
# shows among the key exchanges and cannot be switched off, and the final name of one that the policy asks for.
BACKPORTED = {"kex-strict-s-v00@openssh.com", "sntrup761x25519-sha512"}


def measure(server: Audited) -> Measured:
    address = f"{server.address}:{PORT}"
    # Without its test of how many connections a second are answered: that is a flood, and sshd would shut it out.
    scan = answer(outside("ssh-audit", "--json", "--skip-rate-test", address, address=AUDITOR).stdout)
    policies = outside("ssh-audit", "--list-policies", "--no-colors").stdout.decode()
    policy = policy_for(policies, scan["banner"]["software"])
    judged = answer(outside("ssh-audit", "--json", f"--policy={policy}", address, address=AUDITOR).stdout)
    counts = count(scan)
    passed, more = verdict(judged)
    figures = [
        Figure(server.name, "ssh-audit", "fail", len(counts["fail"]), "<=", 0),
        Figure(server.name, "ssh-audit", "warn", len(counts["warn"]), "<=", 0),
        Figure(
            server.name,
            "ssh-audit",
            policy.partition(" (")[0] + (" and back-ports" if more else ""),
            passed,
            "==",
            True,
        ),
    ]
    details = {
        "software": scan["banner"]["software"],
        **counts,
        "policy": policy,
        "errors": judged["errors"],
        "back-ports": more,
    }
    return Measured(figures, details)


def answer(output: bytes) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads(output)
    except json.JSONDecodeError as error:
        raise HostError(f"ssh-audit did not get an answer: {output.decode(errors='replace')[-500:]}") from error
    return found


def count(scan: dict[str, Any]) -> dict[str, list[str]]:
    """Algorithms by the worst that is said of them, each once: one with a failure and a warning is a failure."""
    algorithms = [entry for kind in KINDS for entry in scan[kind]]
    fail = [entry["algorithm"] for entry in algorithms if entry["notes"].get("fail")]
    warn = [entry["algorithm"] for entry in algorithms if entry["notes"].get("warn") and not entry["notes"].get("fail")]
    return {"fail": fail, "warn": warn}


def verdict(judged: dict[str, Any]) -> tuple[bool, list[str]]:
    """Whether the policy is met, and what the distribution has added to the release if that alone stands between."""
    if judged["passed"]:
        return True, []
    for error in judged["errors"]:
        rest = [name for name in error["actual"] if name not in BACKPORTED]
        if error["mismatched_field"] != "Key exchanges" or rest != error["expected_required"]:
            return False, []
    return True, sorted({name for error in judged["errors"] for name in error["actual"]} & BACKPORTED)


def policy_for(policies: str, software: str) -> str:
    """The full name of the policy "Hardened OpenSSH Server" of that release, as the list of policies has it."""
    found = re.search(r"OpenSSH_(\d+)\.(\d+)", software)
    if not found:
        raise HostError(f"this is not OpenSSH: {software}")
    major, minor = min((int(found[1]), int(found[2])), NEWEST_POLICY)
    name = re.search(rf'"(Hardened OpenSSH Server v{major}\.{minor} \(version \d+\))"', policies)
    if not name:
        raise HostError(f"ssh-audit has no policy for OpenSSH {major}.{minor}")
    return name[1]
