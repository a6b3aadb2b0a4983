from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from backup_case import Containers, config

from somos_backup import postgres
from somos_backup.compose import Compose
from somos_backup.errors import BackupError, PassingError
from somos_backup.jobs import pgbackrest
from somos_backup.jobs.base import Point
from somos_backup.jobs.pgbackrest import PgBackRest
from somos_backup.manifest import Manifest
from somos_backup.process import CommandError
from somos_backup.wal import last_gap, wal_metrics

DAY = 86400


def test_counts_between_those_before_and_after_are_right() -> None:
    first, last = {"a": 10, "b": 5, "dropped": 1}, {"a": 12, "b": 5, "made": 3}
    assert postgres.between({"a": 11, "b": 5}, first, last, "rows") == []
    assert postgres.between({"a": 10, "b": 5, "dropped": 1, "made": 0}, first, last, "rows") == []


def test_each_other_count_is_named_with_what_was_expected() -> None:
    found = postgres.between({"a": 13, "c": 1}, {"a": 10, "b": 5}, {"a": 12, "b": 5}, "rows")
    assert found == ["rows b is missing", "rows a: 13, 10 to 12 expected", "rows c was not there"]
    assert postgres.between({"b": 4}, {"b": 5}, {"b": 5}, "rows") == ["rows b: 4, 5 expected"]


def test_printed_counts_are_read_by_database() -> None:
    lines = [
        ["database", "odd \"name'", 0],
        ["rows", "public.t", 3],
        ["sequences", "public.s", 9],
        ["database", "empty", 0],
    ]
    printed = "a notice\n" + "\n".join(map(json.dumps, lines)) + "\n"
    assert postgres.read_counts(printed) == {
        "odd \"name'": {"rows": {"public.t": 3}, "sequences": {"public.s": 9}},
        "empty": {"rows": {}, "sequences": {}},
    }


def fake_docker(directory: Path, script: str, monkeypatch: pytest.MonkeyPatch) -> Compose:
    program = directory / "docker"
    program.write_text(f"#!/bin/bash\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{directory}:/usr/bin:/bin")
    return Compose(directory, directory / "scratch.yml")


def test_a_session_answers_one_question_after_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = (
        r'while read -r line; do case $line in "\echo "*) echo "${line#\\echo }" ;; *) echo "said $line" ;; esac; done'
    )
    with postgres.session(fake_docker(tmp_path, script, monkeypatch), "postgres", "somos") as session:
        assert session.ask("SELECT 1;") == ["said SELECT 1;"]
        assert session.ask("SELECT 2;") == ["said SELECT 2;"]


def test_a_session_that_ends_is_an_error_with_its_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    compose = fake_docker(tmp_path, 'echo "psql: FATAL: no such database" >&2; exit 2', monkeypatch)
    with (
        postgres.session(compose, "postgres", "gone") as session,
        pytest.raises(BackupError, match=r"gone.*no such database"),
    ):
        session.ask("SELECT 1;")


def backup(label: str, kind: str, days_ago: float, error: bool = False) -> dict[str, Any]:
    stop = int(datetime.now(timezone.utc).timestamp() - days_ago * DAY)
    return {
        "label": label,
        "type": kind,
        "error": error,
        "timestamp": {"start": stop - 10, "stop": stop},
        "lsn": {"start": "0/1", "stop": "0/2"},
        "archive": {"start": "1", "stop": "2"},
        "info": {"size": 100, "repository": {"delta": 10}},
    }


def info(*backups: dict[str, Any], code: int = 0) -> str:
    return json.dumps(
        [{"name": "another", "backup": []}, {"name": "somos", "status": {"code": code}, "backup": list(backups)}]
    )


def job(directory: Path, **answers: Any) -> PgBackRest:
    values = {
        "name": "postgres",
        "kind": "pgbackrest",
        "service": "postgres",
        "stanza": "somos",
        "repositories": {"local": 1, "offsite": 2},
        "gap_directory": str(directory),
        "full_every_days": 7,
    }
    made = PgBackRest(config(directory), values, sleep=lambda seconds: None)
    made.compose = Containers({key.replace("_", "-"): answer for key, answer in answers.items()})  # type: ignore[assignment]
    return made


@pytest.mark.parametrize(
    ("there", "kind"),
    [
        ([], "full"),
        ([("diff", 1.0, False)], "full"),
        ([("full", 1.0, False)], "diff"),
        ([("full", 6.4, False), ("diff", 1.0, False)], "diff"),
        ([("full", 6.9, False), ("diff", 1.0, False)], "full"),
        ([("full", 9.0, False), ("full", 1.0, True)], "full"),
        ([("full", -0.05, False)], "diff"),  # the clock went back an hour
    ],
)
def test_a_full_one_is_due_when_the_last_good_one_is_a_week_old(
    tmp_path: Path, there: list[tuple[str, float, bool]], kind: str
) -> None:
    backups = [backup(f"{number}F", *each) for number, each in enumerate(there)]
    assert job(tmp_path, info=info(*backups))._type("local") == kind


