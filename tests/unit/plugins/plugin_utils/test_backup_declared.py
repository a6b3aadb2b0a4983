from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.somos.infra.plugins.plugin_utils._backup import jobs, problems, report

KNOWN = ["postgres-dump", "redis", "qdrant", "configs"]
PASSPHRASES = {f"backup_{name}_passphrase": f"{name} passphrase of the tests" for name in ("local", "s3", "media")}
BUCKET = {"name": "media", "kind": "bucket"}
S3 = {
    "backup_s3_endpoint": "account.r2.example",
    "backup_s3_bucket": "somos-backup",
    "backup_s3_access_key": "an-access-key",
    "backup_s3_secret_key": "a-secret-key",
}
SOUND: dict[str, Any] = {
    **PASSPHRASES,
    **S3,
    "backup_declarations": [{"name": "redis", "kind": "redis"}, BUCKET, {"name": "postgres", "kind": "pgbackrest"}],
    "backup_keep_days": {"redis": 14, "configs": 90},
    "backup_s3_prefix": "",
    "backup_nas_type": "",
    "backup_nas_source": "",
    "backup_nas_options": [],
    "backup_nas_username": "",
    "backup_nas_password": "",
    "backup_nas_private_key": "",
    "backup_nas_known_hosts": "",
    "backup_config_paths": ["/opt/somos", "/etc/letsencrypt"],
    "backup_config_exclude": ["/opt/somos/restored"],
    "backup_state_directory": "/var/lib/somos-backup",
    "backup_local_directory": "/var/backups/somos",
    "backup_textfile_directory": "/var/lib/prometheus/node-exporter",
}


def wrong(*missing: str, **changed: Any) -> list[str]:
    return problems(SOUND | changed, KNOWN, missing)


def test_what_is_sound_passes_without_a_word() -> None:
    assert wrong() == []
    assert wrong(backup_s3_prefix="a/b", backup_s3_endpoint="s3.example:8333") == []


@pytest.mark.parametrize("name", sorted(PASSPHRASES))
def test_a_passphrase_that_is_needed_is_asked_for_by_name(name: str) -> None:
    (said,) = wrong(**{name: ""})
    assert said.startswith(f"{name} is empty") and "off this server" in said


@pytest.mark.parametrize("name", sorted(PASSPHRASES))
@pytest.mark.parametrize("value", ["x" * 19, f"{'x' * 30}\n", f" {'x' * 30}", f"{'x' * 20}\n{'y' * 20}"])
def test_a_passphrase_that_is_short_or_no_line_is_refused_and_never_shown(name: str, value: str) -> None:
    (said,) = wrong(**{name: value})
    assert said.startswith(f"{name} has {len(value)} characters") and value not in said


def test_no_passphrase_opens_two_doors() -> None:
    (said,) = wrong(backup_media_passphrase=PASSPHRASES["backup_local_passphrase"])
    assert said.startswith("backup_media_passphrase is the same as backup_local_passphrase")
    assert PASSPHRASES["backup_local_passphrase"] not in said


def test_without_s3_and_buckets_their_passphrases_are_not_asked_for() -> None:
    alone = {"backup_declarations": [], "backup_s3_endpoint": "", "backup_s3_passphrase": ""}
    assert wrong(**alone, backup_media_passphrase="", backup_s3_bucket="") == []


@pytest.mark.parametrize("name", ["backup_s3_bucket", "backup_s3_access_key", "backup_s3_secret_key"])
def test_an_endpoint_needs_what_belongs_to_it(name: str) -> None:
    for value in ("", "a\nb"):
        (said,) = wrong(**{name: value})
        assert said.startswith(name)


@pytest.mark.parametrize("value", ["https://account.r2.example", "account.r2.example/bucket", "a b", "host:port"])
def test_an_endpoint_is_a_host(value: str) -> None:
    (said,) = wrong(backup_s3_endpoint=value)
    assert said.startswith("backup_s3_endpoint") and "without https://" in said


@pytest.mark.parametrize("value", ["/a", "a/", "a//b", "a b"])
def test_a_prefix_is_a_path_below_the_bucket(value: str) -> None:
    (said,) = wrong(backup_s3_prefix=value)
    assert said.startswith("backup_s3_prefix")


@pytest.mark.parametrize(
    ("kind", "right", "false"),
    [
        ("nfs", "nas.lan:/media", "nas.lan"),
        ("nfs4", "10.0.0.9:/export/media", "//10.0.0.9/media"),
        ("cifs", "//nas/media", "nas:/media"),
        ("sshfs", "somos@nas:/media", "nas:/media"),
        ("bind", "/srv/nas", "srv/nas"),
    ],
)
def test_a_network_storage_is_named_as_its_kind_is_mounted(kind: str, right: str, false: str) -> None:
    needs = dict.fromkeys(
        ("backup_nas_username", "backup_nas_password", "backup_nas_private_key", "backup_nas_known_hosts"), "given"
    )
    assert wrong(backup_nas_type=kind, backup_nas_source=right, **needs) == []
    for source in ("", false, f"{right} x"):
        (said,) = wrong(backup_nas_type=kind, backup_nas_source=source, **needs)
        assert said.startswith(f"backup_nas_source ({source})")


