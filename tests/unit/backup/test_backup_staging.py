from __future__ import annotations

import errno
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest

from somos_backup import staging
from somos_backup.errors import BackupError


def test_it_is_empty_and_private_before_and_gone_afterwards(tmp_path: Path) -> None:
    (tmp_path / "job").mkdir()
    (tmp_path / "job" / "left by a killed run").write_text("")
    with staging.emptied(tmp_path / "job") as directory:
        assert list(directory.iterdir()) == []
        assert directory.stat().st_mode & 0o777 == 0o700
        (directory / "file").write_text("")
    assert not (tmp_path / "job").exists()


def test_it_is_gone_after_an_error_too(tmp_path: Path) -> None:
    with pytest.raises(KeyError), staging.emptied(tmp_path / "job"):
        raise KeyError
    assert not (tmp_path / "job").exists()


def test_a_full_disk_is_told_with_its_place_and_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(BackupError) as error, staging.emptied(tmp_path / "job"):
        raise OSError(errno.ENOSPC, "No space left on device", "/somewhere/file")
    assert "No space left on device on /somewhere/file" in str(error.value)
    assert "backup_state_directory" in str(error.value)


def test_room_is_looked_for_with_a_reserve(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=staging.RESERVE + 100))
    staging.refuse_without_room(tmp_path, 100)
    with pytest.raises(BackupError, match=r"101 B and a reserve of 1\.0 GiB are needed in .* 1\.0 GiB are free"):
        staging.refuse_without_room(tmp_path, 101)


def test_containers_may_read_what_is_opened_up_and_links_are_not_followed(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.write_text("")
    outside.chmod(0o600)
    top = tmp_path / "top"
    (top / "sub").mkdir(parents=True, mode=0o700)
    (top / "sub" / "file").write_text("")
    (top / "sub" / "file").chmod(0o400)
    (top / "link").symlink_to(outside)
    staging.open_up(top)
    modes = {path.name: path.stat().st_mode & 0o777 for path in (top, top / "sub", top / "sub" / "file", outside)}
    assert modes == {"top": 0o755, "sub": 0o755, "file": 0o644, "outside": 0o600}
