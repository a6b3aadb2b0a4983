"""A directory of snapshots: what counts as there, what is kept, and what a killed run left."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import stat
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.somos.infra.plugins.module_utils import _qdrant_download
from ansible_collections.somos.infra.plugins.module_utils._qdrant import Download, LocalError, QdrantError
from ansible_collections.somos.infra.plugins.module_utils._qdrant_store import (
    SUFFIX,
    Contents,
    Manifest,
    Store,
    read_manifest,
)

NAME = "documents-1-2026-11-24-03-00-01.snapshot"


def manifest(name: str = NAME, **changes: Any) -> Manifest:
    values: dict[str, Any] = {
        "kind": "collection",
        "snapshot": name,
        "size": 7,
        "checksum": "ab" * 32,
        "created": "2026-11-24T03:00:01+00:00",
        "server_version": "1.19.0",
        "collections": {"documents": Contents(3, 5, {"params": {}})},
        "aliases": {"docs": "documents"},
    }
    return Manifest(**{**values, **changes})


def text(**changes: Any) -> str:
    return json.dumps({**json.loads(manifest().dump()), **changes})


@pytest.fixture
def store(tmp_path: Path) -> Store:
    made = Store(str(tmp_path / "snapshots"))
    with made.locked():
        pass
    return made


def received(store: Store, content: bytes = b"content") -> Download:
    path = store.path / ".x.part"
    path.write_bytes(content)
    return Download(path, len(content), "ab" * 32)


def names(store: Store) -> list[str]:
    return sorted(path.name for path in store.path.iterdir())


def test_a_manifest_is_read_as_it_was_written() -> None:
    one = manifest()
    assert Manifest.parse(one.dump(), "here") == one
    assert one.collection == "documents" and one.time == datetime(2026, 11, 24, 3, 0, 1, tzinfo=timezone.utc)
    both = manifest(kind="storage", collections={"a": Contents(0, 0), "b": Contents(1, 1)}, aliases={})
    assert Manifest.parse(both.dump().encode(), "here") == both
    assert both.collection is None


def test_points_that_were_written_meanwhile_make_a_range() -> None:
    for contents in (Contents(3, 5), Contents(5, 3)):
        assert [points for points in range(8) if contents.agrees(points)] == [3, 4, 5]
        assert contents.expected == "3 to 5"
    assert Contents(3, 3).expected == "3" and not Contents(3, 3).agrees(4)


@pytest.mark.parametrize(
    "content",
    [
        "",
        "null",
        "[]",
        "3",
        "{}",
        "[" * 500_000,
        b"\xff",
        text(extra=1),
        text(snapshot="../../etc/passwd"),
        text(snapshot="/etc/x.snapshot"),
        text(snapshot=3),
        text(size=-1),
        text(size="7"),
        text(size=7.5),
        text(checksum="ab"),
        text(checksum="AB" * 32),
        text(checksum="ab " * 31 + "ab"),
        text(checksum=None),
        text(created="yesterday"),
        text(created="2026-11-24T03:00:01"),
        text(server_version="latest"),
        text(server_version=1.19),
        text(kind="shard"),
        text(collections={}),
        text(collections={"a": {"points_before": 1, "points_after": 1}, "b": {"points_before": 1, "points_after": 1}}),
        text(collections={"documents": {"points_before": "1", "points_after": 1}}),
        text(collections={"documents": {"points_before": 1, "points_after": -1}}),
        text(collections={"documents": {"points_before": True, "points_after": 1}}),
        text(collections={"documents": {"points_before": 1, "points_after": 1, "config": []}}),
        text(collections={"documents": {"points_before": 1}}),
        text(collections={"documents": None}),
        text(collections=["documents"]),
        text(aliases={"docs": "notes"}),
        text(aliases={"docs": ["documents"]}),
        text(aliases=["docs"]),
    ],
)
def test_what_is_no_manifest(content: str | bytes) -> None:
    with pytest.raises(QdrantError, match="here is not a manifest of a snapshot: "):
        Manifest.parse(content, "here")


@pytest.mark.parametrize("form", [2, None, "1"])
def test_a_manifest_of_the_future(form: object) -> None:
    with pytest.raises(QdrantError, match=r"here is not a manifest .*: its format is that of another version"):
        Manifest.parse(text(format=form), "here")


def test_a_manifest_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "real").write_text(manifest().dump())
    (tmp_path / "link").symlink_to("real")
    assert read_manifest(tmp_path / "real") == manifest()
    with pytest.raises(LocalError, match="link cannot be read: it is a symbolic link"):
        read_manifest(tmp_path / "link")
    with pytest.raises(LocalError, match="No such file"):
        read_manifest(tmp_path / "none")


def test_a_snapshot_is_kept_with_its_manifest(store: Store) -> None:
    with store.locked():
        assert store.add(manifest(), received(store))
    assert names(store) == [NAME, NAME + SUFFIX]
    assert (store.path / NAME).read_bytes() == b"content"
    assert stat.S_IMODE((store.path / (NAME + SUFFIX)).stat().st_mode) == 0o600
    assert stat.S_IMODE(store.path.stat().st_mode) == 0o700
    assert store.manifests() == [manifest()]
    assert store.judged() == [(manifest(), "complete")]


def test_a_name_that_is_taken_stays_as_it_is(store: Store) -> None:
    store.add(manifest(), received(store))
    assert not store.add(manifest(size=5), received(store, b"other"))
    (store.path / NAME).unlink()
    (store.path / NAME).symlink_to("/nowhere")
    assert not store.add(manifest(size=5), received(store, b"other"))
    assert read_manifest(store.path / (NAME + SUFFIX)) == manifest()


def test_what_cannot_be_kept_leaves_nothing(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_path: Path) -> None:
        raise OSError(errno.EIO, "Input/output error")

    got = received(store)
    monkeypatch.setattr(_qdrant_download, "sync_directory", full)
    monkeypatch.setattr(Download, "keep_as", lambda self, path: full(path))
    with pytest.raises(LocalError, match=f"The snapshot .*{NAME} cannot be kept: Input/output error"):
        store.add(manifest(), got)
    assert names(store) == [".x.part"], "and the download is its owner's"


def test_states_of_snapshots(store: Store) -> None:
    for each, content in (
        ("missing", None),
        ("damaged", b"short"),
        ("link", b""),
        ("directory", b""),
        ("good", b"content"),
    ):
        path = store.path / f"{each}.snapshot"
        (store.path / f"{path.name}{SUFFIX}").write_text(manifest(path.name).dump())
        if each == "link":
            path.symlink_to(store.path / "good.snapshot")
        elif each == "directory":
            path.mkdir()
        elif content is not None:
            path.write_bytes(content)
    found = {one.snapshot.removesuffix(".snapshot"): state for one, state in store.judged()}
    assert found == {
        "missing": "missing", "damaged": "damaged", "link": "missing", "directory": "damaged", "good": "complete"
    }  # fmt: skip
    assert [each.snapshot for each in store.manifests()] == ["good.snapshot"]


def test_what_lies_about_is_no_snapshot(store: Store) -> None:
    (store.path / f"other.snapshot{SUFFIX}").write_text(manifest().dump())  # of another name
    (store.path / f"junk.snapshot{SUFFIX}").write_text("{}")
    (store.path / "alone.snapshot").write_text("x")
    (store.path / f"link.snapshot{SUFFIX}").symlink_to("/etc/passwd")
    assert store.judged() == store.manifests() == []
    assert Store("/nowhere").judged() == []


def test_oldest_first_by_time_not_by_name(store: Store) -> None:
    for name, day in (("a", 3), ("b", 1), ("c", 2)):
        one = manifest(f"{name}.snapshot", created=f"2026-11-0{day}T00:00:00+00:00")
        store.add(one, received(store))
    assert [each.snapshot[0] for each in store.manifests()] == ["b", "c", "a"]


def test_removing_takes_both_and_nothing_else(store: Store) -> None:
    store.add(manifest(), received(store))
    assert store.holds(NAME)
    (store.path / NAME).unlink()
    assert store.holds(NAME), "what is left of it"
    store.remove(NAME)
    store.remove(NAME)
    assert not store.holds(NAME) and names(store) == []
    for hostile in ("../x.snapshot", "/etc/passwd"):
        for act in (store.remove, store.holds):
            with pytest.raises(QdrantError, match="is not the name of a snapshot"):
                act(hostile)


def test_what_cannot_be_removed_is_told(store: Store) -> None:
    (store.path / NAME).mkdir()
    with pytest.raises(LocalError, match=f"The snapshot {NAME} in .* cannot be removed"):
        store.remove(NAME)


def test_a_lock_is_for_one_and_clears_what_a_killed_run_left(store: Store) -> None:
    (store.path / ".a.snapshot.x1.part").write_text("half")
    (store.path / "b.part").write_text("not ours")
    with store.locked():
        assert names(store) == ["b.part"]
        handle = os.open(store.path, os.O_RDONLY)
        with pytest.raises(BlockingIOError):
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.close(handle)
    with store.locked():
        pass


def test_a_directory_that_cannot_be_one(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(LocalError, match=r"The directory .*file cannot be used: "),
        Store(str(tmp_path / "file")).locked(),
    ):
        pass
    odd = Store(str(tmp_path))
    (tmp_path / ".odd.part").mkdir()
    with pytest.raises(LocalError, match="cannot be cleared"), odd.locked():
        pass


def test_copies_to_be_removed_are_remembered(store: Store) -> None:
    long = f"{'a' * 200}-1-2026-11-24-03-00-0"
    notes = [store.note_pending("a", f"{long}{second}.snapshot") for second in (1, 2)]
    notes.append(store.note_pending(None, "full-snapshot-2026-11-24-03-00-01.snapshot"))
    assert all(stat.S_IMODE(path.stat().st_mode) == 0o600 for path in notes)
    with store.locked():
        assert sorted(store.pending(), key=lambda each: each[2]) == [
            (notes[0], "a", f"{long}1.snapshot"),
            (notes[1], "a", f"{long}2.snapshot"),
            (notes[2], None, "full-snapshot-2026-11-24-03-00-01.snapshot"),
        ]


@pytest.mark.parametrize(
    "content", ["", "{}", "[]", '{"collection": "a", "name": "../x"}', '{"collection": null, "name": 3}']
)
def test_notes_that_are_none_go(store: Store, content: str) -> None:
    (store.path / ".x.pending").write_text(content)
    assert list(store.pending()) == [] and names(store) == []


def test_a_note_that_cannot_be_written(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fsync", lambda _: (_ for _ in ()).throw(OSError(errno.ENOSPC, "No space left on device")))
    with pytest.raises(LocalError, match=r"\.pending cannot be written: No space left on device"):
        store.note_pending("a", NAME)
    assert names(store) == []
