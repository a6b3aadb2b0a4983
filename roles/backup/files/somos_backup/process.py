"""Other programs, run: their output streamed where it is large, their last words in the error where they fail."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

from .errors import BackupError

# Nothing that is done here takes longer; what does hangs, and must not hold up every later backup.
LIMIT_S = 6 * 3600
LAST_WORDS = 4000


class TimeLimitError(BackupError):
    """A program did not end within its time, and was killed."""


class CommandError(BackupError):
    """A program said no. *code* is its exit code, *words* the end of what it said."""

    def __init__(self, program: str, code: int, words: str) -> None:
        self.code = code
        self.words = words.strip()[-LAST_WORDS:]
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
    BackupError for one that is missing.
    """
    try:
        done = subprocess.run(
            argv,
            input=stdin,
            stdout=stdout or subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment(env or {}),
            cwd=cwd,
            timeout=limit_s,
            check=False,
        )
    except FileNotFoundError as error:
        raise BackupError(f"{what} cannot be run: there is no {error.filename}. Run role backup again.") from error
    except subprocess.TimeoutExpired as error:
        raise TimeLimitError(f"{what} was ended: it ran for more than {limit_s:.0f} s. It may hang.") from error
    printed, said = (done.stdout or b"").decode("utf-8", "replace"), done.stderr.decode("utf-8", "replace")
    if done.returncode:
        raise CommandError(what, done.returncode, said or printed)
    return said if stdout else printed


def environment(more: Mapping[str, str]) -> dict[str, str]:
    """A bare environment, so that nothing of whoever starts this decides where backups go."""
    kept = {name: os.environ[name] for name in ("PATH", "LANG", "DOCKER_HOST", "DOCKER_CONFIG") if name in os.environ}
    return {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root", **kept, **more}
