"""What role backup leaves on the server: files, timers, and units that run within what they may do."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[3]
SECRETS = json.loads((ROOT / "build" / "demo" / "secrets.json").read_text())
OUTSIDE = json.loads((ROOT / "build" / "demo" / "outside.json").read_text())
CONFIG = "/etc/somos-backup/config.json"
KEYS = "/etc/somos-backup/secrets"
NAS, MOUNT = "/srv/nas/somos", "/mnt/somos/nas"
METRICS = "/var/lib/prometheus/node-exporter/somos_backup.prom"
NOBODY = "setpriv --reuid=nobody --regid=nogroup --clear-groups"
TIMERS = {f"somos-backup{name}.timer" for name in ("", "-verify", "-media", "-prune", "-metrics")}
DAILY = {"postgres", "postgres-dump", "redis", "qdrant", "configs"}


def play(playbook: str, variables: dict[str, Any], *arguments: str) -> subprocess.CompletedProcess[str]:
    command = ["ansible-playbook", "-i", "molecule/inventory.yml", playbook, "-e", json.dumps(variables), *arguments]
    environment = os.environ | {"MOLECULE_SCENARIO_NAME": "backup"}
    run = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    # Long messages are wrapped and indented for people.
    run.stdout = " ".join(run.stdout.split())
    return run


def converge(variables: dict[str, Any]) -> subprocess.CompletedProcess[str]:
    return play("molecule/backup/converge.yml", variables, "--tags", "backup")


def apply(variables: dict[str, Any]) -> str:
    """Run the role alone; what it said."""
    run = converge(variables)
    assert run.returncode == 0, run.stdout[-3000:]
    return run.stdout


def back_up(jobs: Any) -> subprocess.CompletedProcess[str]:
    return play("playbooks/backup.yml", {"somos_hosts": "backup"} | ({"backup_jobs": jobs} if jobs else {}))


def timers(host: Any) -> set[str]:
    listed = host.check_output("systemctl list-timers --all --output=json 'somos-backup*'")
    return {timer["unit"] for timer in json.loads(listed)}


def metric(host: Any, name: str) -> dict[str, float]:
    """Labels → value."""
    lines = host.check_output(f"cat {METRICS}").splitlines()
    found = [line.partition("{")[2].rpartition("} ") for line in lines if line.startswith(f"somos_backup_{name}{{")]
    return {labels: float(value) for labels, _, value in found}


def test_the_program_tells_what_it_does(host: Any) -> None:
    assert host.check_output("somos-backup --help").startswith("usage: somos-backup ")
    # Nothing is in its directory that the role did not write.
    assert host.check_output("find /usr/local/lib/somos-backup -name '*.pyc'") == ""


def test_the_configuration_names_every_job_and_no_secret(host: Any) -> None:
    text = host.check_output(f"cat {CONFIG}")
    assert {job["name"] for job in json.loads(text)["jobs"]} == {*DAILY, "media"}
    assert [name for name, value in {**SECRETS, **OUTSIDE}.items() if value in text] == []


def test_keys_are_for_root_alone(host: Any) -> None:
    names = [f"{name}.passphrase" for name in ("local", "media", "offsite")] + ["offsite.ca.pem", "offsite.credentials"]
    assert host.check_output(f"ls {KEYS}").split() == sorted(names)
    private = f"{KEYS} /var/lib/somos-backup /var/backups/somos"
    assert set(host.check_output(f"stat -c '%a %U:%G' {private}").splitlines()) == {"700 root:root"}
    assert host.check_output(f"stat -c '%a %U:%G' {CONFIG}") == "600 root:root"
    assert set(host.check_output(f"stat -c '%a %U:%G' {KEYS}/*").splitlines()) == {"400 root:root"}
    for path in (
        CONFIG,
        f"{KEYS}/local.passphrase",
        "/var/lib/somos-backup/state.json",
        "/var/backups/somos/restic/config",
    ):
        assert host.run(f"{NOBODY} cat {path}").rc != 0, path


def test_every_timer_has_its_next_moment(host: Any) -> None:
    assert timers(host) == TIMERS
    for timer in TIMERS:
        assert host.service(timer).is_enabled and host.service(timer).is_running
    shown = host.check_output("systemctl show --property=Unit,Persistent somos-backup-media.timer")
    assert set(shown.splitlines()) == {"Unit=somos-backup-media.service", "Persistent=yes"}


def test_the_daily_unit_brings_every_daily_job_to_every_destination(host: Any) -> None:
    host.check_output("systemctl start somos-backup.service")
    expected = {f'job="{job}",destination="{place}"' for job in DAILY for place in ("local", "offsite")}
    success = metric(host, "last_run_success")
    assert expected <= success.keys()
    assert [labels for labels in expected if success[labels] != 1] == []


def test_the_proof_and_the_clean_up_run_within_their_limits(host: Any) -> None:
    host.check_output("systemctl start somos-backup-media.service")
    host.check_output("systemctl start somos-backup-verify.service")
    verified = metric(host, "verify_success")
    assert len(verified) == 2 * len(DAILY) + 2 and set(verified.values()) == {1.0}
    host.check_output("systemctl start somos-backup-prune.service")


def test_metrics_come_by_themselves_and_any_exporter_may_read_them(host: Any) -> None:
    host.check_output(f"rm {METRICS} && systemctl start somos-backup-metrics.service")
    assert host.file(METRICS).mode == 0o644
    assert host.run(f"{NOBODY} cat {METRICS}").rc == 0
    assert metric(host, "wal_gap") == {'destination="local"': 0.0, 'destination="offsite"': 0.0}


def test_no_secret_is_in_a_unit_or_in_the_journal(host: Any) -> None:
    seen = host.check_output(
        "cat /etc/systemd/system/*somos*; journalctl --no-pager --unit='somos-backup*' --unit='*.mount'"
    )
    assert "ended well." in seen and "ExecStart=" in seen
    assert [name for name, value in {**SECRETS, **OUTSIDE}.items() if value in seen] == []


def test_units_have_little_to_be_misused_for(host: Any) -> None:
    for unit in ("somos-backup", "somos-backup-media", "somos-backup-verify", "somos-backup-failed@x"):
        score = host.check_output(f"systemd-analyze security --no-pager {unit}.service | tail -1")
        assert float(score.rpartition(": ")[2].split()[0]) < 3.0, score


@pytest.mark.parametrize(
    ("place", "may"),
    [
        ("/opt/somos/x", False),
        ("/etc/x", False),
        ("/root/x", False),
        ("/usr/local/sbin/x", False),
        ("/mnt/x", False),
        ("/var/lib/somos-backup/x", True),
        ("/var/backups/somos/x", True),
        ("/var/backups/somos-postgres/x", True),
        (f"{MOUNT}/x", True),
    ],
)
def test_a_unit_writes_to_its_own_places_only(host: Any, place: str, may: bool) -> None:
    """With another command in the same sandbox, as if the program had been led astray."""
    trial = "/run/systemd/system/somos-backup-trial.service"
    script = f"s|^ExecStart=.*|ExecStart=/bin/touch {place}|; /^OnFailure/d"
    try:
        host.check_output(
            f"sed '{script}' /etc/systemd/system/somos-backup@.service > {trial} && systemctl daemon-reload"
        )
        assert (host.run("systemctl start somos-backup-trial.service").rc == 0) == may
    finally:
        host.run(f"rm -f {trial} {place}; systemctl reset-failed somos-backup-trial.service; systemctl daemon-reload")


def test_media_are_on_the_network_storage_and_unreadable_there(host: Any) -> None:
    options = host.check_output(f"findmnt --noheadings --output OPTIONS --mountpoint {MOUNT} | tail -1")
    assert {"rw", "nosuid", "nodev", "noexec"} <= set(options.split(","))
    assert host.check_output(f"find {NAS} -type f") != ""
    assert host.run(f"find {NAS} | grep manifests").stdout == "" and host.run(f"grep -rl run_id {NAS}").stdout == ""


@pytest.fixture
def storage_away(host: Any) -> Iterator[None]:
    host.check_output(f"umount {MOUNT} && mv {NAS} {NAS}.away")
    yield
    host.check_output(f"mv {NAS}.away {NAS} && systemctl reset-failed 'somos-backup*' '*.mount'")
    host.check_output("systemctl start mnt-somos-nas.mount")


def test_a_storage_that_is_away_fails_its_copy_alone_and_nothing_is_written_in_its_place(
    host: Any, storage_away: None
) -> None:
    before = host.check_output("date +%s")
    assert host.run("systemctl start somos-backup-media.service").rc != 0
    said = host.check_output(f"journalctl --no-pager --output=cat --unit=somos-backup-media.service --since=@{before}")
    assert f"media → nas: FAILED: The NAS at {MOUNT} is not mounted" in said
    assert "media → offsite: stored" in said
    assert metric(host, "last_run_success")['job="media",destination="nas"'] == 0
    assert host.check_output(f"find {MOUNT} -mindepth 1") == ""
    assert host.check_output(f"stat -c %a {MOUNT}") == "0"
    assert not host.file(NAS).exists


def test_a_unit_that_failed_says_so_until_it_has_ended(host: Any, storage_away: None) -> None:
    labels = 'unit="somos-backup-media.service"'
    host.run("systemctl start somos-backup-media.service")
    # What OnFailure starts is not waited for.
    host.check_output("systemctl start somos-backup-failed@somos-backup-media.service.service")
    assert metric(host, "unit_failed")[labels] == 1


def test_a_storage_that_is_away_is_a_warning_for_the_role(host: Any, storage_away: None) -> None:
    said = apply({})
    assert f"WARNING: {NAS} (backup_nas_source, bind) cannot be mounted" in said
    assert timers(host) == TIMERS


def test_the_storage_comes_back_by_itself(host: Any) -> None:
    host.check_output(f"umount {MOUNT} && systemctl start somos-backup-media.service")
    assert host.run(f"mountpoint {MOUNT}").rc == 0
    assert metric(host, "unit_failed")['unit="somos-backup-media.service"'] == 0


def test_the_playbook_backs_up_what_it_is_told_and_reports(host: Any) -> None:
    run = back_up("redis, configs")
    assert run.returncode == 0, run.stdout[-3000:]
    for line in ("redis → local: ", "redis → offsite: ", "configs → local: ", "configs → offsite: "):
        assert line in run.stdout
    assert "postgres → " not in run.stdout


def test_the_playbook_fails_with_the_journal_s_words(host: Any, storage_away: None) -> None:
    run = back_up(["media", "redis"])
    assert run.returncode != 0
    assert "media → nas: FAILED after" in run.stdout and "somos-backup-media.service: Failed" in run.stdout
    assert "redis → local: " in run.stdout, "a job after the one that failed has its turn"


def test_the_playbook_names_the_jobs_that_there_are(host: Any) -> None:
    run = back_up("reddis")
    assert run.returncode != 0
    assert "There is no job reddis on backup. There are postgres" in run.stdout


def test_a_tool_comes_from_its_maker_byte_for_byte(host: Any) -> None:
    """From a directory that plays the maker's place, with archives of a program that is none."""
    script = """
        import bz2, pathlib, zipfile
        program = b"#!/bin/sh\\necho maker\\n"
        maker = pathlib.Path("/srv/maker")
        maker.mkdir()
        (maker / "restic_0.19.1_linux_amd64.bz2").write_bytes(bz2.compress(program))
        with zipfile.ZipFile(maker / "rclone-v1.75.0-linux-amd64.zip", "w") as archive:
            info = zipfile.ZipInfo("rclone-v1.75.0-linux-amd64/rclone", (2026, 11, 25, 0, 0, 0))
            info.external_attr = 0o100755 << 16
            archive.writestr(info, program)
            archive.writestr("rclone-v1.75.0-linux-amd64/README.txt", "")
    """
    lines = "\n".join(line[8:] for line in script.splitlines())
    host.check_output(f"python3 -c {shlex.quote(lines)}")
    sums = host.check_output("cd /srv/maker && sha256sum restic_*.bz2 rclone-*.zip").split()
    given: dict[str, Any] = {
        "backup_upstream_tools": ["restic", "rclone"],
        "backup_restic_url": "file:///srv/maker",
        "backup_rclone_url": "file:///srv/maker",
        "backup_restic_checksums": {"amd64": sums[0]},
        "backup_rclone_checksums": {"amd64": sums[2]},
    }
    library = "/usr/local/lib/somos-backup"
    try:
        wrong = converge({**given, "backup_restic_checksums": {"amd64": "0" * 64}})
        assert wrong.returncode != 0 and "checksum" in wrong.stdout
        assert host.run(f"find {library}/bin -type f").stdout == ""
        apply(given)
        programs = json.loads(host.check_output(f"cat {CONFIG}"))
        for tool in ("restic", "rclone"):
            assert programs[tool].startswith(f"{library}/bin/")
            assert host.check_output(programs[tool]) == "maker"
        assert host.check_output(f"find {library}/bin -name '*.txt'") == ""
        assert "changed=0 " in apply(given)
    finally:
        apply({})
        host.run(f"rm -rf /srv/maker {library}/bin {library}/archives")


def test_switched_off_it_leaves_what_was_backed_up_and_nothing_else(host: Any) -> None:
    data = "find /var/backups/somos /var/lib/somos-backup/state.json -type f | sort"
    before = host.check_output(data)
    assert "/var/backups/somos/restic/config" in before
    try:
        apply({"backup_enabled": False})
        assert timers(host) == set()
        assert host.run(f"mountpoint {MOUNT}").rc != 0
        assert host.run("systemctl cat somos-backup.service").rc != 0
        for path in ("/etc/somos-backup", "/usr/local/sbin/somos-backup", "/usr/local/lib/somos-backup"):
            assert not host.file(path).exists, path
        assert host.check_output(data) == before
        assert "changed=0 " in apply({"backup_enabled": False})
        run = back_up(None)
        assert run.returncode != 0 and "backup does not back itself up: set backup_enabled" in run.stdout
    finally:
        apply({})
    assert timers(host) == TIMERS
    host.check_output("systemctl start somos-backup@redis.service")
