"""Job of kind `pgbackrest`: PostgreSQL's files into the repositories of pgBackRest, whose archive of WAL does the rest.

The manifest lies in restic's repository at the same destination. It names a restore point in the WAL, before and after
which every table was counted; so a restore to that point can be judged while the original goes on being written to.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

from .. import log, manifest, postgres, staging
from ..errors import BackupError, PassingError
from ..manifest import Manifest
from ..process import CommandError
from ..wal import last_gap
from .base import Point, StagedJob, Stored, Verdict

# pgBackRest's exit codes that another try may not meet (its src/build/error/error.yaml): protocol, host-connect,
# lock-acquire, db-connect, archive-timeout, crypto (which is also what a broken TLS connection is) and service.
PASSING = {39, 49, 50, 56, 82, 95, 101}
# Its status of a repository that it cannot read, and how long a question waits for a sign of life: with the default of
# a minute it asks an endpoint that refuses connections for nine minutes.
UNREADABLE, ANSWER_TIMEOUT = 99, "--io-timeout=10"
# What a backup that begins half a day early still counts as: timers have jitter.
SLACK = timedelta(hours=12)
ARCHIVE_LIMIT_S = 60
RESTORE = "/etc/postgresql/pgbackrest-restore.sh"
# What the original does for others this one must not do too: subscribe, and run jobs.
QUIET = "-c max_logical_replication_workers=0 -c cron.launch_active_jobs=off"
SERVER = f"postgres -c config_file=/etc/postgresql/postgresql.conf -c shared_buffers=128MB {QUIET}".split()
OPEN = """
set -euo pipefail
{restore}
settings="-c listen_addresses= -c archive_mode=off -c enable_indexonlyscan=off {quiet}"
log=/tmp/scratch.log
pg_ctl --silent --wait start --log="$log" -o "$settings" || {{ cat "$log" >&2; exit 1; }}
"""


class PgBackRest(StagedJob):
    """*repositories*: the number of each destination's repository. *full_every_days*: others are differential."""

    proof = "restored with its WAL to the restore point, every row of every table counted"

    def __init__(self, *arguments: Any, sleep: Callable[[float], None] = time.sleep) -> None:
        super().__init__(*arguments)
        self.sleep = sleep
        self._made: dict[tuple[str, str], tuple[dict[str, Any], dict[str, Any]]] = {}

    @property
    def destinations(self) -> list[str]:
        return list(self.value("repositories"))

    def room(self) -> int:
        return 1 << 20

    def stage(self, directory: Path) -> dict[str, Any]:
        """Nothing yet: the manifest speaks of a moment after the backup, which `store` makes."""
        self.compose.refuse_stopped(self.value("service"))
        return {
            "version": postgres.ask(self.compose, self.value("service"), "SHOW server_version;", "Asking PostgreSQL")
        }

    def store(self, run_id: str, prepared: Manifest, destination: str) -> Stored:
        # A second try of the same run goes on with the backup that the first one has made.
        made = self._made.get((run_id, destination))
        if made is None:
            made = self._made[run_id, destination] = self._back_up(run_id, destination)
        newest, counted = made
        facts = {**prepared.facts, "backup": newest["label"], "lsn": newest["lsn"], **counted}
        (self.directory / "data" / "info.json").write_text(json.dumps(newest, indent=1) + "\n", encoding="utf-8")
        manifest.seal(self.directory, self.name, run_id, facts)
        repository = self.repository(destination)
        repository.save(self.directory, self.name, run_id)
        repository.keep(self.name, int(self.values.get("keep_days", 35)))
        sizes = newest["info"]
        return Stored(newest["label"], int(sizes["repository"].get("delta", 0)), int(sizes["size"]))

    def _back_up(self, run_id: str, destination: str) -> tuple[dict[str, Any], dict[str, Any]]:
        """What pgBackRest says of the new backup, and what was counted around the restore point after it."""
        began = datetime.now(timezone.utc)
        self._know_stanza(destination)
        self._run(destination, f"--type={self._type(destination)}", "backup", what="Backing up")
        newest = self._backups(destination)[-1]
        if newest.get("error"):
            raise BackupError(
                f"The database is damaged: pages in {newest['label']} have wrong checksums. Earlier backups may be "
                f"whole. See `pgbackrest --set={newest['label']} info`, and docs/postgres-backup.md for the way back."
            )
        self._close_gap(destination, began)
        return newest, self._restore_point(run_id)

    def points(self, destination: str) -> list[Point]:
        """pgBackRest's backups. Every second after one of them can be restored, too, as far as the archive goes."""
        return [
            Point(
                backup["label"],
                self.name,
                destination,
                datetime.fromtimestamp(backup["timestamp"]["stop"], timezone.utc),
                int(backup["info"]["size"]),
                {
                    "type": backup["type"],
                    "lsn": backup["lsn"],
                    "archive": backup["archive"],
                    "error": bool(backup.get("error")),
                },
            )
            for backup in self._backups(destination)
        ]

    def verify(self, point: Point) -> Verdict:
        saved = self._manifest(point)
        restored = postgres.read_counts(self._restored(point, saved))
        wrong: list[str] = []
        for database, counted in saved.facts["databases"].items():
            found = restored.get(database, {"rows": {}, "sequences": {}})
            before, after = counted["before"], counted["after"]
            wrong += postgres.between(
                found["rows"], before["rows"], after["rows"], f"rows of {database}:", counted.get("moved")
            )
            # WAL has a sequence up to 32 values ahead, so that it need not be written for each.
            wrong += [
                f"sequence {name} of {database}: {found['sequences'].get(name)}, at least {value} expected"
                for name, value in before["sequences"].items()
                if name in after["sequences"] and found["sequences"].get(name, value - 1) < value
            ]
        if point.details.get("error"):
            wrong.append("pgBackRest found pages in it whose checksums are wrong")
        return Verdict(point, self.proof, wrong)

    def prune(self, destination: str) -> None:
        """pgBackRest expires after each backup by itself. It says what it found in words only: it returns 0 anyway."""
        said = self._run(
            destination,
            "--output=text",
            "--verbose",
            "--log-level-console=off",
            "verify",
            what="Reading everything again",
        )
        if not re.search(r"^status: ok$", said, re.MULTILINE):
            raise BackupError(f"pgBackRest found something wrong in repository {destination}:\n{said}")

    def _type(self, destination: str) -> str:
        full = [backup for backup in self._backups(destination) if backup["type"] == "full" and not backup.get("error")]
        if not full:
            return "full"
        age = datetime.now(timezone.utc) - datetime.fromtimestamp(full[-1]["timestamp"]["stop"], timezone.utc)
        return "full" if age > timedelta(days=int(self.value("full_every_days"))) - SLACK else "diff"

    def _know_stanza(self, destination: str) -> None:
        """A repository that is new, or was lost, has to be told of the cluster. Both at once: one alone cannot be."""
        if self._info(destination)["status"]["code"] in (0, 2):
            return
        try:
            self._pgbackrest("stanza-create", what="Making the repositories known")
        except (CommandError, PassingError) as error:
            if self._info(destination)["status"]["code"] not in (0, 2):
                raise PassingError(f"{error}") from error
            log.say(f"{error}", job=self.name, level=log.WARNING)

    def _restore_point(self, run_id: str) -> dict[str, Any]:
        """Name this moment in the WAL, with everything counted before and after it, and have the segment archived."""
        service, name = self.value("service"), f"somos-backup-{run_id}"
        before = self._counted("moves", "rows", "sequences")
        lsn = postgres.ask(
            self.compose, service, f"SELECT pg_create_restore_point('{name}');", "Naming a restore point"
        )
        after = self._counted("rows", "sequences", "moves")
        self._archive()
        databases = {
            database: {
                "before": before[database],
                "after": after[database],
                "moved": moved(before[database], after[database]),
            }
            for database in before.keys() & after.keys()
        }
        return {"restore_point": name, "restore_point_lsn": lsn, "databases": databases}

    def _archive(self) -> None:
        """Have the segment with the restore point archived now, so that the backup can be proven at once."""
        service = self.value("service")
        segment = postgres.ask(
            self.compose, service, "SELECT pg_walfile_name(pg_switch_wal());", "Closing the segment of WAL"
        )
        arrived = "SELECT last_archived_wal FROM pg_stat_archiver;"
        for _ in range(ARCHIVE_LIMIT_S):
            if postgres.ask(self.compose, service, arrived, "Asking for the archive") >= segment:
                return
            self.sleep(1)
        log.say(f"Segment {segment} has not arrived in every repository yet.", job=self.name, level=log.WARNING)

    def _counted(self, *kinds: str) -> dict[str, dict[str, dict[str, int]]]:
        service = self.value("service")
        result = {}
        for database in json.loads(postgres.ask(self.compose, service, postgres.DATABASES, "Listing the databases")):
            with postgres.session(self.compose, service, database) as session:
                result[database] = {kind: session.counted(kind) for kind in kinds}
        return result

    def _restored(self, point: Point, saved: Manifest) -> str:
        command = [
            RESTORE,
            "restore",
            f"--repo={self.value('repositories')[point.destination]}",
            f"--set={point.id}",
            "--type=name",
            f"--target={saved.facts['restore_point']}",
            "--target-action=promote",
            "--target-timeline=current",
            "--",
            *SERVER,
        ]
        script = OPEN.format(restore=f"bash {' '.join(command)} >&2", quiet=QUIET)
        script += "".join(map(postgres.counting_script, saved.facts["databases"]))
        what = f"Restoring {point.id} from {point.destination} into a scratch cluster"
        need = int(point.size * 1.1) + (2 << 30)
        return self.compose.scratch(self.value("service"), "-c", script, what=what, entrypoint="bash", need=need)

    def newest(self, points: Sequence[Point]) -> Point:
        """The newest that can be proven. One that a killed run has made may be whole, and has no manifest."""
        by_id = {point.id: point for point in points}
        for saved in self._manifests(points[-1].destination):
            if saved.facts.get("backup") in by_id:
                found = by_id[saved.facts["backup"]]
                if found is not points[-1]:
                    words = f"{points[-1].id} has no manifest: its run did not end. The one before it is looked at."
                    log.say(words, job=self.name, destination=found.destination, level=log.WARNING)
                return found
        return points[-1]

    def _manifest(self, point: Point) -> Manifest:
        """The one that was made with *point*. Raises BackupError for a backup that has none."""
        for saved in self._manifests(point.destination):
            if saved.facts.get("backup") == point.id:
                return saved
        raise BackupError(
            f"No manifest of {point.id} is in {point.destination}: the run that made it did not end. Take another."
        )

    def _manifests(self, destination: str) -> Iterator[Manifest]:
        """Newest first."""
        repository = self.repository(destination)
        for snapshot in reversed(repository.snapshots(self.name)):
            with staging.emptied(self.config.scratch / self.name) as directory:
                repository.restore(snapshot, directory)
                saved = manifest.read(directory)
            yield saved

    def _backups(self, destination: str) -> list[dict[str, Any]]:
        return list(self._info(destination).get("backup", []))

    def _info(self, destination: str) -> dict[str, Any]:
        """Raises PassingError for a repository that does not answer: of that pgBackRest says that it has no backups."""
        what, options = "Asking what there is", ("--output=json", "--log-level-console=off", ANSWER_TIMEOUT)
        # With the wrong passphrase its messages quote what was decrypted, control characters included.
        for stanza in json.loads(self._run(destination, *options, "info", what=what), strict=False):
            if stanza["name"] != self.value("stanza"):
                continue
            if stanza["status"]["code"] == UNREADABLE:
                words = printable("\n".join(repository["status"]["message"] for repository in stanza["repo"]))
                # What another passphrase decrypts has no format.
                if re.search(r"\[(Crypto|Format)Error\]", words) and "TLS" not in words:
                    raise BackupError(f"The passphrase of repository {destination} does not open it: {words}")
                raise PassingError(f"Repository {destination} does not say what there is: {words}")
            return dict(stanza)
        return {"status": {"code": 1, "message": "missing"}}

    def _run(self, destination: str, *arguments: str, what: str) -> str:
        number = self.value("repositories")[destination]
        return self._pgbackrest(f"--repo={number}", *arguments, what=f"{what} (repository {number}, {destination})")

    def _pgbackrest(self, *arguments: str, what: str) -> str:
        command = ["nice", "-n", "19", "pgbackrest", f"--stanza={self.value('stanza')}", *arguments]
        try:
            return self.compose.execute(self.value("service"), *command, what=what)
        except CommandError as error:
            if error.code in PASSING:
                raise PassingError(str(error)) from error
            raise

    def _close_gap(self, destination: str, began: datetime) -> None:
        """WAL that was given up is needed by no restore of a backup that began after it."""
        path = Path(self.value("gap_directory")) / f"gap.{destination}"
        if path.exists() and last_gap(path.read_text(encoding="utf-8")) < began:
            # What is given up from now on makes a file of its own; what was until now is looked at once more.
            aside = path.rename(path.with_name(f"{path.name}.closing"))
            text = aside.read_text(encoding="utf-8")
            if last_gap(text) >= began:
                with path.open("a", encoding="utf-8") as stream:
                    stream.write(text)
            aside.unlink()
            log.say(
                "WAL that was given up is behind this backup.", job=self.name, destination=destination, level=log.NOTICE
            )


def printable(text: str) -> str:
    """*text* for a journal."""
    return "".join(each if each.isprintable() or each == "\n" else "?" for each in text)


def moved(before: Mapping[str, Mapping[str, int]], after: Mapping[str, Mapping[str, int]]) -> dict[str, int]:
    """How many rows came and went in each table between two counts, where any did."""
    return {
        table: number - before["moves"].get(table, 0)
        for table, number in after["moves"].items()
        if number != before["moves"].get(table, 0)
    }
