"""Media that were encrypted with another passphrase: rclone sees none of them, and all would be well."""

from __future__ import annotations

from pathlib import Path

import pytest
from backup_case import config

from somos_backup.errors import BackupError
from somos_backup.jobs.bucket import Bucket

# What is there as it lies there, and what of it opens.
SCRIPT = """#!/bin/bash
case "$*" in
  *obscure*) echo x ;;
  *"lsf sealed:"*) printf '%s' "$(cat {here}/opens)" ;;
  *lsf*) printf '%s' "$(cat {here}/lies)" ;;
  *lsjson*) echo '[]' ;;
  *) echo "$@" >> {here}/did; exit 7 ;;
esac
"""


@pytest.fixture
def job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bucket:
    program = tmp_path / "rclone"
    program.write_text(SCRIPT.format(here=tmp_path))
    program.chmod(0o755)
    (tmp_path / "secret").write_text("secret")
    monkeypatch.setattr("somos_backup.jobs.bucket.refuse_unmounted", lambda mount: None)
    secrets = {name: str(tmp_path / "secret") for name in ("access_key_file", "secret_key_file", "password_file")}
    place = {"path": str(tmp_path / "nas"), "mount": str(tmp_path)}
    values = {"name": "media", "endpoint": "http://x", "region": "r", "destinations": {"nas": place}, **secrets}
    return Bucket(config(tmp_path, rclone=str(program)), values)


def test_nothing_is_copied_beside_what_does_not_open(tmp_path: Path, job: Bucket) -> None:
    (tmp_path / "lies").write_text("q1w2e3/\n")
    (tmp_path / "opens").write_text("")
    with job.prepared("run") as prepared, pytest.raises(BackupError, match="opens nothing of what is in nas"):
        job.store("run", prepared, "nas")
    with pytest.raises(BackupError, match="opens nothing of what is in nas"):
        job.points("nas")
    assert not (tmp_path / "did").exists()


@pytest.mark.parametrize(("lies", "opens"), [("", ""), ("q1w2e3/\n", "current/\n")])
def test_a_new_place_and_one_s_own_are_no_strangers(tmp_path: Path, job: Bucket, lies: str, opens: str) -> None:
    (tmp_path / "lies").write_text(lies)
    (tmp_path / "opens").write_text(opens)
    assert job.points("nas") == []
