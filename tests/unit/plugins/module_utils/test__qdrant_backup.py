"""Taking snapshots: none is lost to another one of its second, and nothing half-made stays, here or on the server."""

from __future__ import annotations

import hashlib
import os
import tempfile
import threading
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from qdrant_fake import START, Fake, Held, lost_after, refusal

from ansible_collections.somos.infra.plugins.module_utils._qdrant import (
    DamagedError,
    LocalError,
    QdrantError,
    RefusedError,
    Snapshot,
    UnreachableError,
)
from ansible_collections.somos.infra.plugins.module_utils._qdrant_backup import (
    Backup,
    expired,
    host_lock,
    made_by_server,
    newest_age,
)
from ansible_collections.somos.infra.plugins.module_utils._qdrant_store import SUFFIX, Contents, Manifest, Store

FIRST = "documents-1-2026-11-24-03-00-00.snapshot"
SECOND = "documents-1-2026-11-24-03-00-01.snapshot"  # a second and a bit later


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(str(tmp_path / "snapshots"))


def backup(server: Fake, store: Store | None, *, keep_on_server: bool = False) -> Backup:
    return Backup(server, store, keep_on_server=keep_on_server, sleep=server.tick)


def take(server: Fake, store: Store | None, collection: str | None = "documents", **options: Any) -> Any:
    one = backup(server, store, **options)
    with one.locked():
        return one.take(collection)


def fails(server: Fake, store: Store, kind: type[QdrantError] = QdrantError) -> str:
    with pytest.raises(QdrantError) as caught:
        take(server, store)
    assert type(caught.value) is kind, caught.value
    assert names(store) == [], "neither a snapshot nor a note"
    return str(caught.value)


def names(store: Store) -> list[str]:
    return sorted(path.name for path in store.path.iterdir())


def test_a_snapshot_and_its_manifest_are_here_and_no_copy_there(store: Store) -> None:
    server = Fake(documents=3)
    server.alias_table = {"docs": "documents", "other": "notes"}
    taken = take(server, store)
    assert names(store) == [FIRST, FIRST + SUFFIX] and server.files == {}
    assert taken.path == store.path / FIRST and taken.path.read_bytes() == b"3"
    assert store.manifests() == [taken.manifest]
    assert taken.manifest == Manifest(
        kind="collection",
        snapshot=FIRST,
        size=1,
        checksum=hashlib.sha256(b"3").hexdigest(),
        created=START.isoformat(),
        server_version="1.19.0",
        collections={"documents": Contents(3, 3, server.held["documents"].config)},
        aliases={"docs": "documents"},
        verified=True,
    )


def test_the_copy_on_the_server_stays_if_it_is_wanted(store: Store) -> None:
    server = Fake(documents=3)
    take(server, store, keep_on_server=True)
    assert list(server.files) == [("documents", FIRST)] and names(store) == [FIRST, FIRST + SUFFIX]


def test_without_a_directory_it_stays_there(store: Store) -> None:
    server = Fake(documents=3)
    taken = take(server, None)
    assert taken.path is None and list(server.files) == [("documents", FIRST)]
    assert taken.manifest.checksum == hashlib.sha256(b"3").hexdigest()


def test_the_whole_storage(store: Store) -> None:
    server = Fake(documents=3, notes=4)
    server.alias_table = {"docs": "documents"}
    taken = take(server, store, None)
    assert taken.snapshot.name == "full-snapshot-2026-11-24-03-00-00.snapshot" and server.files == {}
    assert taken.manifest.kind == "storage" and sorted(taken.manifest.collections) == ["documents", "notes"]


def test_points_are_counted_before_and_after(store: Store) -> None:
    server = Fake(documents=3)
    server.failing("create_snapshot", lambda: server.held.update(documents=Held(5)))
    assert take(server, store).manifest.collections["documents"].expected == "3 to 5"


