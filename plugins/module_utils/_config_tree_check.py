# Copyright (c) 2026, Somos Infra maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Runs the checks of a tree on its staged copy."""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import dataclass
from typing import Any

from ansible_collections.somos.infra.plugins.module_utils._config_tree import Refusal

_SECONDS = 300
_PULL_SECONDS = 1800
_SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_SHORTEST_SECRET = 4
MASK = "********"


@dataclass
class Outcome:
    """How a program ended: rc is None when it did not run or did not end."""

    rc: int | None
    stdout: str
    stderr: str


def run_checks(checks: list[dict[str, Any]], stage: str, secrets: list[str], check_mode: bool) -> list[dict[str, Any]]:
    """Run every check on the staged tree; refuse the tree at the first one that fails."""
    results: list[dict[str, Any]] = []
    for check in checks:
        argv = [word.replace("{stage}", stage) for word in check["argv"]]
        missing = _missing(check, check_mode)
        if missing and check_mode:
            results.append({"argv": check["argv"], "status": "not validated", "reason": missing})
            continue
        outcome = Outcome(None, "", missing) if missing else _run(argv)
        if outcome.rc != 0:
            stdout, stderr = mask(outcome.stdout, secrets), mask(outcome.stderr, secrets)
            command = " ".join(check["argv"])
            reason = stderr.strip() or stdout.strip() or f"it printed nothing and returned {outcome.rc}"
            raise Refusal(
                f"The new tree was refused by `{command}`, and nothing was replaced: {reason}",
                argv=argv,
                rc=outcome.rc,
                stdout=stdout,
                stderr=stderr,
                validated=[*results, {"argv": check["argv"], "status": "failed"}],
            )
        results.append({"argv": check["argv"], "status": "passed"})
    return results


def _missing(check: dict[str, Any], check_mode: bool) -> str:
    """Say what this host lacks to run a check, or nothing. Outside check mode a missing image is pulled."""
    program = check["argv"][0]
    for command in dict.fromkeys((check.get("requires") or program, program)):
        if not _which(command):
            return f"the command {command} is not installed here"
    image = check.get("requires_image")
    if not image or _run([program, "image", "inspect", "--format", "{{.Id}}", image]).rc == 0:
        return ""
    if check_mode:
        return f"{program} has no image {image} here yet"
    pulled = _run([program, "pull", "--quiet", image], _PULL_SECONDS)
    return "" if pulled.rc == 0 else f"{program} cannot pull the image {image}: {pulled.stderr.strip()}"


def _which(command: str) -> str | None:
    return shutil.which(command, path=_SYSTEM_PATH) or shutil.which(command)


def _run(argv: list[str], seconds: float | None = None) -> Outcome:
    try:
        done = subprocess.run(
            [_which(argv[0]) or argv[0], *argv[1:]],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
            cwd="/",
            encoding="utf-8",
            errors="replace",
            timeout=seconds or _SECONDS,
        )
    except subprocess.TimeoutExpired:
        return Outcome(None, "", f"it has not ended within {seconds or _SECONDS} s")
    return Outcome(done.returncode, done.stdout, done.stderr)


def mask(text: str, secrets: list[str]) -> str:
    """Hide every line and every word of the secret files in a check's output: checks like to quote what they read."""
    hidden: set[str] = set()
    for secret in secrets:
        hidden.update(line.strip() for line in secret.splitlines())
        hidden.update(re.split(r"""[\s"'`=:,;<>{}()\[\]]+""", secret))
    # The longest first, so that a secret that contains another one is not left half legible.
    for word in sorted((word for word in hidden if len(word) >= _SHORTEST_SECRET), key=len, reverse=True):
        text = text.replace(word, MASK)
    return text
