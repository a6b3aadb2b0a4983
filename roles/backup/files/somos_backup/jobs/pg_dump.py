"""Job of kind `pg_dump`: every database as PostgreSQL's portable dump, and what all share."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

from .. import postgres
from .base import StagedJob

GLOBALS = "globals.sql"
# A cluster of its own, without a port, that need not survive anything.
SCRATCH_SERVER = """
set -euo pipefail
cluster=$PGDATA
initdb --pgdata="$cluster" --username=postgres --auth=trust --encoding=UTF8 --no-locale --no-sync >&2
settings="-c listen_addresses= -c fsync=off -c full_page_writes=off -c archive_mode=off -c max_wal_size=1GB"
log=/tmp/scratch.log
pg_ctl --silent --wait --pgdata="$cluster" --log="$log" start -o "$settings" || { cat "$log" >&2; exit 1; }
sql() { psql --no-psqlrc --quiet --set=ON_ERROR_STOP=1 --username=postgres "$@" >&2; }
"""
# The roles exist before their objects; the superuser exists already, which is the one error that globals may meet.
RESTORE = """
sed -E '/^CREATE ROLE postgres;$|^(CREATE|ALTER|GRANT .* ON) TABLESPACE /d' /restored/globals.sql | sql
"""
RESTORE_DATABASE = """
sql --set=name="$1" <<'SQL'
SELECT format('CREATE DATABASE %I TEMPLATE template0', :'name')
WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = :'name') \\gexec
SQL
pg_restore --exit-on-error --jobs=2 --no-tablespaces --username=postgres --dbname="$3" "/restored/$2.dump" >&2
"""


class PgDump(StagedJob):
    """The running container of *service* dumps; one like it restores."""

    proof = "every database restored into a cluster of its own, its rows counted"

    def room(self) -> int:
        sizes = "SELECT sum(pg_database_size(oid)) FROM pg_database WHERE datallowconn AND NOT datistemplate;"
        self.compose.refuse_stopped(self.value("service"))
        return int(self._ask(sizes))

    def stage(self, directory: Path) -> dict[str, Any]:
        service = self.value("service")
        with (directory / GLOBALS).open("wb") as stream:
            globals_only = ("pg_dumpall", "--username=postgres", "--globals-only")
            self.compose.execute(service, *globals_only, what="pg_dumpall --globals-only", stdout=stream)
        return {
            "version": self._ask("SHOW server_version;"),
            "databases": {name: self._dump(name, directory) for name in json.loads(self._ask(postgres.DATABASES))},
        }

    def _dump(self, database: str, directory: Path) -> dict[str, Any]:
        """Dumped and counted in one view of the data. Sequences are outside of every view: they may go on meanwhile."""
        service = self.value("service")
        with postgres.session(self.compose, service, database) as session:
            session.ask("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;")
            (snapshot,) = session.ask("SELECT pg_export_snapshot();")
            (lsn,) = session.ask("SELECT pg_current_wal_insert_lsn();")
            sequences = session.counted("sequences")
            # Not compressed: restic does that, and finds what did not change since yesterday.
            command = ["pg_dump", "--username=postgres", "--format=custom", "--compress=0", f"--snapshot={snapshot}"]
            command.append(f"--lock-wait-timeout={postgres.LOCK_LIMIT}")
            with self._file(directory, database).open("wb") as stream:
                what = f"pg_dump of {database}"
                self.compose.execute(
                    service, *command, f"--dbname={postgres.conninfo(database)}", what=what, stdout=stream
                )
            return {
                "file": self._file(directory, database).name,
                "lsn": lsn,
                "size": int(session.ask("SELECT pg_database_size(current_database());")[0]),
                "rows": session.counted("rows"),
                "sequences": sequences,
                "sequences_after": session.counted("sequences"),
            }

    def differences(self, directory: Path, facts: Mapping[str, Any]) -> list[str]:
        wrong = []
        for database, found in self._restored(directory, facts["databases"]).items():
            saved = facts["databases"][database]
            wrong += postgres.between(found["rows"], saved["rows"], saved["rows"], f"rows of {database}:")
            wrong += postgres.between(
                found["sequences"], saved["sequences"], saved["sequences_after"], f"sequence of {database}:"
            )
        return wrong

    def _restored(self, directory: Path, databases: Mapping[str, Any]) -> dict[str, dict[str, dict[str, int]]]:
        script = [SCRATCH_SERVER, RESTORE]
        for name in databases:
            words = shlex.join([name, quote(name, safe=""), postgres.conninfo(name)])
            script.append(f"set -- {words}\n{RESTORE_DATABASE}")
            script.append(postgres.counting_script(name))
        printed = self.compose.scratch(
            self.value("service"),
            "-c",
            "".join(script),
            what="Restoring the dump into a scratch cluster",
            entrypoint="bash",
            # What it is restored to, and the WAL of that.
            need=sum(int(each["size"]) for each in databases.values()) + (1 << 30),
            mounts=[f"{directory}:/restored:ro"],
        )
        return postgres.read_counts(printed)

    def _file(self, directory: Path, database: str) -> Path:
        return directory / f"{quote(database, safe='')}.dump"

    def _ask(self, sql: str) -> str:
        return postgres.ask(self.compose, self.value("service"), sql, f"Asking {self.value('service')}")
