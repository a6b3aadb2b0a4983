"""Role postgres with backups: what it renders, off and on, and its archive_command when a repository fails."""

from __future__ import annotations

import os
import re
import stat
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar
from render import ROOT, render_files, render_role

ROLE = ROOT / "roles" / "postgres"
LOCAL = {"postgres_backup_enabled": True, "postgres_backup_passphrase": "scenario-local-passphrase"}
SECRETS = {
    "postgres_backup_passphrase": "scenario-local-passphrase",
    "postgres_backup_s3_access_key": "scenario-s3-access-key",
    "postgres_backup_s3_secret_key": "scenario-s3-secret-key",
    "postgres_backup_s3_passphrase": "scenario-s3-passphrase",
}
BOTH = {
    **LOCAL,
    **SECRETS,
    "postgres_backup_s3_endpoint": "account.r2.example",
    "postgres_backup_s3_bucket": "somos-backup",
}
ARCHIVE = "postgres/pgbackrest-archive.sh"
CONF = "secrets/pgbackrest/pgbackrest.conf"
LOCAL_CONF = "secrets/pgbackrest/conf.d/local.conf"
OFFSITE_CONF = "secrets/pgbackrest/conf.d/offsite.conf"
# More segments than the limit of 128 MB.
MANY = [f"0000000100000000000000{number:02X}" for number in range(1, 11)]


def service(overrides: dict[str, Any]) -> dict[str, Any]:
    return dict(yaml.safe_load(render_role("postgres", overrides)["compose.d/postgres.yml"])["services"]["postgres"])


def options(text: str) -> dict[str, str]:
    return dict(line.split("=", 1) for line in text.splitlines() if "=" in line and not line.startswith("#"))


def test_without_backups_there_is_no_trace_of_them() -> None:
    tree = render_role("postgres")
    assert not [path for path in tree if "pgbackrest" in path]
    for text in (tree["compose.d/postgres.yml"], tree["postgres/postgresql.conf"]):
        assert not re.search("pgbackrest|archive|pull_policy|localhost/somos", text)
    assert service({})["image"] == "docker.io/library/postgres:16.15-bookworm"
    assert len(service({})["tmpfs"]) == 2 and len(service({})["volumes"]) == 3


def test_an_endpoint_alone_switches_nothing_on() -> None:
    off = {**BOTH, "postgres_backup_enabled": False}
    assert render_role("postgres", off) == render_role("postgres")


def test_every_segment_is_archived_and_a_quiet_one_after_five_minutes() -> None:
    text = render_role("postgres", BOTH)["postgres/postgresql.conf"]
    assert "\narchive_mode = on\n" in text
    assert "\narchive_timeout = 300s\n" in text
    # pgBackRest refuses to back up when the command does not name it.
    assert re.search(r"^archive_command = 'bash /etc/postgresql/pgbackrest-archive\.sh \"%p\"'$", text, re.MULTILINE)


def test_who_only_tries_a_restore_archives_nothing() -> None:
    tree = render_role("postgres", {**BOTH, "postgres_backup_archives": False})
    assert "archive_mode" not in tree["postgres/postgresql.conf"]
    assert OFFSITE_CONF in tree


def test_both_repositories_are_encrypted_and_keep_the_window_by_time() -> None:
    tree = render_role("postgres", BOTH)
    given = options(tree[CONF])
    for path, number, passphrase in (
        (LOCAL_CONF, 1, SECRETS["postgres_backup_passphrase"]),
        (OFFSITE_CONF, 2, SECRETS["postgres_backup_s3_passphrase"]),
    ):
        secret = options(tree[path])
        assert secret[f"repo{number}-cipher-pass"] == passphrase
        assert secret[f"repo{number}-cipher-type"] == "aes-256-cbc"
        assert given[f"repo{number}-retention-full-type"] == "time"
        assert int(given[f"repo{number}-retention-full"]) >= 7
        # Each file is read alone too, for the archive: it must not speak of the other repository.
        assert {name.partition("-")[0] for name in secret} == {f"repo{number}"}


def test_r2_is_asked_in_its_own_way() -> None:
    given = options(render_role("postgres", BOTH)[CONF])
    assert given["repo2-type"] == "s3"
    assert given["repo2-s3-uri-style"] == "path"
    assert given["repo2-s3-region"] == "auto"
    assert given["repo2-s3-endpoint"] == "account.r2.example"
    assert "repo2-storage-ca-file" not in given


def test_an_own_authority_is_mounted_and_named() -> None:
    tree = render_role("postgres", {**BOTH, "postgres_backup_s3_ca": "-----BEGIN CERTIFICATE-----\n"})
    assert tree["secrets/pgbackrest/ca.pem"] == "-----BEGIN CERTIFICATE-----\n"
    assert options(tree[CONF])["repo2-storage-ca-file"] == "/etc/pgbackrest/ca.pem"


