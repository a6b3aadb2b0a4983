"""The score of docker-bench-security 1.6, from its scored checks as docker_checks.py has them.

Upstream has no package; on the same server both gave the same verdict on every check.
"""

from __future__ import annotations

from typing import Any

from .docker_checks import AUDITED, judge
from .docker_facts import Facts, collect
from .report import Figure, Measured
from .servers import Audited

SCORE_GOAL, WARN_GOAL = 26, 23
# auditd and AppArmor are the kernel's, which a server in a container does not have to itself.
OUT_OF_REACH = {*AUDITED, "5.2"}


def measure(server: Audited) -> Measured:
    found = score(collect(server))
    figures = [
        Figure(server.name, "docker-bench", "score", found["score"], ">=", SCORE_GOAL),
        Figure(server.name, "docker-bench", "WARN", len(found["warn"]), "<=", WARN_GOAL),
        Figure(
            server.name, "docker-bench", "WARN, of these auditd and AppArmor", len(OUT_OF_REACH & set(found["warn"]))
        ),
    ]
    return Measured(figures, found)


def score(facts: Facts) -> dict[str, Any]:
    """A check that passes adds one, one that warns takes one away, one with nothing to judge does neither."""
    verdicts = judge(facts)
    passed = [number for number, wrong in verdicts.items() if wrong == []]
    warned = {number: wrong for number, wrong in verdicts.items() if wrong}
    return {
        "score": len(passed) - len(warned),
        "pass": sorted(passed, key=by_parts),
        "warn": {number: warned[number] for number in sorted(warned, key=by_parts)},
        "not applicable": sorted((number for number, wrong in verdicts.items() if wrong is None), key=by_parts),
    }


def by_parts(number: str) -> list[int]:
    return [int(part) for part in number.split(".")]