@pytest.mark.parametrize(("codes", "commands"), [([0], 0), ([2], 0), ([1, 0], 1), ([3, 2], 1)])
def test_a_repository_that_does_not_know_the_cluster_is_told(tmp_path: Path, codes: list[int], commands: int) -> None:
    said = [info(code=code) for code in codes]
    made = job(tmp_path, stanza_create="", info=lambda stdout: said.pop(0) if len(said) > 1 else said[0])
    made._know_stanza("local")
    containers: Any = made.compose
    assert sum("stanza-create" in command for command in containers.commands) == commands


def test_the_other_repository_may_be_away_meanwhile(tmp_path: Path) -> None:
    said = [info(code=1), info(code=2)]

    def away(stdout: Any) -> str:
        raise CommandError("Making the repositories known", 49, "S3 is away")

    job(tmp_path, stanza_create=away, info=lambda stdout: said.pop(0))._know_stanza("local")
    said = [info(code=1), info(code=1)]
    with pytest.raises(PassingError, match="S3 is away"):
        job(tmp_path, stanza_create=away, info=lambda stdout: said.pop(0))._know_stanza("offsite")


@pytest.mark.parametrize(
    ("code", "passes"), [(49, True), (50, True), (82, True), (25, False), (28, False), (37, False)]
)
def test_what_may_pass_is_told_from_what_does_not(tmp_path: Path, code: int, passes: bool) -> None:
    def fail(stdout: Any) -> str:
        raise CommandError("Backing up", code, "words")

    with pytest.raises(BackupError) as error:
        job(tmp_path, backup=fail)._run("local", "backup", what="Backing up")
    assert isinstance(error.value, PassingError) is passes


@pytest.mark.parametrize(("minutes", "stays"), [(-5, False), (5, True)])
def test_a_gap_is_closed_by_a_backup_that_began_after_it(tmp_path: Path, minutes: int, stays: bool) -> None:
    began = datetime.now(timezone.utc)
    last = (began + timedelta(minutes=minutes)).strftime("%Y-%m-%dT%H:%M:%SZ")
    (tmp_path / "gap.offsite").write_text(
        f"2026-01-01T00:00:00Z 000000010000000000000001\n{last} 000000010000000000000002\n"
    )
    (tmp_path / "gap.local").write_text("")
    job(tmp_path)._close_gap("offsite", began)
    assert (tmp_path / "gap.offsite").exists() is stays
    assert (tmp_path / "gap.local").exists()


def test_the_last_line_of_a_gap_counts() -> None:
    text = "2026-11-25T03:00:00Z 0000000100000000000000AA\n2026-11-25T04:00:00Z 0000000100000000000000AB\n"
    assert last_gap(text) == datetime(2026, 11, 25, 4, tzinfo=timezone.utc)


def test_metrics_of_the_archive_say_which_repository_has_a_gap(tmp_path: Path) -> None:
    said = {"wal_archive_age_seconds": 3.5, "wal_archive_failures_total": 1, "wal_waiting_segments": 2}
    (tmp_path / "gap.offsite").write_text("2026-11-25T03:00:00Z 0000000100000000000000AA\n")
    found = wal_metrics(job(tmp_path, SELECT_json=json.dumps(said), **{"SELECT json": json.dumps(said)}))
    assert found == {**said, "gaps": {"local": 0, "offsite": 1}}


@pytest.mark.parametrize("words", ["status: error\n", "", "stanza: somos\nstatus: error\n  backup: x, status: ok"])
def test_verify_is_judged_by_its_words(tmp_path: Path, words: str) -> None:
    job(tmp_path, verify="stanza: somos\nstatus: ok\n").prune("local")
    with pytest.raises(BackupError, match="found something wrong in repository local"):
        job(tmp_path, verify=words).prune("local")


