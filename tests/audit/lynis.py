"""Lynis, from Debian, inside the server."""

from __future__ import annotations

import re
from typing import Any

from .report import Figure, Measured
from .servers import Audited

GOAL = 86
REPORT = "/var/log/lynis-report.dat"


def measure(server: Audited) -> Measured:
    server.install("lynis")
    # Its exit code counts warnings; the report says all that matters.
    server.run("lynis audit system --quick --no-colors", check=False)
    found = parse(server.run(f"cat {REPORT}"))
    figures = [
        Figure(server.name, "lynis", "hardening index", found["hardening_index"], ">=", GOAL),
        Figure(server.name, "lynis", "warnings", len(found["warnings"])),
        Figure(server.name, "lynis", "suggestions", len(found["suggestions"])),
    ]
    return Measured(figures, found)


def parse(report: str) -> dict[str, Any]:
    """`key=value` lines; a key that ends in [] repeats, with fields between bars."""
    return {
        "version": one(report, "lynis_version"),
        "hardening_index": int(one(report, "hardening_index")),
        "tests": int(one(report, "lynis_tests_done")),
        "warnings": many(report, "warning"),
        "suggestions": many(report, "suggestion"),
    }


def one(report: str, key: str) -> str:
    found = re.search(rf"^{key}=(.*)$", report, re.MULTILINE)
    if not found:
        raise ValueError(f"Lynis' report has no {key}")
    return found[1]


def many(report: str, key: str) -> list[str]:
    """Each as `TEST-ID words (details)`."""
    found = []
    for line in re.findall(rf"^{key}\[\]=(.*)$", report, re.MULTILINE):
        identity, words, *rest = line.split("|")
        detail = next((field for field in rest if field not in ("", "-")), "")
        found.append(f"{identity} {words}" + (f" ({detail})" if detail else ""))
    return found