def test_a_server_that_knows_no_checksum_verifies_nothing(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    server = Fake(documents=3)
    monkeypatch.setattr(server, "describe", lambda collection, name: Snapshot(name, 1))
    taken = take(server, store)
    assert not taken.manifest.verified and taken.manifest.checksum == hashlib.sha256(b"3").hexdigest()
    assert taken.manifest.time.tzinfo is not None, "of the moment, if the server says none"


def test_what_is_no_good_is_not_taken(store: Store) -> None:
    with pytest.raises(QdrantError, match="has no collection gone to make a snapshot of"):
        take(Fake(documents=3), store, "gone")
    server = Fake(documents=3)
    server.held["documents"] = Held(3, "red", reason="disk full")
    assert "is red: disk full." in fails(server, store)
    assert server.called("create_snapshot") == []


# The same second.


def test_a_name_that_was_there_before_is_another_s(store: Store) -> None:
    server = Fake(documents=3)
    server.files["documents", FIRST] = b"9"
    assert take(server, store).snapshot.name == SECOND
    assert [name for _, name in server.files] == [FIRST], "which stays"


def test_a_snapshot_that_was_taken_away_is_taken_again(store: Store) -> None:
    server = Fake(documents=3)
    server.failing("download_snapshot", server.files.clear)
    assert take(server, store).snapshot.name == SECOND
    assert names(store) == [SECOND, SECOND + SUFFIX]


def test_a_name_that_the_directory_has_already(store: Store) -> None:
    take(Fake(documents=3), store)
    later = Fake(documents=4)  # of another server
    assert take(later, store).snapshot.name == SECOND
    assert (store.path / FIRST).read_bytes() == b"3" and later.files == {}


def test_that_ends_some_time(store: Store) -> None:
    server = Fake(documents=3)
    server.failing("download_snapshot", *[server.files.clear] * 9)
    assert "This happened 4 times: somebody else makes snapshots all the time." in fails(server, store)
    assert len(server.called("create_snapshot")) == 4


def test_the_next_one_waits_for_the_next_second(store: Store) -> None:
    server = Fake(documents=3)
    take(server, store)
    assert server.calls[-1] == "sleep 1.1"
    with backup(server, store).locked():
        pass
    assert len(server.called("sleep")) == 1, "but only if one was made"


def test_one_after_the_other(store: Store) -> None:
    first, second = threading.Event(), threading.Event()

    def wait() -> None:
        first.wait(5)
        with host_lock("http://fake"):
            second.set()

    thread = threading.Thread(target=wait)
    thread.start()
    with backup(Fake(), store).locked():
        first.set()
        assert not second.wait(0.1)
    assert second.wait(5)
    thread.join()
    with host_lock("http://fake"), host_lock("http://other"):
        pass


# What goes wrong.


def test_damage_is_tried_once_more(store: Store) -> None:
    server = Fake(documents=3)
    server.failing("download_snapshot", DamagedError("damaged"))
    assert take(server, store).snapshot.name == SECOND and server.files == {}
    server.failing("download_snapshot", DamagedError("damaged"), DamagedError("again"))
    store = Store(f"{store.path}2")
    assert fails(server, store, DamagedError) == "again" and server.files == {}


@pytest.mark.parametrize(
    "error", [refusal(500), UnreachableError("It stopped.", sent=True), LocalError("There is no room.")]
)
def test_what_fails_leaves_no_copy_on_the_server(store: Store, error: QdrantError) -> None:
    server = Fake(documents=3)
    server.failing("download_snapshot", error)
    assert fails(server, store, type(error)) == str(error)
    assert server.files == {}


def test_a_count_that_fails_leaves_nothing_either(store: Store) -> None:
    server = Fake(documents=3)
    server.failing("count", None, refusal(500))
    fails(server, store, RefusedError)
    assert server.files == {}


def test_a_directory_that_is_full_leaves_nothing_either(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    server = Fake(documents=3)

    def full(*_arguments: object) -> bool:
        raise LocalError("No space left on device.")

    monkeypatch.setattr(Store, "add", full)
    fails(server, store, LocalError)
    assert server.files == {}


def test_a_creation_that_fails_has_no_copy(store: Store) -> None:
    server = Fake(documents=3)
    server.failing("create_snapshot", refusal(507, "quota"))
    assert "quota" in fails(server, store, RefusedError)


# Copies that could not be removed.


def test_a_copy_that_could_not_be_removed_is_removed_by_the_next_run(store: Store) -> None:
    server = Fake(documents=3)
    server.failing("download_snapshot", lost_after())
    server.failing("delete_snapshot", lost_after())
    with pytest.raises(UnreachableError, match="closed"):
        take(server, store)
    assert list(server.files) == [("documents", FIRST)]
    with backup(server, store).locked():
        assert server.files == {}
    assert names(store) == []


def test_a_copy_that_stays_after_success_is_told_and_removed_later(store: Store) -> None:
    server = Fake(documents=3)
    server.failing("delete_snapshot", refusal(403))
    with pytest.raises(RefusedError):
        take(server, store)
    assert [name for name in names(store) if not name.startswith(".")] == [FIRST, FIRST + SUFFIX], "it is whole"
    with backup(server, store).locked():
        assert server.files == {}
    assert names(store) == [FIRST, FIRST + SUFFIX]


@pytest.mark.parametrize("still_there", [True, False])
def test_whether_a_note_stays_is_asked_of_the_server(store: Store, still_there: bool) -> None:
    server = Fake(documents=3)
    server.failing("download_snapshot", refusal(500) if still_there else lambda: (server.files.clear(), _raise())[1])
    server.failing("delete_snapshot", refusal(500))
    with pytest.raises(RefusedError):
        take(server, store)
    assert len(list(store.path.glob(".*.pending"))) == still_there


def _raise() -> None:
    raise refusal(500)


@pytest.mark.parametrize(("error", "notes"), [(refusal(404), 0), (refusal(500), 1), (lost_after(), 1)])
def test_a_server_that_cannot_be_asked_keeps_the_note(store: Store, error: QdrantError, notes: int) -> None:
    server = Fake(documents=3)
    server.failing("download_snapshot", refusal(500))
    server.failing("delete_snapshot", refusal(500))
    server.failing("snapshots", None, error)
    with pytest.raises(RefusedError):
        take(server, store)
    assert len(list(store.path.glob(".*.pending"))) == notes


def test_a_killed_run_s_copy_goes(store: Store) -> None:
    class Killed(BaseException):
        pass

    server = Fake(documents=3)
    server.failing("download_snapshot", lambda: (_ for _ in ()).throw(Killed))
    original: Callable[..., Any] = Fake.delete_snapshot
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Fake, "delete_snapshot", lambda *_: (_ for _ in ()).throw(Killed))
        with pytest.raises(Killed):
            take(server, store)
    assert Fake.delete_snapshot is original and list(server.files) == [("documents", FIRST)]
    take(server, store)
    assert server.files == {}


# Locks.


def test_a_lock_that_belongs_to_somebody_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda *_: False)
    monkeypatch.setattr(tempfile, "gettempdir", lambda: str(tmp_path))
    with host_lock("http://fake"):
        (path,) = tmp_path.iterdir()
    path.unlink()
    path.symlink_to(tmp_path / "target")
    with pytest.raises(QdrantError, match=r"cannot be taken: .*Remove it if it is not yours"), host_lock("http://fake"):
        pass
    assert not (tmp_path / "target").exists()


