"""rclone, given its remotes by its environment: no file with secrets, no secret on a command line."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .errors import BackupError, PassingError
from .process import LIMIT_S, CommandError, run

# Exit codes of rclone (https://rclone.org/docs/#exit-code): what it cannot name, and what it calls temporary.
PASSING, ABSENT = {1, 2, 5}, 3


class Rclone:
    """The *program*, with *remotes*: {name: {option: value}}. *ca_file*: whom to trust instead of the system's."""

    def __init__(self, program: str, cache: Path, remotes: Mapping[str, Mapping[str, str]], ca_file: str = "") -> None:
        self.program = program
        self._trust = [f"--ca-cert={ca_file}"] if ca_file else []
        self._environment = {
            "RCLONE_CONFIG": "/dev/null",
            "RCLONE_CACHE_DIR": str(cache),
            **{
                f"RCLONE_CONFIG_{name.upper()}_{option.upper()}": value
                for name, options in remotes.items()
                for option, value in options.items()
            },
        }

    def run(self, *arguments: str, what: str, limit_s: float = LIMIT_S) -> str:
        """Raises PassingError for what another try may not meet, else BackupError."""
        # A second without a byte for five minutes is a peer that hangs.
        options = ["--timeout=5m", "--contimeout=30s", "--retries=3", "--low-level-retries=5", "--stats=0"]
        try:
            return run(
                [self.program, *options, *self._trust, *arguments], what=what, env=self._environment, limit_s=limit_s
            )
        except CommandError as error:
            if error.code in PASSING:
                raise PassingError(str(error)) from error
            raise

    def listing(self, place: str, what: str) -> dict[str, dict[str, Any]]:
        """Every file below *place*: size in bytes and, where the store has it without reading, its MD5."""
        try:
            said = self.run(
                "lsjson", "--recursive", "--files-only", "--no-modtime", "--hash", "--hash-type=md5", place, what=what
            )
        except CommandError as error:
            if error.code != ABSENT:
                raise
            return {}
        found = json.loads(said)
        return {
            entry["Path"]: {
                "size": entry["Size"],
                **({"md5": md5} if (md5 := (entry.get("Hashes") or {}).get("md5")) else {}),
            }
            for entry in found
        }

    def names(self, place: str) -> list[str]:
        """What is directly in *place*. Of an encrypted one: what the passphrase opens."""
        try:
            return self.run("lsf", place, what=f"Looking into {place}").splitlines()
        except CommandError as error:
            if error.code != ABSENT:
                raise
            return []


def obscured(program: str, password_file: str) -> str:
    """How rclone wants the password in *password_file* written. It protects nothing."""
    try:
        password = Path(password_file).read_text(encoding="utf-8").strip()
    except OSError as error:
        raise BackupError(f"{password_file} cannot be read: {error.strerror}. Run role backup again.") from error
    return run([program, "obscure", "-"], what="rclone obscure", stdin=password.encode()).strip()
