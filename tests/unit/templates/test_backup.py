"""Role backup: what it tells the program, who may read it, and what its units may do."""

from __future__ import annotations

import ast
import configparser
import json
import sys
from pathlib import PurePosixPath
from types import ModuleType
from typing import Any

import pytest
from render import ROOT, File, render_files, render_inventory, render_role, scenario

sys.path.insert(0, str(ROOT / "roles" / "backup" / "files"))
# On the server the modules for Qdrant lie beside the program under this name.
sys.modules.setdefault("somos_qdrant", ModuleType("somos_qdrant")).__path__ = [str(ROOT / "plugins" / "module_utils")]

from somos_backup import config as configuration  # noqa: E402
from somos_backup.jobs import all_jobs  # noqa: E402

SECRETS = {
    "backup_local_passphrase": "scenario-local-passphrase",
    "backup_s3_passphrase": "scenario-offsite-passphrase",
    "backup_media_passphrase": "scenario-media-passphrase",
    "backup_s3_access_key": "scenario-s3-access-key",
    "backup_s3_secret_key": "scenario-s3-secret-key",
}
LOCAL = {"backup_enabled": True, "backup_local_passphrase": SECRETS["backup_local_passphrase"]}
BUCKET = {"name": "media", "kind": "bucket", "weekly": True, "endpoint": "http://127.0.0.1:9000"}
ALL: dict[str, Any] = {
    **LOCAL,
    **SECRETS,
    "backup_declarations": [{"name": "redis", "kind": "redis", "services": ["redis"]}, BUCKET],
    "backup_s3_endpoint": "account.r2.cloudflarestorage.com",
    "backup_s3_bucket": "somos-backup",
}
CONFIG = "etc/somos-backup/config.json"
KEYS = "etc/somos-backup/secrets/"
UNITS = "etc/systemd/system/"
MOUNT = f"{UNITS}mnt-somos-nas.mount"
NAS: dict[str, dict[str, Any]] = {
    "nfs4": {"backup_nas_source": "nas.lan:/media"},
    "cifs": {
        "backup_nas_source": "//nas/media",
        "backup_nas_username": "somos",
        "backup_nas_password": "scenario-nas-password",
    },
    "sshfs": {
        "backup_nas_source": "somos@nas:/media",
        "backup_nas_private_key": "scenario-nas-private-key",
        "backup_nas_known_hosts": "nas ssh-ed25519 AAAA",
    },
    "bind": {"backup_nas_source": "/srv/nas"},
}


def config(**overrides: Any) -> dict[str, Any]:
    return dict(json.loads(render_role("backup", ALL | overrides)[CONFIG]))


def unit(text: str) -> dict[str, list[str]]:
    """Every value of each key of a unit, whatever its section."""
    values: dict[str, list[str]] = {}
    for line in text.splitlines():
        key, is_setting, value = line.partition("=")
        if is_setting and not line.startswith("#"):
            values.setdefault(key, []).append(value)
    return values


def with_nas(kind: str, **more: Any) -> dict[str, File]:
    return render_files("backup", {**ALL, "backup_nas_type": kind, **NAS[kind], **more})


def test_switched_off_it_writes_nothing() -> None:
    assert render_files("backup", {**ALL, "backup_enabled": False}) == {}


def test_the_program_takes_the_configuration() -> None:
    given = configuration.parse(config(), "the role's")
    assert [job.name for job in all_jobs(given)] == ["redis", "media", "configs"]
    assert {name: repository.url for name, repository in given.repositories.items()} == {
        "local": "/var/backups/somos/restic",
        "offsite": "s3:https://account.r2.cloudflarestorage.com/somos-backup/restic",
    }
    assert (given.restic, given.rclone) == ("/usr/bin/restic", "/usr/bin/rclone")
    assert given.repositories["offsite"].region == "auto"


def test_the_ages_are_those_of_the_company_s_table() -> None:
    declared = [{"name": name, "kind": kind} for name, kind in (("postgres-dump", "pg_dump"), ("qdrant", "qdrant"))]
    given = config(backup_declarations=[*ALL["backup_declarations"], *declared])
    assert {job["name"]: job.get("keep_days") for job in given["jobs"]} == {
        "postgres-dump": 30, "redis": 14, "qdrant": 14, "configs": 90, "media": None,
    }  # fmt: skip