def test_the_archive_is_served_with_the_repositories_of_the_configuration() -> None:
    tree = render_role("postgres", BOTH)
    access = {name: value for name, value in options(tree[CONF]).items() if re.match(r"repo\d-(path|type|s3)", name)}
    assert len(access) == 7
    for name, value in access.items():
        assert f"--{name}={value} " in tree[ARCHIVE], name


def test_without_an_endpoint_there_is_the_local_repository_alone() -> None:
    tree = render_role("postgres", LOCAL)
    assert LOCAL_CONF in tree and OFFSITE_CONF not in tree
    assert "for name in local; do" in tree[ARCHIVE]
    assert "repo2" not in tree[ARCHIVE] + tree[CONF]
    assert "for name in local offsite; do" in render_role("postgres", BOTH)[ARCHIVE]


def test_secrets_stand_only_in_files_that_the_container_alone_reads() -> None:
    for path, file in render_files("postgres", BOTH).items():
        if any(secret in file.text for secret in SECRETS.values()):
            assert (file.owner, file.group, file.mode, file.secret) == ("999", "999", "0400", True), path
            assert path in (LOCAL_CONF, OFFSITE_CONF)


@pytest.mark.parametrize(("major", "path"), [(16, "/var/lib/postgresql/data"), (18, "/var/lib/postgresql/18/docker")])
def test_pgbackrest_finds_the_cluster_of_that_major(major: int, path: str) -> None:
    assert options(render_role("postgres", {**LOCAL, "postgres_major": major})[CONF])["pg1-path"] == path


def test_configuration_and_repository_are_mounted_as_directories() -> None:
    mounts = service(BOTH)["volumes"]
    assert "/opt/somos/secrets/pgbackrest:/etc/pgbackrest:ro" in mounts
    assert "/var/backups/somos-postgres:/var/lib/pgbackrest" in mounts
    assert [
        mount for mount in service(BOTH)["tmpfs"] if mount.startswith("/var/spool/pgbackrest:") and "size=" in mount
    ]


def test_another_passphrase_restarts_nothing_and_another_archive_timeout_does() -> None:
    def label(**overrides: Any) -> str:
        return str(service({**BOTH, **overrides})["labels"]["somos.config-hash"])

    assert label(postgres_backup_s3_secret_key="another", postgres_backup_window_days=9) == label()  # noqa: S106
    assert label(postgres_backup_archive_timeout_s=60) != label()


def test_the_image_is_another_for_every_content_and_comes_from_nowhere_else() -> None:
    built = service(BOTH)
    assert re.fullmatch(r"localhost/somos/postgres:pgbackrest-2\.59\.1-[0-9a-f]{12}", built["image"])
    assert built["pull_policy"] == "never"
    assert service({**BOTH, "postgres_image": "registry.example/postgres:16.16"})["image"] != built["image"]


def test_an_image_that_brings_pgbackrest_is_taken_as_it_is() -> None:
    own = service({**BOTH, "postgres_backup_pgbackrest_version": "", "postgres_image": "registry.example/pg:16-1"})
    assert own["image"] == "registry.example/pg:16-1"
    assert "pull_policy" not in own


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, ["--repo=1"]),
        (
            {"postgres_restore_repository": 2, "postgres_restore_target": "2026-11-25 03:00:00-03"},
            ["--repo=2", "--type=time", "--target=2026-11-25 03:00:00-03", "--target-action=promote"],
        ),
        (
            {"postgres_restore_set": "20261122-030000F", "postgres_restore_timeline": "2"},
            ["--repo=1", "--set=20261122-030000F", "--target-timeline=2"],
        ),
    ],
)
def test_a_restore_is_told_what_was_asked_for(given: dict[str, Any], expected: list[str]) -> None:
    loader = DataLoader()
    variables: dict[str, Any] = {}
    for name in ("defaults", "vars"):
        variables |= loader.load_from_file(str(ROLE / name / "main.yml"), trusted_as_template=True)
    templar = Templar(loader=loader, variables=variables | given)
    assert templar.template(variables["__postgres_restore_options"]) == expected


