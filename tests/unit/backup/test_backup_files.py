from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import Any

import pytest
from backup_case import config

from somos_backup import manifest
from somos_backup.jobs.files import Files


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    root = tmp_path / "opt"
    (root / "secrets").mkdir(parents=True)
    (root / "secrets" / "password").write_text("secret")
    (root / "secrets" / "password").chmod(0o400)
    (root / "secrets").chmod(0o711)
    (root / "current").symlink_to("releases/1")
    (root / "restored" / "deep").mkdir(parents=True)
    (root / "restored" / "deep" / "old").write_text("")
    return root


def job(directory: Path, *paths: Path, exclude: tuple[Path, ...] = ()) -> Files:
    values = {
        "name": "configs",
        "kind": "files",
        "paths": [str(path) for path in paths],
        "exclude": [str(path) for path in exclude],
        "keep_days": 90,
    }
    return Files(config(directory), values)


def staged(made: Files) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
    with made.prepared("run") as saved:
        copied = made.directory / manifest.DATA
        assert manifest.differences(made.directory, saved) == []
        root = next(path for path in copied.rglob("opt"))
        return dict(saved.facts), {str(path): {} for path in sorted(root.rglob("*"))} and {
            name.partition("/opt/")[2]: entry for name, entry in saved.files.items() if "/opt/" in name
        }


def test_everything_is_copied_with_owner_mode_and_links(tmp_path: Path, tree: Path) -> None:
    facts, entries = staged(job(tmp_path, tree, exclude=(tree / "restored",)))
    assert facts == {"paths": [str(tree)], "absent": []}
    assert sorted(entries) == ["current", "secrets", "secrets/password"]
    assert entries["current"] == {"link": "releases/1"}
    own = f"{os.getuid()}:{os.getgid()}"
    assert (entries["secrets"]["mode"], entries["secrets/password"]["mode"]) == ("0o711", "0o400")
    assert entries["secrets/password"]["owner"] == own and entries["secrets/password"]["size"] == len("secret")


def test_an_owner_is_kept(tmp_path: Path, tree: Path) -> None:
    if os.geteuid():
        pytest.skip("only root gives files away")
    os.chown(tree / "secrets" / "password", 999, 998)
    os.chown(tree / "current", 997, 996, follow_symlinks=False)
    _, entries = staged(job(tmp_path, tree))
    assert entries["secrets/password"]["owner"] == "999:998"


def test_sockets_and_pipes_are_nobodys_configuration(tmp_path: Path, tree: Path) -> None:
    os.mkfifo(tree / "pipe")  # opened, it would hold everything up for ever
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tree / "socket"))
        _, entries = staged(job(tmp_path, tree))
    assert not {"pipe", "socket"} & entries.keys()


def test_what_is_not_there_is_told_and_stops_nothing(tmp_path: Path, tree: Path) -> None:
    facts, _ = staged(job(tmp_path, tree, tmp_path / "letsencrypt"))
    assert facts["absent"] == [str(tmp_path / "letsencrypt")]


def test_a_single_file_can_be_named(tmp_path: Path, tree: Path) -> None:
    _, entries = staged(job(tmp_path, tree / "secrets" / "password"))
    assert [name for name in entries if "size" in entries[name]] == ["secrets/password"]


def test_the_room_it_needs_is_that_of_its_files(tmp_path: Path, tree: Path) -> None:
    before = job(tmp_path, tree).room()
    (tree / "large").write_bytes(b"x" * 100_000)
    assert job(tmp_path, tree).room() == before + 100_000


def test_what_vanishes_meanwhile_is_left_out(tmp_path: Path, tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a file does that Ansible replaces, or a certificate that is renewed."""
    made = job(tmp_path, tree)
    listed = list(made._tree(tree))
    monkeypatch.setattr(made, "_tree", lambda root: iter([*listed, tree / "gone", tree / "gone" / "file"]))
    _, entries = staged(made)
    assert "secrets/password" in entries and "gone" not in entries
