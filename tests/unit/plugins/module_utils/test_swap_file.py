"""A swap file is whole or it is none."""

from __future__ import annotations

from pathlib import Path

import pytest

from ansible_collections.somos.infra.plugins.module_utils._swap_file import Area, areas, file_system, fill, is_whole

MOUNTS = """/dev/vda1 / ext4 rw 0 0
/dev/vdb /srv btrfs rw 0 0
tmpfs /srv/my\\040tmp tmpfs rw 0 0
/dev/vdc /data ext4 rw 0 0
overlay /data overlay rw 0 0
"""


def with_signature(path: Path) -> Path:
    """What mkswap leaves at the end of the first page."""
    with path.open("r+b") as stream:
        stream.seek(4086)
        stream.write(b"SWAPSPACE2")
    return path


@pytest.fixture
def whole(tmp_path: Path) -> Path:
    fill(tmp_path / "swapfile", 2)
    return with_signature(tmp_path / "swapfile")


def test_a_filled_and_signed_file_is_whole(whole: Path) -> None:
    assert is_whole(whole, 2)
    assert whole.stat().st_mode & 0o777 == 0o600


def test_half_a_file_is_none(whole: Path) -> None:
    assert not is_whole(whole, 3)
    assert not is_whole(whole.with_name("absent"), 2)


def test_a_file_that_was_only_reserved_is_none(tmp_path: Path) -> None:
    sparse = tmp_path / "sparse"
    sparse.touch(0o600)
    with sparse.open("r+b") as stream:
        stream.truncate(2 * 1024 * 1024)
    assert not is_whole(with_signature(sparse), 2)


def test_zeros_without_a_signature_are_none(tmp_path: Path) -> None:
    fill(tmp_path / "swapfile", 2)
    assert not is_whole(tmp_path / "swapfile", 2)


def test_a_file_that_others_may_read_is_none(whole: Path) -> None:
    whole.chmod(0o644)
    assert not is_whole(whole, 2)


@pytest.mark.parametrize(
    ("path", "kind"),
    [("/swapfile", "ext4"), ("/srv/swap", "btrfs"), ("/srv/my tmp/swap", "tmpfs"), ("/data/swap", "overlay")],
)
def test_the_nearest_and_latest_mount_counts(path: str, kind: str) -> None:
    assert file_system(MOUNTS, path) == kind


def test_what_the_server_swaps_to() -> None:
    text = "Filename\tType\tSize\tUsed\tPriority\n/dev/vda2   partition\t1048572\t512\t-2\n"
    assert areas(text) == [Area("/dev/vda2", 1048572, 512)]
    assert areas("Filename\tType\n") == []
