"""restic in the place of which a program stands that notes how it was called, and ends as it is told."""

from __future__ import annotations

import json
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest
from backup_case import config

from somos_backup.errors import BackupError, PassingError
from somos_backup.restic import Restic, moment

PROGRAM = """#!/usr/bin/env python3
import json, os, sys
from pathlib import Path
here = Path(__file__).parent
calls = here / "calls.json"
noted = json.loads(calls.read_text()) if calls.exists() else []
noted.append({"argv": sys.argv[1:], "env": dict(os.environ), "cwd": os.getcwd()})
calls.write_text(json.dumps(noted))
command = next(word for word in sys.argv[1:] if not word.startswith("-"))
answers = json.loads((here / "answers.json").read_text())
queue = answers.get(command, [[0, ""]])
code, said = queue.pop(0) if len(queue) > 1 else queue[0]
(here / "answers.json").write_text(json.dumps(answers))
print(said)
print("words of restic", file=sys.stderr)
sys.exit(code)
"""
SUMMARY = json.dumps({"message_type": "summary", "snapshot_id": "abc", "data_added": 5})


class Case:
    def __init__(self, directory: Path) -> None:
        self.directory = directory
        program = directory / "restic"
        program.write_text(PROGRAM)
        program.chmod(0o755)
        self.config = config(directory, restic=str(program), upload_kib_per_s=100)
        self.answer()

    def answer(self, **answers: list[list[Any]]) -> None:
        (self.directory / "answers.json").write_text(json.dumps({"backup": [[0, SUMMARY]], **answers}))

    def repository(self, name: str = "offsite") -> Restic:
        return Restic(self.config, self.config.repositories[name])

    def calls(self) -> list[dict[str, Any]]:
        path = self.directory / "calls.json"
        return json.loads(path.read_text()) if path.exists() else []

    def commands(self) -> list[str]:
        return [next(word for word in call["argv"] if not word.startswith("-")) for call in self.calls()]


@pytest.fixture
def case(tmp_path: Path) -> Case:
    return Case(tmp_path)


def test_a_directory_is_stored_with_its_job_and_run(case: Case) -> None:
    assert case.repository().save(case.directory, "redis", "20261125") == ("abc", 5)
    assert case.commands() == ["unlock", "backup"]
    call = case.calls()[-1]
    assert {"--tag=redis", "--tag=run=20261125", "--host=server", "--limit-upload=100", "--retry-lock=5m"} <= set(
        call["argv"]
    )
    assert call["cwd"] == str(case.directory)
    assert {f"--cacert={case.directory}/ca.pem", "--option=s3.bucket-lookup=path"} <= set(call["argv"])


