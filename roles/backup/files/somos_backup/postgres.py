"""What both jobs of PostgreSQL ask it: how many rows each table has, and where its sequences are."""

from __future__ import annotations

import contextlib
import json
import shlex
import subprocess
from collections.abc import Iterator, Mapping
from typing import IO

from .compose import Compose
from .errors import BackupError
from .process import environment

PSQL = ("psql", "--no-psqlrc", "--quiet", "--no-align", "--tuples-only", "--username=postgres", "--set=ON_ERROR_STOP=1")
DATABASES = "SELECT json_agg(datname ORDER BY datname) FROM pg_database WHERE datallowconn AND NOT datistemplate;"
# One count a table, in one answer a line. Tables of an extension are made by the extension.
ROWS = """
SELECT format('SELECT json_build_array(''rows'', %L, count(*)) FROM ONLY %I.%I', nspname || '.' || relname, nspname,
  relname)
FROM pg_class JOIN pg_namespace n ON n.oid = relnamespace
WHERE relkind = 'r' AND relpersistence <> 't' AND nspname NOT IN ('pg_catalog', 'information_schema')
  AND NOT EXISTS (SELECT FROM pg_depend WHERE objid = pg_class.oid AND deptype = 'e')
ORDER BY nspname, relname \\gexec
"""
SEQUENCES = """
SELECT json_build_array('sequences', schemaname || '.' || sequencename, last_value) FROM pg_sequences
WHERE last_value IS NOT NULL ORDER BY schemaname, sequencename;
"""
END = "--- end of answer ---"
# What a table may be locked against readers: a migration that hangs must not hold up every later backup.
LOCK_LIMIT = "10min"


class Session:
    """One psql: what is asked in it is one transaction's, once `BEGIN` was said. Raises BackupError."""

    def __init__(self, process: subprocess.Popen[str], what: str) -> None:
        self._process = process
        self._what = what

    def ask(self, sql: str) -> list[str]:
        """The answer's lines."""
        stdin, stdout = self._pipe(self._process.stdin), self._pipe(self._process.stdout)
        with contextlib.suppress(BrokenPipeError):
            stdin.write(f"{sql}\n\\echo {END}\n")
            stdin.flush()
        lines: list[str] = []
        while (line := stdout.readline()) != "":
            if line.rstrip("\n") == END:
                return lines
            lines.append(line.rstrip("\n"))
        said = self._pipe(self._process.stderr).read().strip()
        raise BackupError(f"{self._what} failed: {said or 'psql ended without a word'}")

    def counted(self, kind: str) -> dict[str, int]:
        """The rows of each table, or the last value of each sequence, by its name."""
        lines = self.ask({"rows": ROWS, "sequences": SEQUENCES}[kind])
        return {name: int(number) for _, name, number in map(json.loads, lines)}

    @staticmethod
    def _pipe(pipe: IO[str] | None) -> IO[str]:
        assert pipe is not None  # noqa: S101 (for the type: all three are pipes)
        return pipe


@contextlib.contextmanager
def session(compose: Compose, service: str, database: str) -> Iterator[Session]:
    """psql in the running container of *service*, connected to *database*."""
    process = subprocess.Popen(
        [
            "docker",
            "compose",
            "exec",
            "-T",
            f"--env=PGOPTIONS=-c lock_timeout={LOCK_LIMIT}",
            service,
            *PSQL,
            f"--dbname={database}",
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=compose.directory,
        env=environment({}),
    )
    try:
        yield Session(process, f"psql in {service}, database {database},")
    finally:
        with contextlib.suppress(BrokenPipeError, ValueError):
            process.stdin and process.stdin.close()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def ask(compose: Compose, service: str, sql: str, what: str, database: str = "postgres") -> str:
    """One question, one answer."""
    return compose.execute(service, *PSQL, f"--dbname={database}", what=what, stdin=sql.encode()).strip()


def between(found: Mapping[str, int], first: Mapping[str, int], last: Mapping[str, int], what: str) -> list[str]:
    """What of *found* is not between what was counted before and after: one sentence each."""
    wrong = [f"{what} {name} is missing" for name in sorted((first.keys() & last.keys()) - found.keys())]
    for name in sorted(found.keys() & (first.keys() | last.keys())):
        counted = [counts[name] for counts in (first, last) if name in counts]
        # What came or went while it was counted may have any number.
        if len(counted) == 2 and not min(counted) <= found[name] <= max(counted):
            expected = " to ".join(dict.fromkeys(map(str, sorted(counted))))
            wrong.append(f"{what} {name}: {found[name]}, {expected} expected")
    return wrong + [f"{what} {name} was not there" for name in sorted(found.keys() - first.keys() - last.keys())]


def counting_script(database: str) -> str:
    """Shell that prints what is counted in *database* of a scratch cluster, for `read_counts`."""
    # A shell's word and a JSON's line: neither is what PostgreSQL's own quoting is for.
    name = shlex.quote(database)
    begin = shlex.quote(json.dumps(["database", database, 0]))
    return f"printf '%s\\n' {begin}\n{shlex.join(PSQL)} --dbname={name} <<'SQL'\n{ROWS}{SEQUENCES}SQL\n"


def read_counts(printed: str) -> dict[str, dict[str, dict[str, int]]]:
    """{database: {"rows": …, "sequences": …}} of what `counting_script` printed."""
    result: dict[str, dict[str, dict[str, int]]] = {}
    found: dict[str, dict[str, int]] = {}
    for line in printed.splitlines():
        if not line.startswith("["):
            continue
        kind, name, number = json.loads(line)
        if kind == "database":
            found = result.setdefault(name, {"rows": {}, "sequences": {}})
        else:
            found[kind][name] = int(number)
    return result
