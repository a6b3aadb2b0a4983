from __future__ import annotations

from pathlib import Path

import pytest

from somos_backup import metrics
from somos_backup.errors import BackupError

STATE = {
    "runs": {
        "redis": {
            "offsite": {"ok": 0, "last_run": 1795578694.25, "duration": 1.5, "error": 'a "quote"'},
            "local": {"ok": 1, "last_run": 1795578694.25, "last_success": 1795578694.25, "size": 10, "content": 20},
        }
    },
    "verified": {"redis": {"local": {"ok": 1, "last_success": 1795578700}}},
    "wal": {
        "wal_archive_age_seconds": 12.5,
        "wal_waiting_segments": 3,
        "wal_archive_failures_total": 2,
        "gaps": {"local": 0, "offsite": 1},
    },
    "failed_units": {'somos "backup"\\.service': 1},
}


def test_each_figure_is_a_sample_with_its_labels(tmp_path: Path) -> None:
    metrics.write(tmp_path, STATE)
    path = tmp_path / metrics.NAME
    assert path.stat().st_mode & 0o777 == 0o644
    samples = [line for line in path.read_text().splitlines() if not line.startswith("#")]
    assert samples == [
        'somos_backup_last_run_timestamp_seconds{job="redis",destination="local"} 1795578694',
        'somos_backup_last_run_timestamp_seconds{job="redis",destination="offsite"} 1795578694',
        'somos_backup_last_run_success{job="redis",destination="local"} 1',
        'somos_backup_last_run_success{job="redis",destination="offsite"} 0',
        'somos_backup_last_success_timestamp_seconds{job="redis",destination="local"} 1795578694',
        'somos_backup_size_bytes{job="redis",destination="local"} 10',
        'somos_backup_content_bytes{job="redis",destination="local"} 20',
        'somos_backup_duration_seconds{job="redis",destination="offsite"} 1.5',
        'somos_backup_last_verified_timestamp_seconds{job="redis",destination="local"} 1795578700',
        'somos_backup_verify_success{job="redis",destination="local"} 1',
        "somos_backup_wal_archive_age_seconds 12.5",
        "somos_backup_wal_waiting_segments 3",
        "somos_backup_wal_archive_failures_total 2",
        'somos_backup_wal_gap{destination="local"} 0',
        'somos_backup_wal_gap{destination="offsite"} 1',
        'somos_backup_unit_failed{unit="somos \\"backup\\"\\\\.service"} 1',
    ]


def test_every_metric_is_announced_once_before_its_samples() -> None:
    lines = list(metrics.lines(STATE))
    announced = [line.split()[2] for line in lines if line.startswith("# TYPE ")]
    assert announced == sorted(set(announced), key=announced.index)
    for name in announced:
        places = [number for number, line in enumerate(lines) if line.split("{")[0].split()[0] == name]
        first = next(number for number, line in enumerate(lines) if line.startswith(f"# HELP {name} "))
        assert places[0] == first + 2 and places == list(range(places[0], places[0] + len(places)))
    assert "# TYPE somos_backup_wal_archive_failures_total counter" in lines


def test_a_figure_that_is_not_known_is_not_there() -> None:
    wal = {"wal_archive_age_seconds": None, "wal_waiting_segments": 0}
    assert [line for line in metrics.lines({"wal": wal}) if not line.startswith("#")] == [
        "somos_backup_wal_waiting_segments 0"
    ]
    assert list(metrics.lines({})) == []


def test_a_directory_that_is_gone_is_named(tmp_path: Path) -> None:
    metrics.write(None, STATE)
    with pytest.raises(BackupError, match=f"cannot be written to {tmp_path}/gone"):
        metrics.write(tmp_path / "gone", STATE)
