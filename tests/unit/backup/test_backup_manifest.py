from __future__ import annotations

import json
from pathlib import Path

import pytest

from somos_backup import manifest
from somos_backup.errors import BackupError


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    data = tmp_path / "data"
    (data / "sub").mkdir(parents=True)
    (data / "sub" / "file").write_text("content")
    (data / "sub" / "file").chmod(0o640)
    (data / "link").symlink_to("sub/file")
    (data / "odd \udcff\n").write_text("a name that is no text")
    manifest.seal(tmp_path, "configs", "run", {"fact": 1})
    return tmp_path


def test_what_is_as_it_was_saved_has_no_differences(saved: Path) -> None:
    found = manifest.read(saved)
    assert (found.job, found.run, found.facts) == ("configs", "run", {"fact": 1})
    assert found.size == len("content") + len("a name that is no text")
    assert manifest.differences(saved, found) == []


def test_each_difference_is_named(saved: Path) -> None:
    data = saved / "data"
    (data / "sub" / "file").write_text("CONTENT")
    (data / "sub" / "file").chmod(0o600)
    (data / "link").unlink()
    (data / "new").write_text("")
    differences = manifest.differences(saved, manifest.read(saved))
    assert [line.split(" is ")[0] for line in differences[:1]] == ["link"]
    assert "new was not there when it was saved" in differences
    assert "sub/file: mode is 0o600, was 0o640" in differences
    assert [line for line in differences if line.startswith("sub/file: sha256 is ")]
    assert len(differences) == 4


def test_a_link_that_leads_elsewhere_is_a_difference(saved: Path) -> None:
    (saved / "data" / "link").unlink()
    (saved / "data" / "link").symlink_to("/etc/shadow")
    assert manifest.differences(saved, manifest.read(saved)) == ["link: link is /etc/shadow, was sub/file"]


@pytest.mark.parametrize("text", [None, "", "{", "[]", '{"format": 1}', '{"format": 1, "job": "j"}'])
def test_without_a_manifest_that_can_be_read_a_backup_is_not_whole(saved: Path, text: str | None) -> None:
    path = saved / manifest.NAME
    path.unlink()
    if text is not None:
        path.write_text(text)
    with pytest.raises(BackupError, match="not whole"):
        manifest.read(saved)


def test_a_manifest_of_a_newer_program_is_refused(saved: Path) -> None:
    path = saved / manifest.NAME
    path.write_text(json.dumps({**json.loads(path.read_text()), "format": 2}))
    with pytest.raises(BackupError, match="newer version"):
        manifest.read(saved)