def test_a_prefix_stands_before_everything_in_the_bucket() -> None:
    given = config(backup_s3_prefix="servers/one")
    assert given["repositories"]["offsite"]["url"].endswith("/somos-backup/servers/one/restic")
    (media,) = [job for job in given["jobs"] if job["name"] == "media"]
    assert media["destinations"]["offsite"]["prefix"] == "servers/one/media"


@pytest.mark.parametrize(
    ("endpoint", "provider"),
    [("account.r2.cloudflarestorage.com", "Cloudflare"), ("account.eu.r2.cloudflarestorage.com", "Cloudflare"),
     ("s3.example:9000", "Other"), ("r2.cloudflarestorage.com.example", "Other")],
)  # fmt: skip
def test_rclone_is_told_whose_endpoint_it_is(endpoint: str, provider: str) -> None:
    (media,) = [job for job in config(backup_s3_endpoint=endpoint)["jobs"] if job["name"] == "media"]
    assert media["destinations"]["offsite"]["provider"] == provider


def test_without_s3_nothing_leaves_the_server() -> None:
    files = render_role("backup", LOCAL)
    assert "offsite" not in files[CONFIG]
    assert [path for path in files if path.startswith(KEYS)] == [f"{KEYS}local.passphrase"]


def test_secrets_are_in_files_of_their_own_that_root_alone_reads() -> None:
    files = with_nas("cifs", backup_s3_ca="-----BEGIN CERTIFICATE-----\nabc\n")
    secrets = {*SECRETS.values(), "scenario-nas-password"}
    holders = {path for path, file in files.items() if any(secret in file.text for secret in secrets)}
    assert {path.removeprefix(KEYS) for path in holders} == {
        "local.passphrase", "offsite.passphrase", "offsite.credentials", "media.passphrase", "nas.credentials",
    }  # fmt: skip
    for path, file in files.items():
        if path.startswith(KEYS):
            assert (file.owner, file.group, file.mode, file.secret) == ("root", "root", "0400", True), path
    assert files[CONFIG].mode == "0600"


def test_a_key_is_one_line_whatever_is_in_it() -> None:
    strange = "a 'strange\" %(key)s {{ with }} # all"
    files = render_role("backup", {**ALL, "backup_local_passphrase": strange, "backup_s3_secret_key": strange})
    assert files[f"{KEYS}local.passphrase"] == f"{strange}\n"
    credentials = configparser.RawConfigParser()
    credentials.read_string(files[f"{KEYS}offsite.credentials"])
    assert credentials["default"]["aws_secret_access_key"] == strange


def test_every_secret_file_that_is_named_is_there() -> None:
    for kind in NAS:
        files = with_nas(kind, backup_s3_ca="a certificate")
        text = files[CONFIG].text + files[MOUNT].text
        named = {
            word for word in text.replace('"', " ").replace("=", " ").replace(",", " ").split() if f"/{KEYS}" in word
        }
        assert named == {f"/{path}" for path in files if path.startswith(KEYS)}, kind


@pytest.mark.parametrize(
    ("release", "expected"),
    [("trixie", []), ("bookworm", ["restic"]), ("noble", ["restic"]), ("jammy", ["restic", "rclone"])],
)
def test_tools_that_are_too_old_come_from_their_makers(release: str, expected: list[str]) -> None:
    given = config(ansible_facts={**scenario()["scenario_facts"], "distribution_release": release})
    own = [tool for tool in ("restic", "rclone") if given[tool].startswith("/usr/local/lib/somos-backup/bin/")]
    assert own == expected
    if "restic" in own:
        assert given["restic"].endswith("/restic-0.19.1")
    if "rclone" in own:
        assert given["rclone"].endswith("/rclone-v1.75.0-linux-amd64/rclone")


def test_the_program_needs_nothing_but_python_and_itself() -> None:
    files = render_role("backup", ALL)
    library = "usr/local/lib/somos-backup"
    programs = {path for path in files if path.startswith(f"{library}/")}
    assert f"{library}/somos_backup/cli.py" in programs and f"{library}/somos_qdrant/__init__.py" in programs
    known = {*sys.stdlib_module_names, "somos_backup", "somos_qdrant"}
    for path in programs:
        for node in ast.walk(ast.parse(files[path])):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and not node.level:
                names = [str(node.module)]
            assert {name.partition(".")[0] for name in names} <= known, path
            if isinstance(node, ast.ImportFrom) and node.level == 1 and path.startswith(f"{library}/somos_qdrant/"):
                assert f"{library}/somos_qdrant/{node.module}.py" in programs, f"{path} needs {node.module}"


