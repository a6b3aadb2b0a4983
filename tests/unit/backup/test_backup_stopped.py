"""A service that does not run is named before anything of its job begins."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from backup_case import Containers, config

from somos_backup.errors import BackupError
from somos_backup.jobs import KINDS


class Stopped(Containers):
    def __init__(self) -> None:
        super().__init__({})

    def refuse_stopped(self, service: str) -> None:
        raise BackupError(f"{service} does not run")


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        ("pg_dump", {"service": "this"}),
        ("qdrant", {"service": "this"}),
        ("redis", {"services": ["this"], "password_path": "/run/secrets/password"}),
        ("pgbackrest", {"service": "this", "repositories": {"local": 1}}),
    ],
)
def test_it_is_named(tmp_path: Path, kind: str, values: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("somos_backup.staging.RESERVE", 0)
    job = KINDS[kind](config(tmp_path), {"name": "a job", **values})
    job.compose = Stopped()  # type: ignore[assignment]
    with pytest.raises(BackupError, match="this does not run"), job.prepared("run"):
        pass
