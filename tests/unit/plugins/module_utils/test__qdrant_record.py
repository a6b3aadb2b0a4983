"""What is remembered of restores."""

from __future__ import annotations

import errno
import json
import os
import stat
from pathlib import Path

import pytest

from ansible_collections.somos.infra.plugins.module_utils._qdrant import LocalError
from ansible_collections.somos.infra.plugins.module_utils._qdrant_record import Record

URL = "http://127.0.0.1:6333"


@pytest.fixture
def record(tmp_path: Path) -> Record:
    return Record(str(tmp_path / "state" / "restored.json"), URL)


def test_a_restore_from_its_beginning_to_its_end(record: Record) -> None:
    assert record.restored("documents") is None and not record.begun("documents")
    record.begin("documents", "ab", "safety.snapshot")
    assert record.begun_with("documents", "ab") and not record.begun_with("documents", "cd")
    assert record.restored("documents") is None and record.safety("documents") == "safety.snapshot"
    assert not record.begun("notes"), "each by itself"
    record.finish("documents", "ab")
    assert record.restored("documents") == "ab" and not record.begun("documents")
    assert record.safety("documents") is None and not record.begun_with("documents", "ab")


def test_it_is_another_run_that_reads_it(record: Record) -> None:
    record.finish("documents", "ab")
    record.begin("notes", None, None)
    again = Record(str(record.path), URL)
    assert again.restored("documents") == "ab" and again.begun_with("notes", None)
    assert Record(str(record.path), "http://other:6333").restored("documents") is None


def test_what_came_to_nothing_leaves_what_was_known(record: Record) -> None:
    record.begin("documents", "ab", None)
    record.forget("documents")
    assert record.restored("documents") is None and not record.begun("documents")
    record.finish("documents", "ab")
    record.begin("documents", "cd", "one.snapshot")
    record.begin("documents", "ef", "one.snapshot")  # after a run that was cut off
    record.forget("documents")
    assert record.restored("documents") == "ab"


def test_servers_do_not_touch_each_other(record: Record) -> None:
    other = Record(str(record.path), "http://other:6333")
    other.finish("documents", "xy")
    record.finish("documents", "ab")
    record.begin("notes", "cd", None)
    record.forget("notes")
    assert (other.restored("documents"), record.restored("documents")) == ("xy", "ab")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"\xff",
        b"[]",
        b"null",
        b"[" * 500_000,
        *(
            json.dumps(each).encode()
            for each in ({URL: []}, {URL: None}, {URL: {"documents": []}}, {URL: {"documents": 3}})
        ),
    ],
)
def test_a_damaged_record_counts_as_empty(record: Record, content: bytes) -> None:
    record.directory()
    record.path.write_bytes(content)
    assert record.restored("documents") is None and not record.begun("documents")
    record.finish("documents", "ab")
    assert record.restored("documents") == "ab"


def test_it_is_private_and_made_where_it_should_be(record: Record) -> None:
    record.finish("documents", "ab")
    assert stat.S_IMODE(record.path.stat().st_mode) == 0o600
    assert record.directory() == record.path.parent
    assert [path.name for path in record.directory().iterdir()] == ["restored.json"]


def test_a_full_disk_is_told_and_leaves_what_was_there(record: Record, monkeypatch: pytest.MonkeyPatch) -> None:
    record.finish("documents", "ab")

    def full(_handle: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(LocalError, match=r"The record .*restored\.json cannot be written: No space left on device"):
        record.begin("documents", "cd", None)
    assert record.restored("documents") == "ab"
    assert [path.name for path in record.directory().iterdir()] == ["restored.json"]


def test_a_directory_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(LocalError, match="cannot be written"):
        Record(str(tmp_path / "file" / "restored.json"), URL).finish("documents", "ab")


def test_it_is_replaced_at_once(record: Record, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever is killed at any moment leaves the old one or the new one."""
    record.finish("documents", "ab")
    seen: list[str | None] = []
    original = os.fsync
    monkeypatch.setattr(os, "fsync", lambda handle: (seen.append(record.restored("documents")), original(handle))[1])
    record.finish("documents", "cd")
    assert seen == ["ab", "cd"], "before its content is on disk, and before its name is"