class Archive:
    """The archive_command on a directory, with a pgBackRest that does as it is told."""

    def __init__(self, directory: Path) -> None:
        self.data, self.state, self.spool = directory / "data", directory / "state", directory / "spool"
        for folder in (self.data / "pg_wal" / "archive_status", self.state, self.spool, directory / "bin"):
            folder.mkdir(parents=True)
        text = render_role("postgres", {**BOTH, "postgres_backup_queue_max_mb": 128})[ARCHIVE]
        text = text.replace("/var/spool/pgbackrest", str(self.spool)).replace("/var/lib/pgbackrest", str(self.state))
        self.script = directory / "archive.sh"
        self.script.write_text(text)
        program = directory / "bin" / "pgbackrest"
        # Writes down what it is asked, and fails for the repositories in FAILING with the words in SAYING.
        program.write_text(
            f'#!/bin/bash\necho "$*" >> {directory}/calls\n'
            "for name in $FAILING; do\n"
            '  if [[ $* == *conf.d/$name.conf*archive-push* ]]; then echo "$SAYING"; exit 1; fi\n'
            "done\n"
        )
        program.chmod(program.stat().st_mode | stat.S_IXUSR)
        self.directory = directory

    def ready(self, *segments: str) -> None:
        for segment in segments:
            (self.data / "pg_wal" / "archive_status" / f"{segment}.ready").touch()

    def __call__(self, segment: str, failing: str = "", saying: str = "ERROR") -> tuple[int, list[str]]:
        """Its exit code, and what pgBackRest was asked: `local archive-push SEGMENT`, for instance."""
        path = f"{self.directory / 'bin'}:{os.environ['PATH']}"
        environment = {"PATH": path, "PGDATA": str(self.data), "FAILING": failing, "SAYING": saying}
        (self.directory / "calls").write_text("")
        argv = ["bash", str(self.script), f"pg_wal/{segment}"]
        run = subprocess.run(argv, cwd=self.data, env=environment, capture_output=True, text=True, check=False)
        asked = (self.directory / "calls").read_text().splitlines()
        return run.returncode, [self.short(call) for call in asked]

    @staticmethod
    def short(call: str) -> str:
        repository = re.search(r"conf\.d/(\w+)\.conf|--lock-path=/tmp/pgbackrest/(\w+)", call)
        command = re.search(r"(archive-push pg_wal/\w+|stanza-create|stop --force|start)$", call)
        assert repository and command, call
        return f"{repository[1] or repository[2]} {command[1].replace('pg_wal/', '')}"

    def gap(self, repository: str) -> list[str]:
        file = self.state / f"gap.{repository}"
        return [line.split()[1] for line in file.read_text().splitlines()] if file.exists() else []


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    return Archive(tmp_path)


def test_a_segment_is_archived_when_every_repository_has_it(archive: Archive) -> None:
    archive.ready(*MANY[:2])
    assert archive(MANY[0]) == (0, [f"local archive-push {MANY[0]}", f"offsite archive-push {MANY[0]}"])


@pytest.mark.parametrize(("failing", "working"), [("local", "offsite"), ("offsite", "local")])
def test_the_repository_that_works_goes_on_with_all_that_are_ready(
    archive: Archive, failing: str, working: str
) -> None:
    archive.ready(*MANY[:3])
    code, asked = archive(MANY[0], failing)
    assert code == 1
    assert asked[-1] == f"{working} archive-push {MANY[2]}"
    assert archive.gap("local") == archive.gap("offsite") == []


def test_no_repository_is_sent_anything_twice_when_all_fail(archive: Archive) -> None:
    archive.ready(*MANY[:3])
    assert archive(MANY[0], "local offsite") == (
        1,
        [f"local archive-push {MANY[0]}", f"offsite archive-push {MANY[0]}"],
    )


@pytest.mark.parametrize(("failing", "working"), [("local", "offsite"), ("offsite", "local")])
def test_beyond_the_limit_the_failing_repository_is_given_up_and_the_other_served(
    archive: Archive, failing: str, working: str
) -> None:
    archive.ready(*MANY)
    code, asked = archive(MANY[0], failing)
    assert code == 0
    assert f"{working} archive-push {MANY[0]}" in asked
    # What still tries to send is ended before PostgreSQL may use its file again.
    assert [call for call in asked if call.startswith(failing)][1:] == [f"{failing} stop --force"]
    # The rest of what waits too, without being tried; for the other one all goes on.
    assert archive(MANY[1], failing) == (0, [f"{working} archive-push {MANY[1]}"])
    assert archive.gap(failing) == MANY[:2]
    assert archive.gap(working) == []


def test_up_to_the_limit_nothing_is_given_up(archive: Archive) -> None:
    archive.ready(*MANY[:8])
    assert archive(MANY[0], "offsite")[0] == 1
    assert archive.gap("offsite") == []


def test_when_nothing_waits_any_more_the_repository_is_tried_again(archive: Archive) -> None:
    archive.ready(MANY[0])
    (archive.spool / "giving-up.offsite").touch()
    assert archive(MANY[0]) == (
        0,
        [f"local archive-push {MANY[0]}", "offsite start", f"offsite archive-push {MANY[0]}"],
    )
    assert archive.gap("offsite") == []
    assert not (archive.spool / "giving-up.offsite").exists()


def test_a_repository_that_does_not_know_the_cluster_is_told(archive: Archive) -> None:
    archive.ready(MANY[0])
    code, asked = archive(MANY[0], "local", "[FileMissingError] HINT: has a stanza-create been performed?")
    assert code == 1
    assert asked[:2] == [f"local archive-push {MANY[0]}", "local stanza-create"]
    # Also one that cannot be read, with a wrong passphrase for instance, hints at it.
    wrong = "[CryptoError] HINT: has a stanza-create been performed?"
    assert "local stanza-create" not in archive(MANY[0], "local", wrong)[1]