def services(files: dict[str, str]) -> dict[str, dict[str, list[str]]]:
    return {path: unit(text) for path, text in files.items() if path.endswith(".service")}


def test_what_fails_is_noted_and_what_notes_it_cannot_fail_over_itself() -> None:
    for path, values in services(render_role("backup", ALL)).items():
        expected = [] if "failed@" in path else ["somos-backup-failed@%n.service"]
        assert values.get("OnFailure", []) == expected, path


def test_every_service_is_kept_small_and_behind_everything_else() -> None:
    every = services(render_role("backup", ALL))
    assert len(every) == 7
    for path, values in every.items():
        assert values["ProtectSystem"] == ["strict"] and values["NoNewPrivileges"] == ["yes"], path
        assert values["ReadWritePaths"] == [
            "/var/lib/somos-backup /var/backups/somos /var/lib/prometheus/node-exporter",
            "/run/lock",
        ]
        assert (values["Nice"], values["IOSchedulingClass"]) == (["19"], ["idle"]), path
        assert values["TimeoutStartSec"], path


def test_a_job_that_leaves_notes_may_remove_them() -> None:
    job = {"name": "postgres", "kind": "pgbackrest", "gap_directory": "/srv/gaps"}
    for path, values in services(render_role("backup", ALL | {"backup_declarations": [job]})).items():
        assert values["ReadWritePaths"][2:] == ["-/srv/gaps"], path


def test_no_secret_is_in_a_unit() -> None:
    for path, text in render_role("backup", ALL).items():
        if path.startswith(UNITS):
            assert not any(secret in text for secret in SECRETS.values()), path


@pytest.mark.parametrize(
    ("timer", "moment", "service"),
    [
        ("somos-backup", "*-*-* 03:00:00", "somos-backup.service"),
        ("somos-backup-verify", "*-*-* 05:00:00", "somos-backup-verify.service"),
        ("somos-backup-prune", "Sun *-*-* 04:00:00", "somos-backup-prune.service"),
        ("somos-backup-media", "Sun *-*-* 01:00:00", "somos-backup-media.service"),
        ("somos-backup-metrics", "*:0/2", "somos-backup-metrics.service"),
    ],
)
def test_each_timer_has_its_moment_and_a_service(timer: str, moment: str, service: str) -> None:
    files = render_role("backup", ALL)
    values = unit(files[f"{UNITS}{timer}.timer"])
    assert values["OnCalendar"] == [moment]
    assert f"{UNITS}{service}" in files and service == f"{timer}.service" and "Unit" not in values
    if timer != "somos-backup-metrics":
        assert (values["Persistent"], values["RandomizedDelaySec"]) == (["true"], ["10m"])


def test_the_proof_waits_for_the_run() -> None:
    every = services(render_role("backup", ALL))
    assert "somos-backup.service" in every[f"{UNITS}somos-backup-verify.service"]["After"][0].split()


def test_a_changed_service_changes_the_timers_so_that_systemd_reads_it() -> None:
    before, after = (render_role("backup", ALL | more) for more in ({}, {"backup_local_directory": "/srv/backups"}))
    for path in before:
        if path.endswith(".timer"):
            assert before[path] != after[path], path


@pytest.mark.parametrize("kind", sorted(NAS))
def test_a_network_storage_is_mounted_when_it_is_needed_and_stops_no_boot(kind: str) -> None:
    files = {path: file.text for path, file in with_nas(kind, backup_nas_options=["vers=4.2"]).items()}
    values = unit(files[MOUNT])
    where = PurePosixPath(values["Where"][0])
    assert "-".join(where.parts[1:]) + ".mount" == MOUNT.removeprefix(UNITS), "systemd wants the path as the name"
    assert values["What"] == [NAS[kind]["backup_nas_source"]]
    options = values["Options"][0].split(",")
    assert {"nosuid", "nodev", "noexec"} <= set(options) and options[-1] == "vers=4.2"
    assert (values["TimeoutSec"], values["DirectoryMode"]) == (["60"], ["0000"])
    assert "[Install]" not in files[MOUNT]
    # systemd makes the source of a bind mount that is not there.
    assert values.get("AssertPathIsDirectory", []) == (values["What"] if kind == "bind" else [])
    for path in (
        f"{UNITS}somos-backup.service",
        f"{UNITS}somos-backup@.service",
        f"{UNITS}somos-backup-verify.service",
    ):
        service = unit(files[path])
        assert "mnt-somos-nas.mount" in service["Wants"] and "mnt-somos-nas.mount" in service["After"]
        assert "Requires" not in service
        # systemd would make the mount point itself a mount, which the program would take for the storage.
        assert service["ReadWritePaths"][-1] == str(where.parent)


