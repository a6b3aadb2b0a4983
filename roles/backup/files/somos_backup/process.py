"""Other programs, run: their output streamed where it is large, their last words in the error where they fail."""

from __future__ import annotations

import contextlib
import os
import re
import stat
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

from .errors import BackupError

# Nothing that is done every day takes longer; what does hangs, and must not hold up the next day's.
LIMIT_S = 16 * 3600
LAST_WORDS = 4000
# What stays free on a disk whatever is written to it: the databases write there, too.
RESERVE = 1 << 30
# What PostgreSQL's programs quote of a row.
QUOTES = re.compile(r"^(.*: )?(CONTEXT|DETAIL|STATEMENT|QUERY|detail|Command was): ?.*$\n?", re.MULTILINE)


class TimeLimitError(BackupError):
    """A program did not end within its time, and was killed."""


class CommandError(BackupError):
    """A program said no. *code* is its exit code, *words* the end of what it said."""

    def __init__(self, program: str, code: int, words: str) -> None:
        self.code = code
        self.words = QUOTES.sub("", f"{words.strip()}\n")[-LAST_WORDS:].strip()
        super().__init__(f"{program} failed (exit code {code}): {self.words or 'it said nothing'}")


def run(
    argv: Sequence[str],
    *,
    what: str,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    stdin: bytes = b"",
    stdout: IO[bytes] | None = None,
    limit_s: float = LIMIT_S,
) -> str:
    """Run *argv* and return what it prints, or, if that goes to *stdout*, what it says on standard error.

    *env* is added to a bare environment.

    Raises CommandError for another exit code than 0, TimeLimitError for a program that runs over *limit_s* and
    BackupError for one that is missing, or that would leave no room where *stdout* is.
    """
    if stdout:
        return _streamed(argv, what, environment(env or {}), cwd, stdout, limit_s)
    try:
        done = subprocess.run(
            argv,
            input=stdin,
            capture_output=True,
            env=environment(env or {}),
            cwd=cwd,
            timeout=limit_s,
            check=False,
        )
    except FileNotFoundError as error:
        raise BackupError(f"{what} cannot be run: there is no {error.filename}. Run role backup again.") from error
    except subprocess.TimeoutExpired as error:
        raise TimeLimitError(f"{what} was ended: it ran for more than {limit_s:.0f} s. It may hang.") from error
    printed, said = done.stdout.decode("utf-8", "replace"), done.stderr.decode("utf-8", "replace")
    if done.returncode:
        raise CommandError(what, done.returncode, said or printed)
    return printed


def _streamed(
    argv: Sequence[str], what: str, env: Mapping[str, str], cwd: Path | None, stdout: IO[bytes], limit_s: float
) -> str:
    """Looks every second at the room that is left: how much comes nobody knows before."""
    end = time.monotonic() + limit_s
    with tempfile.TemporaryFile() as stderr:
        process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=stdout, stderr=stderr, env=env, cwd=cwd)
        try:
            while process.poll() is None:
                if stat.S_ISREG(os.fstat(stdout.fileno()).st_mode) and _free(stdout) < RESERVE // 2:
                    raise BackupError(f"{what} was ended: less than {RESERVE >> 21} MiB are free where it writes to.")
                if time.monotonic() > end:
                    raise TimeLimitError(f"{what} was ended: it ran for more than {limit_s:.0f} s. It may hang.")
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(1)
        finally:
            process.kill()
            process.wait()
        stderr.seek(0)
        said = stderr.read().decode("utf-8", "replace")
    if process.returncode:
        raise CommandError(what, process.returncode, said)
    return said


def _free(stream: IO[bytes]) -> int:
    status = os.fstatvfs(stream.fileno())
    return status.f_bavail * status.f_frsize


def environment(more: Mapping[str, str]) -> dict[str, str]:
    """A bare environment, so that nothing of whoever starts this decides where backups go."""
    kept = {name: os.environ[name] for name in ("PATH", "LANG", "DOCKER_HOST", "DOCKER_CONFIG") if name in os.environ}
    return {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root", **kept, **more}
