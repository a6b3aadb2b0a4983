"""OpenSCAP of Debian 12 inside the Debian 12 server, with the rules that Debian packages for Debian 12."""

from __future__ import annotations

import re
from typing import Any

from .report import Figure, Measured
from .servers import Audited, copy_from_auditor

# Debian 12's own ssg-debian ends at Debian 11; the data for Debian 12 are in the package of Debian 13.
PACKAGED = "/usr/share/xml/scap/ssg/content/ssg-debian12-ds.xml"
DATA = "/root/ssg-debian12-ds.xml"
RESULTS = "/root/openscap-results.xml"
PREFIX = "xccdf_org.ssgproject.content_"
JUDGED = "anssi_bp28_intermediary"
GOAL = 78.0
RESULT = re.compile(r'<rule-result [^>]*\bidref="([^"]+)"[^>]*>.*?<result>(\w+)</result>', re.DOTALL)


def measure(server: Audited) -> Measured:
    server.install("openscap-scanner")
    copy_from_auditor(PACKAGED, server, DATA)
    figures, details = [], {}
    for profile in profiles(server.run(f"oscap info --profiles {DATA}")):
        # Exit code 2 says that a rule failed.
        server.run(f"oscap xccdf eval --profile {PREFIX}profile_{profile} --results {RESULTS} {DATA}", check=False)
        found = parse(server.run(f"cat {RESULTS}"))
        judged = (">=", GOAL) if profile == JUDGED else ("", None)
        figures.append(Figure(server.name, "openscap", f"{profile} pass %", found["percent"], *judged))
        details[profile] = found
    return Measured(figures, details)


def profiles(info: str) -> list[str]:
    """`oscap info --profiles` prints `id:title` lines."""
    return re.findall(rf"^{PREFIX}profile_([^:]+):", info, re.MULTILINE)


def parse(results: str) -> dict[str, Any]:
    """pass / (pass + fail) of the selected rules; what does not apply, was not checked or informs is left out."""
    by_result: dict[str, list[str]] = {}
    for rule, verdict in RESULT.findall(results):
        by_result.setdefault(verdict, []).append(rule.removeprefix(f"{PREFIX}rule_"))
    passed, failed = len(by_result.get("pass", [])), len(by_result.get("fail", []))
    if not passed + failed:
        raise ValueError("OpenSCAP judged no rule: are these the rules of this distribution?")
    counts = {verdict: len(rules) for verdict, rules in sorted(by_result.items()) if verdict != "notselected"}
    named = ("fail", "error", "unknown")
    return {
        "percent": round(100 * passed / (passed + failed), 1),
        "counts": counts,
        **{verdict: sorted(by_result[verdict]) for verdict in named if verdict in by_result},
    }
