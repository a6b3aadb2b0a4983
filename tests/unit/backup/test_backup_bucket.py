from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from backup_case import config

from somos_backup.errors import BackupError, PassingError
from somos_backup.jobs import bucket
from somos_backup.jobs.bucket import Bucket, compared, is_mounted, refuse_unmounted, sample
from somos_backup.process import CommandError
from somos_backup.rclone import Rclone

MOUNTS = (
    "25 1 0:23 / / rw,relatime shared:1 - ext4 /dev/vda rw\n"
    "36 25 0:31 / /mnt/nas rw,nosuid shared:2 master:1 - nfs4 nas:/export rw\n"
    "37 25 0:32 / /mnt/with\\040space rw - cifs //nas/x rw\n"
    "38 25 0:33 / /mnt/promised rw - autofs systemd-1 rw\n"
)


@pytest.mark.parametrize(
    ("place", "mounted"),
    [("/mnt/nas", True), ("/mnt/with space", True), ("/mnt/promised", False), ("/mnt", False), ("/mnt/nas/x", False)],
)
def test_a_mount_is_what_the_kernel_calls_one(tmp_path: Path, place: str, mounted: bool) -> None:
    table = tmp_path / "mountinfo"
    table.write_text(MOUNTS)
    assert is_mounted(Path(place), table) is mounted


def test_nothing_is_written_below_a_place_where_nothing_is_mounted(tmp_path: Path) -> None:
    with pytest.raises(BackupError, match="is not mounted; nothing was written"):
        refuse_unmounted(tmp_path)
    with pytest.raises(BackupError, match="does not answer"):
        refuse_unmounted(tmp_path / "gone")


def test_objects_that_are_missing_or_of_another_size_are_named() -> None:
    saved = {"a": {"size": 1}, "b": {"size": 2}, "c": {"size": 3}}
    assert list(compared(saved, {"b": {"size": 2}, "c": {"size": 4}, "newer": {"size": 9}})) == [
        "a is missing",
        "c: 4 bytes, 3 were saved",
    ]


def test_a_sample_is_all_of_a_few_and_keeps_its_limits_of_many(monkeypatch: pytest.MonkeyPatch) -> None:
    few = {f"o{number}": {"size": 1} for number in range(10)}
    assert sample(list(few), few) == sorted(few)
    many = {f"o{number}": {"size": bucket.SAMPLE_BYTES // 10} for number in range(1000)}
    assert len(sample(list(many), many)) == 10
    huge = {"one": {"size": bucket.SAMPLE_BYTES * 2}}
    assert sample(["one"], huge) == ["one"]
    assert sample(["odd\nname"], {"odd\nname": {"size": 1}}) == []


def program(directory: Path, script: str) -> str:
    path = directory / "rclone"
    path.write_text(f"#!/bin/bash\n{script}\n")
    path.chmod(0o755)
    return str(path)


@pytest.mark.parametrize(("code", "kind"), [(1, PassingError), (5, PassingError), (7, CommandError)])
def test_what_may_pass_is_told_by_the_exit_code(tmp_path: Path, code: int, kind: type[Exception]) -> None:
    rclone = Rclone(program(tmp_path, f"echo words >&2; exit {code}"), tmp_path, {})
    with pytest.raises(BackupError, match="words") as error:
        rclone.run("copy", "a", "b", what="Copying")
    assert isinstance(error.value, kind) and isinstance(error.value, PassingError) is (kind is PassingError)


def test_a_place_that_is_not_there_has_no_files(tmp_path: Path) -> None:
    assert Rclone(program(tmp_path, "exit 3"), tmp_path, {}).listing("sealed:", "Listing") == {}


def test_a_listing_has_sizes_and_what_digests_there_are(tmp_path: Path) -> None:
    found = [
        {"Path": "a/b", "Size": 3, "Hashes": {"md5": "abc"}},
        {"Path": "c", "Size": 0},
        {"Path": "d", "Size": 1, "Hashes": {"md5": ""}},
    ]
    (tmp_path / "listing").write_text(json.dumps(found))
    listing = Rclone(program(tmp_path, f"cat {tmp_path}/listing"), tmp_path, {}).listing("source:", "Listing")
    assert listing == {"a/b": {"size": 3, "md5": "abc"}, "c": {"size": 0}, "d": {"size": 1}}


@pytest.fixture
def job(tmp_path: Path) -> Bucket:
    for name, text in {
        "access": "the-access-key\n",
        "secret": "the-secret-key\n",
        "credentials": "[default]\naws_access_key_id = theirs\naws_secret_access_key = their%secret\n",
        "media": "the-passphrase\n",
    }.items():
        (tmp_path / name).write_text(text)
    values: dict[str, Any] = {
        "name": "media",
        "kind": "bucket",
        "weekly": True,
        "endpoint": "http://127.0.0.1:9000",
        "region": "us-east-1",
        "access_key_file": str(tmp_path / "access"),
        "secret_key_file": str(tmp_path / "secret"),
        "password_file": str(tmp_path / "media"),
        "destinations": {
            "offsite": {
                "s3": "https://s3.example",
                "bucket": "b",
                "prefix": "media",
                "credentials_file": str(tmp_path / "credentials"),
                "region": "auto",
                "provider": "Cloudflare",
                "uri_style": "path",
                "ca_file": str(tmp_path / "ca.pem"),
            },
            "nas": {"path": str(tmp_path / "nas" / "media"), "mount": str(tmp_path / "nas")},
        },
    }
    noting = f'echo "$@" > {tmp_path}/argv; env > {tmp_path}/env'
    script = 'if [[ "$*" == *obscure* ]]; then read -r word; echo "obscured($word)"; exit; fi; ' + noting
    return Bucket(config(tmp_path, rclone=program(tmp_path, script)), values)


def test_remotes_and_their_secrets_are_in_the_environment_alone(tmp_path: Path, job: Bucket) -> None:
    job._rclone("offsite").run("copy", "source:", "sealed:current", what="Copying")
    environment = dict(line.split("=", 1) for line in (tmp_path / "env").read_text().splitlines() if "=" in line)
    expected = {
        "SOURCE_SECRET_ACCESS_KEY": "the-secret-key",
        "STORE_SECRET_ACCESS_KEY": "their%secret",
        "STORE_FORCE_PATH_STYLE": "true",
        "SEALED_PASSWORD": "obscured(the-passphrase)",
        "SEALED_REMOTE": "store:b/media",
    }
    assert {name: environment[f"RCLONE_CONFIG_{name}"] for name in expected} == expected
    assert not [word for word in ("the-", "their%secret") if word in (tmp_path / "argv").read_text()]
    assert f"--ca-cert={tmp_path}/ca.pem" in (tmp_path / "argv").read_text()


def test_a_nas_that_is_not_mounted_is_refused_before_anything_runs(tmp_path: Path, job: Bucket) -> None:
    (tmp_path / "nas").mkdir()
    with pytest.raises(BackupError, match="not mounted"):
        job._rclone("nas")
    assert list((tmp_path / "nas").iterdir()) == []


def test_the_program_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(BackupError, match="there is no /nowhere/rclone"):
        Rclone("/nowhere/rclone", tmp_path, {}).run("copy", what="Copying")
