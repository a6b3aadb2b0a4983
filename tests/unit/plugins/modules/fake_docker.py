"""A stand-in for the docker command: it notes how it was called and answers from a JSON file beside it."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any


class FakeDocker:
    """The stand-in as a test sees it."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.answers: list[dict[str, Any]] = []
        program = directory / "docker"
        program.write_text(f"#!{sys.executable}\n{PROGRAM}")
        program.chmod(0o755)
        self._save()

    def answer(self, words: str, out: str = "", err: str = "", code: int = 0) -> None:
        """Calls whose words, joined by blanks, contain *words* get this answer; the newest rule wins."""
        self.answers.insert(0, {"words": words, "out": out, "err": err, "code": code})
        self._save()

    @property
    def calls(self) -> list[str]:
        """The words of every call so far, joined by blanks."""
        log = self.directory / "calls"
        return log.read_text().splitlines() if log.exists() else []

    def _save(self) -> None:
        (self.directory / "answers.json").write_text(json.dumps(self.answers))


PROGRAM = """
import json, sys
from pathlib import Path
here = Path(__file__).parent
words = " ".join(sys.argv[1:])
with (here / "calls").open("a") as log:
    log.write(words + "\\n")
for answer in json.loads((here / "answers.json").read_text()):
    if answer["words"] in words:
        sys.stdout.write(answer["out"])
        sys.stderr.write(answer["err"])
        sys.exit(answer["code"])
"""