@pytest.mark.parametrize(
    ("kind", "fstype", "option"),
    [
        ("nfs4", "nfs4", "soft"),
        ("cifs", "cifs", "credentials=/etc/somos-backup/secrets/nas.credentials"),
        ("sshfs", "fuse.sshfs", "StrictHostKeyChecking=yes"),
        ("bind", "none", "bind"),
    ],
)
def test_a_network_storage_is_mounted_as_its_kind_wants(kind: str, fstype: str, option: str) -> None:
    values = unit(with_nas(kind)[MOUNT].text)
    assert values["Type"] == [fstype]
    assert option in values["Options"][0].split(",")


def test_media_go_to_the_storage_and_away_encrypted_with_a_key_of_their_own() -> None:
    (media,) = [job for job in json.loads(with_nas("bind")[CONFIG].text)["jobs"] if job["name"] == "media"]
    assert media["destinations"]["nas"] == {"path": "/mnt/somos/nas/media", "mount": "/mnt/somos/nas"}
    assert set(media["destinations"]) == {"nas", "offsite"}
    assert media["password_file"] == "/etc/somos-backup/secrets/media.passphrase"  # noqa: S105


def declared(overrides: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The jobs of production's one server, by name."""
    given = {**LOCAL, **SECRETS, "backup_s3_endpoint": "s3.example", "backup_s3_bucket": "somos-backup", **overrides}
    rendered = render_inventory("production", "somos-1", given)["backup"][CONFIG]
    return {job["name"]: job for job in json.loads(rendered)["jobs"]}


def test_every_role_declares_what_it_holds() -> None:
    jobs = declared({})
    assert set(jobs) == {"postgres-dump", "redis", "qdrant", "media", "configs"}
    assert jobs["postgres-dump"] == {
        "name": "postgres-dump", "kind": "pg_dump", "service": "postgres", "database": "somos", "keep_days": 30,
    }  # fmt: skip
    assert jobs["redis"]["services"] == ["redis", "redis-cache"]
    assert jobs["qdrant"]["url"] == "http://127.0.0.1:6333"
    assert jobs["media"]["endpoint"] == "http://127.0.0.1:9000" and jobs["media"]["weekly"] is True


def test_files_that_a_declaration_names_are_written_by_its_role() -> None:
    for backend in ("minio", "seaweedfs"):
        given = {**LOCAL, **SECRETS, "backup_s3_endpoint": "s3.example", "object_storage_backend": backend}
        trees = render_inventory("production", "somos-1", given)
        written = {f"/opt/somos/{path}" for role, files in trees.items() if role != "backup" for path in files}
        jobs = json.loads(trees["backup"][CONFIG])["jobs"]
        named = {job[key] for job in jobs for key in job if key.endswith("_key_file")}
        assert len(named) == 3 and named <= written


def test_postgres_is_backed_up_wherever_it_archives_to() -> None:
    on = {"postgres_backup_enabled": True, "postgres_backup_passphrase": "a-passphrase-of-postgres"}
    assert declared(on)["postgres"] == {
        "name": "postgres", "kind": "pgbackrest", "service": "postgres", "stanza": "somos", "database": "somos",
        "repositories": {"local": 1}, "gap_directory": "/var/backups/somos-postgres", "full_every_days": 7,
    }  # fmt: skip
    away = {**on, "postgres_backup_s3_endpoint": "s3.example"}
    assert declared(away)["postgres"]["repositories"] == {"local": 1, "offsite": 2}
    assert "postgres" not in declared({**away, "postgres_backup_archives": False})
