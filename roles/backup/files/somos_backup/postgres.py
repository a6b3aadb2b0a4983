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
# -2: a removal that was cut off has left it for nobody to enter.
DATABASES = (
    "SELECT json_agg(datname ORDER BY datname) FROM pg_database "
    "WHERE datallowconn AND NOT datistemplate AND datconnlimit <> -2;"
)
# One count a table, in one answer a line. Tables of an extension are made by the extension; what is not logged is lost
# by a restore from WAL, as it is by a crash; and the largest would be read whole, several times a night.
ROWS = """
SELECT format('SELECT json_build_array(''rows'', %L, count(*)) FROM ONLY %I.%I', nspname || '.' || relname, nspname,
  relname)
FROM pg_class JOIN pg_namespace n ON n.oid = relnamespace
WHERE relkind = 'r' AND relpersistence = 'p' AND nspname NOT IN ('pg_catalog', 'information_schema')
  AND pg_relation_size(pg_class.oid) < pg_size_bytes('10 GB')
  AND NOT EXISTS (SELECT FROM pg_depend WHERE objid = pg_class.oid AND deptype = 'e')
ORDER BY nspname, relname \\gexec
"""
SEQUENCES = """
SELECT json_build_array('sequences', schemaname || '.' || sequencename, last_value) FROM pg_sequences
JOIN pg_class ON oid = format('%I.%I', schemaname, sequencename)::regclass
WHERE last_value IS NOT NULL AND relpersistence = 'p' AND increment_by > 0 ORDER BY schemaname, sequencename;
"""
# What came and went in each table since its statistics began.
MOVES = """
SELECT json_build_array('moves', schemaname || '.' || relname, n_tup_ins + n_tup_del) FROM pg_stat_user_tables;
"""
END = "--- end of answer ---"
# What a table may be locked against readers: a migration that hangs must not hold up every later backup.
LOCK_LIMIT = "10min"
# The server's own limits are not meant for a backup.
OPTIONS = f"-c lock_timeout={LOCK_LIMIT} -c statement_timeout=0 -c idle_in_transaction_session_timeout=0"


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
        """By name: the rows of tables, the last values of sequences that go up, or how much moved in tables."""
        lines = self.ask({"rows": ROWS, "sequences": SEQUENCES, "moves": MOVES}[kind])
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
            f"--env=PGOPTIONS={OPTIONS}",
            "--env=PGCLIENTENCODING=UTF8",
            service,
            *PSQL,
            f"--dbname={conninfo(database)}",
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
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
    return compose.execute(service, *PSQL, f"--dbname={conninfo(database)}", what=what, stdin=sql.encode()).strip()


def conninfo(database: str) -> str:
    """The name of a database, so that whatever it is it is taken for nothing else."""
    return "dbname='" + database.replace("\\", "\\\\").replace("'", "\\'") + "'"


def between(
    found: Mapping[str, int],
    first: Mapping[str, int],
    last: Mapping[str, int],
    what: str,
    moved: Mapping[str, int] | None = None,
) -> list[str]:
    """What of *found* is not between what was counted before and after: one sentence each.

    *moved*: how many rows came and went between the two counts, for tables that may have had other numbers meanwhile.
    """
    wrong = [f"{what} {name} is missing" for name in sorted((first.keys() & last.keys()) - found.keys())]
    for name in sorted(found.keys() & (first.keys() | last.keys())):
        counted = [counts[name] for counts in (first, last) if name in counts]
        # What came or went while it was counted may have any number.
        slack = (moved or {}).get(name, 0)
        if len(counted) == 2 and not min(counted) - slack <= found[name] <= max(counted) + slack:
            expected = " to ".join(dict.fromkeys(map(str, sorted(counted))))
            wrong.append(f"{what} {name}: {found[name]}, {expected} expected")
    return wrong + [f"{what} {name} was not there" for name in sorted(found.keys() - first.keys() - last.keys())]


def counting_script(database: str) -> str:
    """Shell that prints what is counted in *database* of a scratch cluster, for `read_counts`."""
    begin = shlex.quote(json.dumps(["database", database, 0]))
    psql = shlex.join([*PSQL, f"--dbname={conninfo(database)}"])
    return f"printf '%s\\n' {begin}\n{psql} <<'SQL'\n{ROWS}{SEQUENCES}SQL\n"


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