def test_the_archive_is_waited_for_but_not_for_ever(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arrived = ["000000010000000000000001", "000000010000000000000002"]
    made = job(tmp_path)
    made.compose = Containers(  # type: ignore[assignment]
        {"pg_walfile_name": "000000010000000000000002\n", "last_archived_wal": lambda stdout: arrived.pop(0)}
    )
    made._archive()
    assert arrived == []
    made.compose.answers["last_archived_wal"] = ""  # type: ignore[attr-defined]
    made._archive()
    assert "has not arrived in every repository" in capsys.readouterr().err
    assert pgbackrest.ARCHIVE_LIMIT_S == 60


def test_a_name_of_a_database_is_taken_for_nothing_else() -> None:
    assert postgres.conninfo("somos") == "dbname='somos'"
    assert postgres.conninfo("host=evil o'x \\") == "dbname='host=evil o\\'x \\\\'"


def test_rows_that_came_and_went_widen_what_may_be_there() -> None:
    counts = {"queue": 5, "quiet": 5}
    assert len(postgres.between({"queue": 9, "quiet": 5}, counts, counts, "rows")) == 1
    assert postgres.between({"queue": 9, "quiet": 5}, counts, counts, "rows", {"queue": 4}) == []
    assert len(postgres.between({"queue": 10, "quiet": 6}, counts, counts, "rows", {"queue": 4})) == 2
    before, after = {"moves": {"queue": 10, "quiet": 3}}, {"moves": {"queue": 14, "quiet": 3, "new": 2}}
    assert pgbackrest.moved(before, after) == {"queue": 4, "new": 2}


def manifest_of(made: PgBackRest, before: dict[str, Any], after: dict[str, Any]) -> None:
    facts = {"restore_point": "p", "databases": {"somos": {"before": before, "after": after}}}
    made._manifest = lambda point: Manifest("postgres", "run", "", facts)  # type: ignore[method-assign]


@pytest.mark.parametrize(("value", "right"), [(10, True), (43, True), (9, False), (None, False)])
def test_a_sequence_may_come_back_ahead_and_never_behind(tmp_path: Path, value: int | None, right: bool) -> None:
    made = job(tmp_path)
    manifest_of(made, *({"rows": {}, "sequences": {"public.s": number}} for number in (10, 11)))
    lines = [["database", "somos", 0], *([["sequences", "public.s", value]] if value is not None else [])]
    made._restored = lambda point, saved: "\n".join(map(json.dumps, lines))  # type: ignore[method-assign]
    verdict = made.verify(Point("20261125-030000F", "postgres", "local", datetime.now(timezone.utc), 1))
    assert (list(verdict.wrong) == []) is right


def test_damaged_pages_are_no_good_backup(tmp_path: Path) -> None:
    made = job(tmp_path, backup="", info=info(backup("20261125-030000F", "full", 0, error=True)))
    with pytest.raises(BackupError, match="wrong checksums"):
        made._back_up("run", "local")
    manifest_of(made, {"rows": {}, "sequences": {}}, {"rows": {}, "sequences": {}})
    made._restored = lambda point, saved: ""  # type: ignore[method-assign]
    assert len(made.verify(made.points("local")[0]).wrong) == 1


def test_a_second_try_goes_on_with_the_backup_of_the_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = job(tmp_path)
    taken: list[str] = []

    def back_up(run_id: str, destination: str) -> Any:
        taken.append(destination)
        return backup("20261125-030000F", "full", 0), {}

    saves = iter([PassingError("S3 is away"), ("id", 1)])

    class Repository:
        def save(self, *arguments: Any) -> Any:
            answer = next(saves)
            if isinstance(answer, Exception):
                raise answer
            return answer

        def keep(self, *arguments: Any) -> None: ...

    monkeypatch.setattr(made, "_back_up", back_up)
    monkeypatch.setattr(made, "repository", lambda destination: Repository())
    (made.directory / "data").mkdir(parents=True)
    prepared = Manifest("postgres", "run", "", {})
    with pytest.raises(PassingError):
        made.store("run", prepared, "local")
    assert made.store("run", prepared, "local").id == "20261125-030000F" and taken == ["local"]


def test_what_is_given_up_while_a_gap_is_closed_is_not_forgotten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    began = datetime.now(timezone.utc)
    lines = [
        f"{began + timedelta(minutes=minutes):%Y-%m-%dT%H:%M:%SZ} 00000001000000000000000{segment}\n"
        for minutes, segment in ((-5, 1), (5, 2))
    ]
    path = tmp_path / "gap.local"
    path.write_text(lines[0])
    rename = Path.rename

    def late(self: Path, target: Path) -> Path:
        with self.open("a") as stream:
            stream.write(lines[1])
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", late)
    job(tmp_path)._close_gap("local", began)
    assert path.read_text() == "".join(lines) and not (tmp_path / "gap.local.closing").exists()


@pytest.mark.parametrize(("manifests", "chosen"), [(["3F", "1F"], "3F"), (["gone", "1F"], "1F"), ([], "3F")])
def test_a_backup_of_a_killed_run_is_no_reason_to_prove_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, manifests: list[str], chosen: str
) -> None:
    made = job(tmp_path)
    saved = [Manifest("postgres", "run", "", {"backup": label}) for label in manifests]
    monkeypatch.setattr(made, "_manifests", lambda destination: iter(saved))
    points = [Point(label, "postgres", "local", datetime.now(timezone.utc), 1) for label in ("1F", "2F", "3F")]
    assert made.newest(points).id == chosen


@pytest.mark.parametrize("error", ["CryptoError", "FormatError"])
def test_a_passphrase_that_does_not_open_is_told_without_what_it_made(tmp_path: Path, error: str) -> None:
    status = {"code": 99, "message": "other"}
    repository = {"status": {"code": 99, "message": f"[{error}] key/value found outside of section: \x01\x02=x"}}
    said = json.dumps([{"name": "somos", "status": status, "repo": [repository]}])
    with pytest.raises(BackupError, match=r"passphrase of repository local does not open it.*\?\?=x") as found:
        job(tmp_path, info=said)._info("local")
    assert not isinstance(found.value, PassingError)
