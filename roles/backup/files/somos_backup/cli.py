"""The command line of `somos-backup`."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from . import config as configuration
from . import log, metrics, points, pruning, runs, verification
from .config import Config
from .errors import BackupError, BusyError, ConfigError
from .jobs import all_jobs, chosen
from .jobs.base import StagedJob
from .jobs.pgbackrest import PgBackRest
from .restic import Restic
from .state import State, alone
from .wal import wal_metrics

WELL, FAILED, USAGE, BUSY = 0, 1, 2, 75
DAILY, WEEKLY = "lock", "lock.weekly"
EPILOG = """\
exit codes: 0 all went well; 1 something failed, and the lines above say which job and which destination; 2 the command
line or the configuration is wrong, and nothing was begun; 75 another command holds the lock

examples:
  somos-backup run                             every daily job, to every destination
  somos-backup run postgres redis              these two
  somos-backup list                            what there is
  somos-backup verify --destination offsite    restore the newest of each from there, and compare
  somos-backup restore configs --to /tmp/old   the configuration as it was saved last, into an empty directory
  somos-backup restic offsite -- snapshots     restic itself, with repository and passphrase given
"""


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(
        prog="somos-backup",
        description="This server's backups: taken, listed, proven and restored.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    top.add_argument("--config", type=Path, default=Path("/etc/somos-backup/config.json"), help="default: %(default)s")
    top.add_argument(
        "--wait", type=float, default=0, metavar="SECONDS", help="how long to wait for another command's end"
    )
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    add = commands.add_parser("run", help="back up: the jobs that are named, or all daily ones")
    add.add_argument("jobs", nargs="*", metavar="JOB")
    add = commands.add_parser("list", help="what there is to go back to")
    add.add_argument("--json", action="store_true")
    for name in ("--job", "--destination"):
        add.add_argument(name, default="")
    add = commands.add_parser("restore-points", help="the same, for programs")
    add.add_argument("--json", action="store_true", help="the only form there is")
    for name in ("--job", "--destination"):
        add.add_argument(name, default="")
    add = commands.add_parser("verify", help="restore into a scratch place, and compare with what was saved")
    add.add_argument("jobs", nargs="*", metavar="JOB")
    add.add_argument("--destination", default="", help="only this one; default: each")
    add.add_argument("--point", default="", help="id of a backup; default: the newest")
    add = commands.add_parser("restore", help="extract a backup into an empty directory; no service is touched")
    add.add_argument("job", metavar="JOB")
    add.add_argument("--to", type=Path, required=True, metavar="DIRECTORY")
    add.add_argument("--destination", default="", help="default: the first that has one")
    add.add_argument("--point", default="", help="id of a backup; default: the newest")
    commands.add_parser("prune", help="remove what no backup needs, and read a part of the rest again")
    commands.add_parser("metrics", help="write what is known for node-exporter")
    add = commands.add_parser("failed", help="note that a unit of systemd failed")
    add.add_argument("unit", metavar="UNIT")
    add = commands.add_parser("restic", help="run restic on a repository")
    add.add_argument("destination", metavar="DESTINATION")
    add.add_argument("arguments", nargs=argparse.REMAINDER, metavar="-- ARGUMENT…")
    return top


def main(arguments: Sequence[str] | None = None) -> int:
    """Returns the exit code."""
    given = parser().parse_args(arguments)
    os.umask(0o077)
    # As an exception, so that what is left in scratch goes before the program does.
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    try:
        return COMMANDS[given.command](configuration.load(given.config), given)
    except ConfigError as error:
        log.say(f"somos-backup: {error}", level=log.ERROR)
        return USAGE
    except BusyError as error:
        log.say(f"somos-backup: {error}", level=log.ERROR)
        return BUSY
    except BackupError as error:
        log.say(f"somos-backup: {error}", level=log.ERROR)
        return FAILED
    except OSError as error:
        log.say(f"somos-backup: {error.filename or 'a file'}: {error.strerror}", level=log.ERROR)
        return FAILED


def run(config: Config, given: argparse.Namespace) -> int:
    jobs = chosen(config, given.jobs, weekly=False)
    state = State(config.state)
    # A copy of media may take days. It has a lock of its own, so that it keeps nobody from the daily backup.
    with alone(config.state, "run", given.wait, lock=WEEKLY if runs.are_weekly(jobs) else DAILY):
        well = runs.run(config, jobs, state)
        clear_unit(state)
        metrics.write(config.textfile, state.read())
    return WELL if well else FAILED


def verify(config: Config, given: argparse.Namespace) -> int:
    jobs = chosen(config, given.jobs)
    if given.point and len(given.jobs) != 1:
        raise ConfigError("--point is of one job: name it.")
    state = State(config.state)
    with contextlib.ExitStack() as locks:
        locks.enter_context(alone(config.state, "verify", given.wait, lock=DAILY))
        if any(job.weekly for job in jobs):
            try:
                locks.enter_context(alone(config.state, "verify", 0, lock=WEEKLY))
            except BusyError as error:
                log.say(f"{error} What it copies is verified next time.", level=log.NOTICE)
                jobs = [job for job in jobs if not job.weekly]
        well = verification.verify(config, jobs, state, destination=given.destination, point_id=given.point)
        clear_unit(state)
        metrics.write(config.textfile, state.read())
    return WELL if well else FAILED


def listing(config: Config, given: argparse.Namespace) -> int:
    found, unreachable = points.found(chosen(config, [given.job] if given.job else []), given.destination)
    if given.json or given.command == "restore-points":
        print(json.dumps(points.as_json(found, unreachable), indent=1))
    else:
        print("\n".join(points.as_table(found)))
    return FAILED if unreachable else WELL


def restore(config: Config, given: argparse.Namespace) -> int:
    (job,) = chosen(config, [given.job])
    if not isinstance(job, StagedJob) or isinstance(job, PgBackRest):
        raise ConfigError(f"job {job.name} is restored by {RESTORED_BY[type(job).__name__]}, not into a directory.")
    if given.to.exists() and any(given.to.iterdir()):
        raise ConfigError(f"{given.to} is not empty. Name a directory that is empty or not there.")
    found, _ = points.found([job], given.destination)
    wanted = [point for point in found if given.point in ("", point.id)]
    if not wanted:
        raise BackupError(f"There is no such backup of {job.name}. See `somos-backup list`.")
    point = max(wanted, key=lambda each: (each.time, -job.destinations.index(each.destination)))
    given.to.mkdir(mode=0o700, parents=True, exist_ok=True)
    saved = job.restore(point, given.to)
    log.say(f"{len(saved.files)} files of {point.time:%Y-%m-%d %H:%M:%SZ} are in {given.to}", job=job.name)
    return WELL


def prune(config: Config, given: argparse.Namespace) -> int:
    state = State(config.state)
    with alone(config.state, "prune", given.wait, lock=DAILY):
        well = pruning.prune(config, all_jobs(config))
        clear_unit(state)
    return WELL if well else FAILED


def write_metrics(config: Config, given: argparse.Namespace) -> int:
    state = State(config.state)
    try:
        wal = {
            key: value
            for job in all_jobs(config)
            if isinstance(job, PgBackRest)
            for key, value in wal_metrics(job).items()
        }
    except BackupError as error:
        # A figure that is old must not look new; that it is missing is what can be alerted on.
        log.say(f"{error}", level=log.WARNING)
        wal = {}
    with state.changed() as values:
        values["wal"] = wal
    clear_unit(state)
    metrics.write(config.textfile, state.read())
    return WELL


def failed(config: Config, given: argparse.Namespace) -> int:
    state = State(config.state)
    with state.changed() as values:
        values.setdefault("failed_units", {})[given.unit] = 1
    metrics.write(config.textfile, state.read())
    log.say(f"{given.unit} FAILED. `journalctl -u {given.unit} -n 50` tells why.", level=log.ERROR)
    return WELL


def own_restic(config: Config, given: argparse.Namespace) -> int:
    if given.destination not in config.repositories:
        raise ConfigError(f"there is no repository {given.destination}; there are {', '.join(config.repositories)}.")
    arguments = given.arguments[1:] if given.arguments[:1] == ["--"] else given.arguments
    sys.stdout.flush()
    Restic(config, config.repositories[given.destination]).own_command(arguments, sys.stdout.buffer)
    return WELL


def clear_unit(state: State) -> None:
    """A unit that gets this far did not fail by being killed; whether it fails otherwise, systemd tells afterwards."""
    unit = os.environ.get("SOMOS_BACKUP_UNIT")
    if unit:
        with state.changed() as values:
            values.setdefault("failed_units", {})[unit] = 0


COMMANDS = {
    "run": run,
    "list": listing,
    "restore-points": listing,
    "verify": verify,
    "restore": restore,
    "prune": prune,
    "metrics": write_metrics,
    "failed": failed,
    "restic": own_restic,
}
RESTORED_BY = {
    "PgBackRest": "pgBackRest (docs/postgres-backup.md, or the entry point `restore` of role postgres)",
    "Bucket": "rclone (docs/backups.md)",
}