# What is kept.


def at(**ago: float) -> Snapshot:
    moment = START - timedelta(**ago)
    return Snapshot(f"documents-1-{moment:%Y-%m-%d-%H-%M-%S}.snapshot", 1, moment)


DAYS = [at(days=day) for day in (5, 4, 3, 2, 1)]


def kept(found: list[Snapshot], **rules: Any) -> list[int]:
    """How many days ago those were made that stay."""
    gone = expired(found, now=START, **{"keep_last": None, "keep_for": None, **rules})
    return [(START - each.created).days for each in found if each.created and each.name not in gone]


@pytest.mark.parametrize(
    ("rules", "days"),
    [
        ({}, [5, 4, 3, 2, 1]),
        ({"keep_last": 2}, [2, 1]),
        ({"keep_last": 9}, [5, 4, 3, 2, 1]),
        ({"keep_for": 3.5 * 86400}, [3, 2, 1]),
        ({"keep_for": 60}, [1]),
        ({"keep_for": 0}, [1]),
        ({"keep_last": 1, "keep_for": 2.5 * 86400}, [2, 1]),
        ({"keep_last": 4, "keep_for": 60}, [4, 3, 2, 1]),
        ({"keep_last": 2, "coming": 1}, [1]),
        ({"keep_last": 1, "coming": 1}, []),
        ({"keep_for": 60, "coming": 1}, []),
    ],
)
def test_what_neither_rule_keeps_goes(rules: dict[str, Any], days: list[int]) -> None:
    assert kept(DAYS, **rules) == days


def test_what_has_no_time_or_one_in_the_future_stays() -> None:
    found = [Snapshot("odd.snapshot", 1), at(days=-2), at(days=1)]
    assert expired(found, keep_last=1, keep_for=None, now=START) == []
    assert expired([], keep_last=1, keep_for=None, now=START) == []


def test_manifests_are_judged_like_snapshots() -> None:
    found = [
        Manifest("storage", f"{day}.snapshot", 1, "", (START - timedelta(days=day)).isoformat(), "1.19.0", {}, {})
        for day in (3, 2, 1)
    ]
    assert expired(found, keep_last=1, keep_for=None, now=START) == ["3.snapshot", "2.snapshot"]
    assert newest_age(found, START) == 86400


def test_the_age_of_the_newest() -> None:
    assert newest_age([], START) is None
    assert newest_age([Snapshot("odd.snapshot", 1)], START) is None
    assert newest_age([at(days=2), at(hours=1), Snapshot("odd.snapshot", 1)], START) == 3600
    assert newest_age([at(days=2), at(days=-1)], START) == 2 * 86400, "a clock that was wrong does not end all backups"
    assert newest_age([at(seconds=-10)], START) == -10, "but one that is a little ahead counts"


def test_whose_names_they_are() -> None:
    ours = "documents-3714892-2026-11-24-03-00-01.snapshot"
    others = [
        "documents.snapshot",
        "documents-new-3714892-2026-11-24-03-00-01.snapshot",
        "documents-shard-0-2026-11-24-03-00-01.snapshot",
        "somos-restore-1.snapshot",
        "xdocuments-1-2026-11-24-03-00-01.snapshot",
        f"{ours}x",
        "full-snapshot-2026-11-24-03-00-01.snapshot",
    ]
    found = [Snapshot(name, 1) for name in (ours, *others)]
    assert [each.name for each in made_by_server("documents", found)] == [ours]
    assert [each.name for each in made_by_server(None, found)] == [others[-1]]
    assert made_by_server("a.c", [Snapshot("abc-1-2026-11-24-03-00-01.snapshot", 1)]) == []


def test_times_are_compared_across_zones() -> None:
    assert newest_age([at(hours=1)], datetime(2026, 11, 24, 3, tzinfo=timezone.utc)) == 3600
