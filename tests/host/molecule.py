"""`make molecule`: the scenarios one after another, each with the time it took, and what failed at the end."""

from __future__ import annotations

import argparse
import subprocess
import sys
import time

from .names import BUILD, ROOT
from .shell import say

LOGS = BUILD / "molecule"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python3 -m tests.host.molecule", description="Run Molecule scenarios.")
    parser.add_argument("scenarios", nargs="+")
    LOGS.mkdir(parents=True, exist_ok=True)
    results = {scenario: scenario_passes(scenario) for scenario in parser.parse_args().scenarios}
    failed = [scenario for scenario, passed in results.items() if not passed]
    print(f"molecule scenarios: {len(results) - len(failed)} passed, {len(failed)} failed", flush=True)
    sys.exit(1 if failed else 0)


def scenario_passes(scenario: str) -> bool:
    say(f"{scenario} …")
    start = time.monotonic()
    log = LOGS / f"{scenario}.log"
    with log.open("wb") as output:
        code = subprocess.run(
            ["molecule", "test", "--scenario-name", scenario], cwd=ROOT, stdout=output, stderr=output, check=False
        ).returncode
    verdict = "FAILED" if code else "passed"
    say(f"{scenario}: {verdict} in {time.monotonic() - start:.0f} s ({log.relative_to(ROOT)})")
    if code:
        print("\n".join(log.read_text(errors="replace").splitlines()[-120:]), flush=True)
    return code == 0


if __name__ == "__main__":
    main()
