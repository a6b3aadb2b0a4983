"""A repository of restic: encrypted before anything is written to it, deduplicated, one tag a job."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import IO, Any

from . import log
from .config import Config, Repository
from .errors import BackupError, PassingError
from .process import LIMIT_S, CommandError, TimeLimitError, run

# Exit codes of restic 0.17 and later (https://restic.readthedocs.io/en/stable/075_scripting.html).
INCOMPLETE, ABSENT, LOCKED, WRONG_PASSWORD = 3, 10, 11, 12
# What a question may take. An endpoint that is away restic would ask again for a quarter of an hour, at every command.
ANSWER_LIMIT_S = 120

# However old they are: a new one is proven only after the old ones went.
KEPT_ALWAYS = 3
# As many go in a week without a backup of a job that keeps what it is given each day.
AT_ONCE = 10


@dataclass(frozen=True)
class Snapshot:
    """*time*: UTC. *size*: bytes that it restores; 0 if restic does not say."""

    id: str
    time: datetime
    tags: tuple[str, ...]
    size: int


class Restic:
    """One repository. Every method raises BackupError, or PassingError where a later try may succeed."""

    def __init__(self, config: Config, repository: Repository) -> None:
        self.config = config
        self.repository = repository

    def save(self, directory: Path, job: str, run_id: str) -> tuple[str, int]:
        """Store *directory*. Returns the snapshot's id and the bytes added. One that is not whole is not kept."""
        self.ready()
        tags = [f"--tag={job}", f"--tag=run={run_id}"]
        limit = self.config.upload_kib_per_s
        try:
            said = self._run(
                "backup",
                "--json",
                f"--host={self.config.name}",
                *tags,
                *([f"--limit-upload={limit}"] if limit else []),
                ".",
                what="Storing",
                cwd=directory,
            )
        except CommandError as error:
            if error.code == INCOMPLETE:
                self._forget_run(run_id)
                raise BackupError(f"Not all files could be read, and the copy was removed again: {error}") from error
            raise
        for line in reversed(said.splitlines()):
            if '"message_type":"summary"' in line.replace(" ", ""):
                summary = json.loads(line)
                return str(summary["snapshot_id"]), int(summary["data_added"])
        raise BackupError(f"restic did not say what it stored: {said[-500:]}")

    def ready(self) -> None:
        """There, and without locks of runs that were killed. A new one is made where there is none."""
        try:
            self._run("unlock", what="Removing stale locks", limit_s=ANSWER_LIMIT_S)
        except CommandError as error:
            if error.code != ABSENT:
                raise
            self._run("init", what="Making the repository")

    def snapshots(self, job: str | None = None) -> list[Snapshot]:
        """Those of this server, oldest first. A repository that is not there has none."""
        try:
            tags = [f"--host={self.config.name}", *([f"--tag={job}"] if job else [])]
            said = self._run("snapshots", "--json", "--no-lock", *tags, what="Listing", limit_s=ANSWER_LIMIT_S)
        except CommandError as error:
            if error.code == ABSENT:
                return []
            raise
        return sorted(map(_snapshot, json.loads(said) or []), key=lambda snapshot: snapshot.time)

    def restore(self, snapshot: Snapshot, directory: Path) -> None:
        """Put what *snapshot* holds into *directory*. restic checks each block against its SHA-256."""
        self._run("restore", "--no-lock", f"--target={directory}", snapshot.id, what="Restoring")

    def keep(self, job: str, days: int, proven: str = "") -> None:
        """Forget the snapshots of *job* that are *days* older than its newest. The last few always stay, and *proven*.

        What a wrong clock made in the future counts for nothing there, and stays until its time has come. Where the
        clock is wrong now everything is too old at once: more than AT_ONCE go only when somebody says so.
        """
        rule = ["--group-by=", f"--keep-within={days}d", f"--keep-last={KEPT_ALWAYS}"]
        own = [f"--host={self.config.name}", f"--tag={job}"]
        said = self._run("forget", "--dry-run", "--json", *own, *rule, what="Looking at what is too old")
        old = [each["id"] for group in json.loads(said) or [] for each in group.get("remove") or []]
        ids = [each for each in old if each != proven]
        if len(ids) > AT_ONCE:
            forget = f"somos-backup restic {self.repository.name} -- forget {' '.join([*own, *rule])}"
            log.say(
                f"{len(ids)} backups would be too old at once; none was removed. Is the clock right? If so: `{forget}`",
                job=job,
                destination=self.repository.name,
                level=log.WARNING,
            )
        elif ids:
            self._run("forget", *ids, what="Expiring")

    def prune(self) -> None:
        """Remove the data that no snapshot needs any more, and read a part of the rest again."""
        self.ready()
        self._run("prune", what="Pruning")
        self._run("check", f"--read-data-subset={self.config.check_share}", what="Checking the repository")

    def own_command(self, arguments: Sequence[str], stdout: IO[bytes]) -> None:
        """What restic prints for *arguments* goes to *stdout*."""
        self._run(*arguments, what=f"restic {arguments[0] if arguments else ''}", stdout=stdout)

    def _forget_run(self, run_id: str) -> None:
        ids = [snapshot.id for snapshot in self.snapshots() if f"run={run_id}" in snapshot.tags]
        if ids:
            self._run("forget", *ids, what="Removing what is not whole")

    def _run(
        self,
        *arguments: str,
        what: str,
        cwd: Path | None = None,
        limit_s: float = LIMIT_S,
        stdout: IO[bytes] | None = None,
    ) -> str:
        repository = self.repository
        options = ["--retry-lock=5m", *([f"--cacert={repository.ca_file}"] if repository.ca_file else [])]
        if repository.url.startswith("s3:"):
            options.append(f"--option=s3.bucket-lookup={'dns' if repository.uri_style == 'host' else 'path'}")
        what = f"{what} ({repository.name}: {repository.url})"
        try:
            command = [self.config.restic, *options, *arguments]
            return run(command, what=what, env=self._environment(), cwd=cwd, limit_s=limit_s, stdout=stdout)
        except TimeLimitError as error:
            if limit_s == LIMIT_S:
                raise
            raise PassingError(f"{what}: no answer within {limit_s:.0f} s. It is away, or very slow.") from error
        except CommandError as error:
            if error.code == WRONG_PASSWORD:
                raise BackupError(
                    f"{what} failed: the passphrase in {repository.password_file} does not open the repository. It "
                    "cannot be changed by configuration: put the old one back into the vault."
                ) from error
            if error.code in (INCOMPLETE, ABSENT):
                raise
            raise _PassingCommandError(error) from error

    def _environment(self) -> dict[str, str]:
        repository = self.repository
        return {
            "RESTIC_REPOSITORY": repository.url,
            "RESTIC_PASSWORD_FILE": repository.password_file,
            "RESTIC_CACHE_DIR": str(self.config.state / "cache"),
            "RESTIC_PROGRESS_FPS": "0.016",
            **({"AWS_SHARED_CREDENTIALS_FILE": repository.credentials_file} if repository.credentials_file else {}),
            **({"AWS_DEFAULT_REGION": repository.region} if repository.region else {}),
        }


class _PassingCommandError(CommandError, PassingError):
    """An error of restic that a later try may not meet: it does not tell a network from a disk."""

    def __init__(self, error: CommandError) -> None:
        BackupError.__init__(self, str(error))
        self.code, self.words = error.code, error.words


def _snapshot(values: dict[str, Any]) -> Snapshot:
    return Snapshot(
        id=values["id"],
        time=moment(values["time"]),
        tags=tuple(values.get("tags") or ()),
        size=int((values.get("summary") or {}).get("total_bytes_processed", 0)),
    )


def moment(text: str) -> datetime:
    """A time as Go prints it, with up to nine digits of a second, which Python 3.10 does not read."""
    head, _, tail = text.partition(".")
    zone = tail.lstrip("0123456789") if tail else ""
    return datetime.fromisoformat((head + zone).replace("Z", "+00:00")).astimezone(timezone.utc)
