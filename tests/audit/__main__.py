"""python3 -m tests.audit: measures converged servers with independent instruments. See README.md beside this file."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable

from tests.host.names import BUILD, ROOT
from tests.host.shell import HostError, fail, say, step

from . import docker_bench, exposure, lynis, openscap, ports, ssh_audit
from .report import Figure, Measured, all_figures, as_json, table
from .servers import SERVERS, Audited

REPORT = BUILD / "reports" / "audit.json"
Instrument = Callable[[Audited], Measured]

# From outside first, then what only reads, then what is installed on the server.
INSTRUMENTS: dict[str, Instrument] = {
    "ports": ports.measure,
    "ssh-audit": ssh_audit.measure,
    "exposure": exposure.measure,
    "docker-bench": docker_bench.measure,
    "lynis": lynis.measure,
    "openscap": openscap.measure,
}


def applies(instrument: str, server: Audited) -> bool:
    if instrument in ("docker-bench", "exposure"):
        return server.stack
    # Debian packages rules for Debian 12 and older.
    return instrument != "openscap" or server.image == "debian12"


def measured(name: str, measure: Instrument, server: Audited) -> Measured:
    """One that does not run misses its goals, and does not take the others' with it."""
    try:
        with step(f"{server.name}: {name}"):
            return measure(server)
    except (HostError, ValueError) as error:
        fail(str(error))
        return Measured([Figure(server.name, name, "ran", False, "==", True)], {"error": str(error)})


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python3 -m tests.audit", description="Measure converged servers.")
    names = [server.name for server in SERVERS]
    parser.add_argument("--server", action="append", choices=names, help="only this one (may be repeated)")
    parser.add_argument("--only", action="append", choices=INSTRUMENTS, help="only this instrument (may be repeated)")
    parser.add_argument("--keep", action="store_true", help="leave the servers up afterwards")
    parser.add_argument("--reuse", action="store_true", help="measure the servers that were kept, as they are")
    return parser.parse_args()


def main() -> int:
    given, start = arguments(), time.monotonic()
    results: dict[str, dict[str, Measured]] = {}
    for server in SERVERS:
        if server.name not in (given.server or [server.name]):
            continue
        if not given.reuse:
            server.bring_up()
            server.converge()
        results[server.name] = {}
        for name, measure in INSTRUMENTS.items():
            if name in (given.only or [name]) and applies(name, server):
                results[server.name][name] = measured(name, measure, server)
        if not (given.keep or given.reuse):
            server.down()
    report = as_json(results, time.monotonic() - start)
    REPORT.parent.mkdir(parents=True, exist_ok=True)
    REPORT.write_text(json.dumps(report, indent=2) + "\n")
    print(f"\n{table(all_figures(results))}\n")
    say(f"details in {REPORT.relative_to(ROOT)}")
    for line in report["missed"]:
        fail(f"goal missed: {line}")
    return 1 if report["missed"] else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except HostError as error:
        fail(str(error))
        sys.exit(2)
