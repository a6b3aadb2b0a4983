from __future__ import annotations

import os
import stat
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from somos_backup import process
from somos_backup.errors import BackupError
from somos_backup.process import CommandError, TimeLimitError, run


def test_output_is_returned_and_an_environment_is_bare(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_PROFILE", "of somebody else")
    assert run(["env"], what="Looking", env={"OWN": "1"}).splitlines()[-1] == "OWN=1"
    assert "AWS_PROFILE" not in run(["env"], what="Looking")


def test_large_output_goes_to_a_file_and_what_is_said_comes_back(tmp_path: Path) -> None:
    with (tmp_path / "out").open("wb") as stream:
        said = run(["sh", "-c", "seq 100000; echo said >&2"], what="Counting", stdout=stream)
    assert said == "said\n" and (tmp_path / "out").read_text().endswith("100000\n")


@pytest.mark.parametrize("streamed", [False, True])
def test_an_error_has_its_code_and_last_words(tmp_path: Path, streamed: bool) -> None:
    with (tmp_path / "out").open("wb") as stream, pytest.raises(CommandError) as error:
        run(["sh", "-c", "echo broken >&2; exit 3"], what="Trying", stdout=stream if streamed else None)
    assert (error.value.code, str(error.value)) == (3, "Trying failed (exit code 3): broken")


@pytest.mark.parametrize("streamed", [False, True])
def test_what_hangs_is_ended(tmp_path: Path, streamed: bool) -> None:
    with (tmp_path / "out").open("wb") as stream, pytest.raises(TimeLimitError, match="ran for more than 1 s"):
        run(
            [sys.executable, "-c", "import time; time.sleep(60)"],
            what="Waiting",
            stdout=stream if streamed else None,
            limit_s=1,
        )


def test_a_disk_is_never_filled_to_the_last_byte(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fstatvfs", lambda handle: SimpleNamespace(f_bavail=process.RESERVE // 2 - 1, f_frsize=1))
    with (tmp_path / "out").open("wb") as stream, pytest.raises(BackupError, match="less than 512 MiB are free"):
        run(["sleep", "60"], what="Dumping", stdout=stream)
    reader, writer = os.pipe()
    assert stat.S_ISFIFO(os.fstat(writer).st_mode)
    with os.fdopen(writer, "wb") as pipe:  # a pipe has no room to look at
        run(["echo", "through"], what="Showing", stdout=pipe)
    assert os.read(reader, 100) == b"through\n"
    os.close(reader)


def test_rows_that_an_error_quotes_do_not_reach_the_journal() -> None:
    words = (
        'pg_restore: error: COPY failed for table "clients": ERROR:  duplicate key\n'
        "DETAIL:  Key (cpf)=(123.456.789-00) already exists.\n"
        'CONTEXT:  COPY clients, line 3: "123.456.789-00 Maria"\n'
        "pg_restore: detail: Command was: COPY public.clients\n"
        "psql:globals.sql:3: STATEMENT:  ALTER ROLE somos PASSWORD 'SCRAM'\n"
        "the end"
    )
    assert CommandError("Restoring", 1, words).words == (
        'pg_restore: error: COPY failed for table "clients": ERROR:  duplicate key\nthe end'
    )
