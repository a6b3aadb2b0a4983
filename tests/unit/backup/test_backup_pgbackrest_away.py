"""A repository of pgBackRest that does not answer: it says that there are no backups, and ends well."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from backup_case import Containers, config

from somos_backup import points
from somos_backup.errors import BackupError, PassingError
from somos_backup.jobs.pgbackrest import PgBackRest

REFUSED = "[HostConnectError] unable to connect to 's3.example:443': [111] Connection refused"
WRONG = "[CryptoError] unable to load info file '/postgres/backup/somos/backup.info'"


def job(directory: Path, words: str) -> PgBackRest:
    values = {"name": "postgres", "service": "postgres", "stanza": "somos", "repositories": {"offsite": 2}}
    made = PgBackRest(config(directory), values)
    status = {"code": 99, "message": "other"}
    said = [
        {"name": "somos", "backup": [], "status": status, "repo": [{"key": 2, "status": {**status, "message": words}}]}
    ]
    made.compose = Containers({"info": json.dumps(said)})  # type: ignore[assignment]
    return made


def test_it_is_not_taken_for_one_without_backups(tmp_path: Path) -> None:
    found, unreachable = points.found([job(tmp_path, REFUSED)])
    assert found == [] and "Connection refused" in unreachable[0]["error"]


def test_it_is_not_told_of_the_cluster_again(tmp_path: Path) -> None:
    with pytest.raises(PassingError, match="Repository offsite does not say"):
        job(tmp_path, REFUSED)._know_stanza("offsite")


def test_control_characters_that_it_quotes_are_read(tmp_path: Path) -> None:
    made = job(tmp_path, REFUSED + "\x01\n")
    made.compose.answers["info"] = str(made.compose.answers["info"]).replace("\\u0001\\n", "\x01\n")  # type: ignore[attr-defined]
    with pytest.raises(PassingError, match="Connection refused"):
        made.points("offsite")


def test_a_wrong_passphrase_is_told_and_never_tried_again(tmp_path: Path) -> None:
    with pytest.raises(BackupError, match="The passphrase of repository offsite does not open it") as error:
        job(tmp_path, WRONG).points("offsite")
    assert not isinstance(error.value, PassingError)
