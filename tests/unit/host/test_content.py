"""An image's hash follows its content and nothing else."""

from __future__ import annotations

import io
import os
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.host.content import context_tar, short_hash


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """An image's directory with a program, a file in a folder and a link."""
    root = tmp_path / "image"
    (root / "conf.d").mkdir(parents=True)
    (root / "Dockerfile").write_text("FROM scratch\n")
    (root / "conf.d" / "a.conf").write_text("a\n")
    (root / "entrypoint").write_text("#!/bin/sh\n")
    (root / "entrypoint").chmod(0o755)
    (root / "link").symlink_to("conf.d/a.conf")
    (root / "folder-link").symlink_to("conf.d")
    return root


def test_context_holds_every_file_with_its_content(directory: Path) -> None:
    with tarfile.open(fileobj=io.BytesIO(context_tar(directory))) as tar:
        assert tar.getnames() == ["Dockerfile", "conf.d/a.conf", "entrypoint", "folder-link", "link"]
        assert tar.extractfile("conf.d/a.conf").read() == b"a\n"
        assert tar.getmember("entrypoint").mode == 0o755
        assert tar.getmember("link").linkname == "conf.d/a.conf"


def test_times_and_umask_do_not_count(directory: Path) -> None:
    before = context_tar(directory)
    os.utime(directory / "Dockerfile", (1, 1))
    (directory / "conf.d" / "a.conf").chmod(0o600)
    assert context_tar(directory) == before


def test_order_of_creation_does_not_count(directory: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    (other / "conf.d").mkdir(parents=True)
    (other / "link").symlink_to("conf.d/a.conf")
    (other / "folder-link").symlink_to("conf.d")
    for name in ("entrypoint", "conf.d/a.conf", "Dockerfile"):
        (other / name).write_bytes((directory / name).read_bytes())
    (other / "entrypoint").chmod(0o700)
    assert context_tar(other) == context_tar(directory)


@pytest.mark.parametrize("leftover", ["__pycache__/x.pyc", "conf.d/node_modules/x/index.js", ".next/cache"])
def test_leftovers_of_tools_do_not_count(directory: Path, leftover: str) -> None:
    before = context_tar(directory)
    (directory / leftover).parent.mkdir(parents=True)
    (directory / leftover).write_text("x")
    assert context_tar(directory) == before


def change_content(root: Path) -> None:
    (root / "conf.d" / "a.conf").write_text("b\n")


def change_name(root: Path) -> None:
    (root / "conf.d" / "a.conf").rename(root / "conf.d" / "b.conf")


def change_mode(root: Path) -> None:
    (root / "entrypoint").chmod(0o644)


def change_link(root: Path) -> None:
    (root / "link").unlink()
    (root / "link").symlink_to("elsewhere")


@pytest.mark.parametrize("change", [change_content, change_name, change_mode, change_link])
def test_what_the_image_consists_of_counts(directory: Path, change: Callable[[Path], None]) -> None:
    before = context_tar(directory)
    change(directory)
    assert context_tar(directory) != before


def test_short_hash_keeps_its_parts_apart() -> None:
    assert short_hash("ab", "c") != short_hash("a", "bc")
    assert short_hash("ab") == short_hash(b"ab")
    assert len(short_hash("ab")) == 12