@pytest.mark.parametrize(
    ("kind", "source", "names"),
    [
        ("cifs", "//nas/media", ["backup_nas_username", "backup_nas_password"]),
        ("sshfs", "somos@nas:/media", ["backup_nas_private_key", "backup_nas_known_hosts"]),
    ],
)
def test_a_network_storage_that_asks_who_comes_needs_an_answer(kind: str, source: str, names: list[str]) -> None:
    said = wrong(backup_nas_type=kind, backup_nas_source=source)
    assert [sentence.rpartition(" ")[2] for sentence in said] == [f"{name}." for name in names]


def test_options_of_the_mount_stand_one_by_one() -> None:
    given = {"backup_nas_type": "nfs", "backup_nas_source": "nas:/media"}
    assert wrong(**given, backup_nas_options=["vers=4.2", "ro"]) == []
    (said,) = wrong(**given, backup_nas_options=["vers=4.2,ro"])
    assert said.startswith("backup_nas_options has 'vers=4.2,ro'")


def test_an_age_for_a_job_that_no_role_declares_is_a_mistake() -> None:
    (said,) = wrong(backup_keep_days={"redis": 14, "configs": 90, "reddis": 14})
    assert said.startswith("backup_keep_days has reddis,")
    assert wrong(backup_keep_days={"redis": 14, "qdrant": 14}) == []


@pytest.mark.parametrize("days", [0, -1, "14", True, None, 1.5])
def test_an_age_is_a_number_of_days(days: Any) -> None:
    (said,) = wrong(backup_keep_days={"redis": days})
    assert said.startswith("backup_keep_days.redis is")


def test_what_is_kept_by_age_needs_one_and_nothing_else_does() -> None:
    (said,) = wrong(backup_keep_days={})
    assert said.startswith("backup_keep_days says nothing of redis")


def test_a_job_has_a_name_of_its_own_that_can_be_a_unit_s() -> None:
    (said,) = wrong(backup_declarations=[{"name": "redis", "kind": "redis"}] * 2)
    assert "the job redis twice" in said
    (said,) = wrong(
        backup_declarations=[{"name": "../redis", "kind": "redis"}], backup_keep_days={"../redis": 1, "configs": 1}
    )
    assert "the job '../redis'" in said


def test_buckets_need_a_place_away_from_the_disk_they_are_on() -> None:
    (said,) = wrong(backup_s3_endpoint="")
    assert said.startswith("The buckets have nowhere to be copied to")
    assert wrong(backup_s3_endpoint="", backup_nas_type="bind", backup_nas_source="/srv/nas") == []


@pytest.mark.parametrize("path", ["var/backups", "/", "/var", "/var/../etc", "/var/my backups", "/var/x\n"])
@pytest.mark.parametrize("name", ["backup_state_directory", "backup_local_directory", "backup_textfile_directory"])
def test_a_directory_is_one_that_may_be_owned(name: str, path: str) -> None:
    (said,) = wrong(**{name: path})
    assert said.startswith(f"{name} ({path})")


def test_backups_do_not_hold_backups() -> None:
    (said,) = wrong(backup_local_directory="/opt/somos/backups")
    assert said.startswith("backup_local_directory (/opt/somos/backups) lies in backup_config_paths")
    assert wrong(backup_local_directory="/opt/somos/backups", backup_config_exclude=["/opt/somos/backups"]) == []
    assert wrong(backup_local_directory="/opt/somos-backups/here") == []


def test_a_checksum_that_is_missing_is_named() -> None:
    assert wrong("backup_restic_checksums") == [
        "backup_restic_checksums has nothing for this server's architecture. Put the sha256 there."
    ]


def test_jobs_are_told_what_this_role_alone_knows() -> None:
    declared = [
        {"name": "postgres", "kind": "pgbackrest"},
        {"name": "dump", "kind": "pg_dump"},
        {"name": "redis", "kind": "redis"},
        {"name": "qdrant", "kind": "qdrant"},
        {"name": "configs", "kind": "files", "paths": ["/opt"]},
        {"name": "media", "kind": "bucket", "weekly": True},
    ]
    places = {"nas": {"path": "/mnt"}}
    assert jobs(declared, {"dump": 30, "redis": 14, "qdrant": 15, "configs": 90, "other": 1}, "/key", places) == [
        declared[0],
        declared[1] | {"keep_days": 30},
        declared[2] | {"keep_days": 14},
        declared[3] | {"keep_days": 15},
        declared[4] | {"keep_days": 90},
        declared[5] | {"password_file": "/key", "destinations": places},
    ]


def test_a_report_names_every_job_and_destination_of_the_run_and_no_other() -> None:
    state = {
        "runs": {
            "redis": {
                "offsite": {"ok": 0, "last_run": 100.0, "duration": 7.26, "error": "S3 is away"},
                "local": {"ok": 1, "last_run": 101.5, "duration": 0.5, "content": 3 << 20, "size": 310},
            },
            "configs": {"local": {"ok": 0, "last_run": 99.9, "error": "of yesterday"}},
        }
    }
    assert report(state, 100) == [
        {"well": True, "line": "redis → local: 3.0 MiB, 310 B of them new, in 0.5 s"},
        {"well": False, "line": "redis → offsite: FAILED after 7.3 s: S3 is away"},
    ]
    assert report({}, 0) == []
