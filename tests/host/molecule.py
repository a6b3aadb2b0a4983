"""`make molecule`: the scenarios one after another, each with the time it took, and what failed at the end."""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import time

from .names import BUILD, ROOT
from .shell import say

LOGS = BUILD / "molecule"
# Of pytest, of Ansible, of Molecule, which also calls it critical that there is no scenario named `default`.
CAUSE = re.compile(r"E  |FAILED |ERROR |fatal: |\[ERROR\]|CRITICAL (?!.* glob failed)")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python3 -m tests.host.molecule", description="Run Molecule scenarios.")
    parser.add_argument("scenarios", nargs="+")
    LOGS.mkdir(parents=True, exist_ok=True)
    results = {scenario: scenario_passes(scenario) for scenario in parser.parse_args().scenarios}
    failed = [scenario for scenario, passed in results.items() if not passed]
    # Once more at the very end: a report of a long run may have kept no more than that.
    for scenario in failed:
        print("\n".join([f"{scenario} failed:", *reasons((LOGS / f"{scenario}.log").read_text(errors="replace"))]))
    print(f"molecule scenarios: {len(results) - len(failed)} passed, {len(failed)} failed", flush=True)
    sys.exit(1 if failed else 0)


def scenario_passes(scenario: str) -> bool:
    say(f"{scenario} …")
    start = time.monotonic()
    log = LOGS / f"{scenario}.log"
    # Molecule breaks lines where it believes the terminal to end.
    wide = {**os.environ, "COLUMNS": "250"}
    command = ["molecule", "test", "--scenario-name", scenario]
    with log.open("wb") as output:
        code = subprocess.run(command, cwd=ROOT, env=wide, stdout=output, stderr=output, check=False).returncode
    verdict = "FAILED" if code else "passed"
    say(f"{scenario}: {verdict} in {time.monotonic() - start:.0f} s ({log.relative_to(ROOT)})")
    if code:
        print("\n".join(log.read_text(errors="replace").splitlines()[-120:]), flush=True)
    return code == 0


def reasons(log: str) -> list[str]:
    """What a scenario's log names as the cause, without colours and frames: failed tests and tasks, and their words."""
    plain = (re.sub(r"\x1b\[[0-9;]*m", "", line).strip(" │") for line in log.splitlines())
    return [line[:500] for line in plain if CAUSE.match(line)]


if __name__ == "__main__":
    main()