def test_secrets_are_named_by_file_and_nothing_of_the_caller_decides(
    case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RESTIC_PASSWORD", "of somebody else")
    monkeypatch.setenv("AWS_PROFILE", "of somebody else")
    case.repository().ready()
    environment = case.calls()[0]["env"]
    assert environment["RESTIC_PASSWORD_FILE"] == f"{case.directory}/passphrase"
    assert environment["AWS_SHARED_CREDENTIALS_FILE"] == f"{case.directory}/credentials"
    assert not {"RESTIC_PASSWORD", "AWS_PROFILE"} & environment.keys()
    assert "a passphrase" not in json.dumps(case.calls())


def test_the_local_repository_is_given_nothing_of_s3(case: Case) -> None:
    case.repository("local").ready()
    call = case.calls()[0]
    assert not [word for word in call["argv"] if "s3" in word or "cacert" in word]
    assert "AWS_SHARED_CREDENTIALS_FILE" not in call["env"]


def test_a_repository_that_is_not_there_is_made(case: Case) -> None:
    case.answer(unlock=[[10, ""]])
    case.repository().save(case.directory, "redis", "run")
    assert case.commands() == ["unlock", "init", "backup"]


def test_what_is_not_whole_is_forgotten_again(case: Case) -> None:
    snapshots = [
        {"id": "whole", "time": "2026-11-25T00:00:00Z", "paths": ["/x"], "tags": ["redis", "run=other"]},
        {"id": "half", "time": "2026-11-25T01:00:00Z", "paths": ["/x"], "tags": ["redis", "run=mine"]},
    ]
    case.answer(backup=[[3, SUMMARY]], snapshots=[[0, json.dumps(snapshots)]])
    with pytest.raises(BackupError, match="Not all files could be read"):
        case.repository().save(case.directory, "redis", "mine")
    assert case.calls()[-1]["argv"][-2:] == ["forget", "half"]


def test_a_wrong_passphrase_is_told_and_never_tried_again(case: Case) -> None:
    case.answer(unlock=[[12, ""]])
    with pytest.raises(BackupError, match=r"the passphrase in .*/passphrase does not open the repository") as error:
        case.repository().save(case.directory, "redis", "run")
    assert not isinstance(error.value, PassingError)


@pytest.mark.parametrize("code", [1, 11, 130])
def test_any_other_error_may_pass(case: Case, code: int) -> None:
    case.answer(backup=[[code, ""]])
    with pytest.raises(PassingError, match=r"Storing \(offsite: s3:.*words of restic"):
        case.repository().save(case.directory, "redis", "run")


def test_a_repository_that_is_not_there_has_no_snapshots(case: Case) -> None:
    case.answer(snapshots=[[10, ""]])
    assert case.repository().snapshots() == []


def test_snapshots_come_oldest_first_with_their_size(case: Case) -> None:
    listed = [
        {
            "id": "new",
            "time": "2026-11-25T01:00:00.123456789-03:00",
            "paths": ["/x"],
            "summary": {"total_bytes_processed": 9},
        },
        {"id": "old", "time": "2026-11-25T01:00:00Z", "paths": ["/x"], "tags": None},
    ]
    case.answer(snapshots=[[0, json.dumps(listed)]])
    found = case.repository().snapshots("redis")
    assert [(snapshot.id, snapshot.size) for snapshot in found] == [("old", 0), ("new", 9)]
    assert "--tag=redis" in case.calls()[0]["argv"]


def too_old(*ids: str) -> list[list[Any]]:
    return [[0, json.dumps([{"tags": None, "remove": [{"id": each} for each in ids]}])], [0, ""]]


def test_retention_counts_from_the_newest_of_the_job_and_server_alone(case: Case) -> None:
    case.answer(forget=too_old("one", "two"))
    case.repository().keep("redis", 14)
    asked, forgot = (call["argv"] for call in case.calls())
    assert {"--dry-run", "--host=server", "--tag=redis", "--group-by=", "--keep-within=14d", "--keep-last=3"} <= set(
        asked
    )
    assert forgot[-3:] == ["forget", "one", "two"]


def test_what_was_proven_last_stays_whatever_its_age(case: Case) -> None:
    case.answer(forget=too_old("one", "proven"))
    case.repository().keep("redis", 14, "proven")
    assert case.calls()[-1]["argv"][-2:] == ["forget", "one"]


def test_nothing_goes_where_nothing_is_too_old(case: Case) -> None:
    for said in ("[]", "null", '[{"remove": null}]'):
        case.answer(forget=[[0, said]])
        case.repository().keep("redis", 14)
    assert all("--dry-run" in call["argv"] for call in case.calls())


def test_many_at_once_go_only_when_somebody_says_so(case: Case, capsys: pytest.CaptureFixture[str]) -> None:
    case.answer(forget=too_old(*map(str, range(11))))
    case.repository().keep("redis", 14)
    assert len(case.calls()) == 1
    assert "11 backups would be too old at once; none was removed" in capsys.readouterr().err


def test_pruning_reads_a_part_of_the_data_again(case: Case) -> None:
    case.repository().prune()
    assert case.commands() == ["unlock", "prune", "check"]
    assert "--read-data-subset=5%" in case.calls()[-1]["argv"]


def test_another_servers_snapshots_are_none_of_ours(case: Case) -> None:
    case.answer(snapshots=[[0, "[]"]])
    case.repository().snapshots("redis")
    assert "--host=server" in case.calls()[0]["argv"]


def test_times_are_read_with_whatever_fraction_they_have() -> None:
    expected = datetime(2026, 11, 25, 4, 0, tzinfo=timezone.utc)
    for text in ("2026-11-25T04:00:00Z", "2026-11-25T01:00:00.123456789-03:00", "2026-11-25T04:00:00.1Z"):
        assert moment(text) == expected
