"""Putting a collection back: what is left of it, and of what was there, whatever fails on the way."""

from __future__ import annotations

import errno
import io
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from qdrant_fake import Fake, Held, lost_after, lost_before, refusal

from ansible_collections.somos.infra.plugins.module_utils._qdrant import LocalError, QdrantError
from ansible_collections.somos.infra.plugins.module_utils._qdrant_record import Record
from ansible_collections.somos.infra.plugins.module_utils._qdrant_restore import Restore, Step
from ansible_collections.somos.infra.plugins.module_utils._qdrant_sources import FileSource, LocationSource
from ansible_collections.somos.infra.plugins.module_utils._qdrant_store import Contents

CHECKSUM = "ab" * 32
SAFETY = "documents-1-2026-11-24-03-00-00.snapshot"
UPLOADED = "somos-restore-"


def source(points: int = 10) -> FileSource:
    return FileSource(CHECKSUM, 2, lambda: io.BytesIO(str(points).encode()))


def step(replaces: int | None = 3, points: int = 10, aliases: Mapping[str, str] | None = None, **options: Any) -> Step:
    contents = options.pop("contents", Contents(10, 10))
    return Step("documents", options.pop("source", source(points)), contents, replaces, aliases or {})


@pytest.fixture
def record(tmp_path: Path) -> Record:
    return Record(str(tmp_path / "restored.json"), "http://fake")


def restore(server: Fake, record: Record, **options: Any) -> Restore:
    clock: Callable[[], float] = lambda: server.now.timestamp()  # noqa: E731
    return Restore(server, record, sleep=server.tick, clock=clock, **options)


def fails(server: Fake, record: Record, what: Step, **options: Any) -> str:
    with pytest.raises(QdrantError) as caught:
        restore(server, record, **options).run(what)
    leftovers = [path.name for path in record.directory().iterdir() if path != record.path]
    assert leftovers == [], "nothing stays of a snapshot that passed through"
    return str(caught.value)


def uploads(server: Fake) -> list[str]:
    return [name for _, name in server.files if name.startswith(UPLOADED)]


def safeties(server: Fake) -> list[str]:
    return [name for _, name in server.files if not name.startswith(UPLOADED)]


# What goes well.


def test_points_are_replaced_and_nothing_else_stays(record: Record) -> None:
    server = Fake(documents=3)
    assert restore(server, record).run(step(aliases={"docs": "documents"})) == 10
    assert server.held["documents"].points == 10 and server.alias_table == {"docs": "documents"}
    assert server.files == {}
    assert record.restored("documents") == CHECKSUM
    order = [call.split()[0] for call in server.calls]
    assert order.index("create_snapshot") < order.index("upload_snapshot") < order.index("change_aliases")
    assert order.index("change_aliases") < len(order) - 1 - order[::-1].index("delete_snapshot")


def test_a_collection_that_was_not_there_needs_no_securing(record: Record) -> None:
    server = Fake()
    assert restore(server, record).run(step(None)) == 10
    assert server.called("create_snapshot") == [] and server.files == {}


def test_securing_can_be_left_out(record: Record) -> None:
    server = Fake(documents=3)
    restore(server, record, safety=False).run(step())
    assert server.called("create_snapshot") == []


def test_it_is_waited_for_until_it_is_green(record: Record) -> None:
    server = Fake(documents=3)
    states = iter(["grey", "yellow", "yellow", "green"])
    change: Callable[[], None] = lambda: setattr(server.held["documents"], "status", next(states))  # noqa: E731
    server.failing("collection", *[change] * 4)
    assert restore(server, record).run(step()) == 10
    assert server.called("sleep") == ["sleep 0.1", "sleep 0.2", "sleep 0.4"]


def test_without_a_manifest_any_number_is_right(record: Record) -> None:
    assert restore(Fake(documents=3), record).run(step(points=7, contents=None)) == 7


def test_what_an_earlier_run_uploaded_goes(record: Record) -> None:
    server = Fake(documents=3)
    server.files["documents", f"{UPLOADED}0.snapshot"] = b"99"
    server.files["documents", "mine.snapshot"] = b"5"
    restore(server, record).run(step())
    assert list(server.files) == [("documents", "mine.snapshot")]


def test_a_location_is_left_to_the_server(record: Record, monkeypatch: pytest.MonkeyPatch) -> None:
    server = Fake(documents=3)
    asked: list[Any] = []
    monkeypatch.setattr(server, "recover_snapshot", lambda *given: (asked.append(given), setattr(
        server.held["documents"], "points", 10)))  # fmt: skip
    where = LocationSource("https://old/x.snapshot?signature=s3cret", CHECKSUM, "k3y")
    restore(server, record).run(step(source=where))
    assert asked == [("documents", where.location, CHECKSUM, "k3y")]
    assert "s3cret" not in repr(where) and "k3y" not in repr(where)


# Nothing was replaced.


@pytest.mark.parametrize("status", [301, 307, 400, 401, 403, 404, 413, 422, 429, 503, 507])
def test_a_refusal_before_anything_was_touched(record: Record, status: int) -> None:
    server = Fake(documents=3)
    record.finish("documents", "cd" * 32)
    server.failing("upload_snapshot", refusal(status, "Wrong input"))
    message = fails(server, record, step())
    assert f"answered {status}: Wrong input." in message and message.endswith(" Nothing was replaced.")
    assert server.held["documents"].points == 3 and server.files == {}, "no safety snapshot, no upload"
    assert record.restored("documents") == "cd" * 32, "what was known is known still"


def test_a_server_that_was_never_reached(record: Record) -> None:
    server = Fake(documents=3)
    server.failing("upload_snapshot", lost_before())
    assert fails(server, record, step()).endswith(" Nothing was replaced.")
    assert safeties(server) == [] and not record.begun("documents")


@pytest.mark.parametrize(
    "opened",
    [lambda: (_ for _ in ()).throw(OSError(errno.EIO, "Input/output error")), lambda: open("/nowhere")],  # noqa: PTH123, SIM115
)
def test_a_file_that_cannot_be_read_any_more(record: Record, opened: Callable[[], Any]) -> None:
    server = Fake(documents=3)
    message = fails(server, record, step(source=FileSource(CHECKSUM, 2, opened)))
    assert message.startswith("The snapshot cannot be read: ") and message.endswith(" Nothing was replaced.")
    assert server.called("upload_snapshot") == [] and server.files == {}


def test_a_file_that_ends_early(record: Record) -> None:
    server = Fake(documents=3)
    server.failing("upload_snapshot", LocalError("The snapshot ended 5 bytes early."))
    assert fails(server, record, step()).endswith(" Nothing was replaced.")


def test_what_cannot_be_secured_is_not_replaced(record: Record) -> None:
    server = Fake(documents=3)
    server.failing("create_snapshot", refusal(507, "quota"))
    message = fails(server, record, step())
    assert "Nothing was replaced, as collection documents could not be secured first" in message
    assert "set safety_snapshot to false" in message
    assert server.called("upload_snapshot") == [] and not record.begun("documents")


def test_a_safety_snapshot_that_cannot_be_removed_is_not_taken_for_that_of_a_later_state(record: Record) -> None:
    server = Fake(documents=3)
    server.failing("upload_snapshot", refusal(400))
    server.failing("delete_snapshot", None, refusal(500))
    fails(server, record, step())
    assert safeties(server) == [SAFETY] and not record.begun("documents")


# Nobody knows.


@pytest.mark.parametrize("error", [lost_after(), refusal(408), refusal(502), refusal(504)])
def test_a_server_that_may_be_at_work_still_is_left_alone(record: Record, error: QdrantError) -> None:
    server = Fake(documents=3)
    server.failing("upload_snapshot", error)
    message = fails(server, record, step())
    assert "The server may still be restoring collection documents: look at its log, and run this again" in message
    assert message.endswith(f"What the collection held before is in its snapshot {SAFETY} on the server.")
    assert safeties(server) == [SAFETY] and record.safety("documents") == SAFETY
    assert len(uploads(server)) == 1, "it may be what the server reads"
    assert len(server.called("upload_snapshot")) == 1


def test_without_a_safety_snapshot_none_is_promised(record: Record) -> None:
    server = Fake()
    server.failing("upload_snapshot", lost_after())
    assert fails(server, record, step(None)).endswith("run this again when it is done.")


@pytest.mark.parametrize("error", [lost_before(), lost_after()])
@pytest.mark.parametrize("method", ["collection", "count"])
def test_a_server_that_goes_away_after_the_restore(record: Record, error: QdrantError, method: str) -> None:
    """It replaced everything: nothing may be said to be untouched, and least of all the way back be removed."""
    server = Fake(documents=3)
    server.failing(method, error)
    message = fails(server, record, step())
    assert "What the restore made of collection documents could not be seen" in message
    assert "Nothing was replaced" not in message and SAFETY in message
    assert safeties(server) == [SAFETY] and record.safety("documents") == SAFETY


# Something was replaced.


@pytest.mark.parametrize("error", [refusal(500, "No space left on device"), QdrantError("It does not answer.")])
def test_what_was_there_is_put_back(record: Record, error: QdrantError) -> None:
    server = Fake(documents=3)
    server.failing("upload_snapshot", error)
    message = fails(server, record, step(aliases={"docs": "documents"}))
    assert message == f"{error} What collection documents held before (3 points) was put back."
    assert server.held["documents"].points == 3 and server.files == {} and server.alias_table == {}
    assert not record.begun("documents")


def test_a_red_collection(record: Record) -> None:
    server = Fake(documents=3)
    red = Held(10, "red", reason="No space left on device")
    server.failing("collection", lambda: server.held.update(documents=red))
    message = fails(server, record, step())
    assert "Collection documents is red after its restore: No space left on device." in message
    assert message.endswith("(3 points) was put back.") and server.held["documents"].points == 3
    assert server.files == {} and server.called("sleep") == []


def test_a_collection_that_is_never_green(record: Record) -> None:
    server = Fake(documents=3)
    server.failing("collection", *[lambda: setattr(server.held["documents"], "status", "yellow")] * 50)
    message = fails(server, record, step(), wait_timeout=60)
    assert "is yellow after its restore, for 60 s: ok." in message and "was put back" in message
    waited = [float(call.split()[1]) for call in server.called("sleep")]
    assert 60 < sum(waited) <= 70 and max(waited) == 10


def test_a_collection_that_vanishes(record: Record) -> None:
    server = Fake()
    server.failing("collection", lambda: server.held.pop("documents"))
    message = fails(server, record, step(None))
    assert "is not there after its restore" in message and "is absent, as it was before" in message


@pytest.mark.parametrize("points", [9, 11])
def test_a_number_of_points_that_is_wrong(record: Record, points: int) -> None:
    server = Fake(documents=3)
    message = fails(server, record, step(points=points))
    assert f"holds {points} points after its restore; its manifest says 10." in message
    assert server.held["documents"].points == 3


@pytest.mark.parametrize("status", [400, 403, 429, 500, 503])
def test_a_refusal_after_the_restore_is_not_one_before_it(record: Record, status: int) -> None:
    server = Fake(documents=3)
    server.failing("count", refusal(status))
    message = fails(server, record, step())
    assert "was put back" in message and "Nothing was replaced" not in message
    assert server.held["documents"].points == 3


def test_without_a_safety_snapshot_it_stays_as_it_is(record: Record) -> None:
    server = Fake(documents=3)
    server.failing("upload_snapshot", refusal(500))
    assert fails(server, record, step(), safety=False).endswith(
        "Collection documents is as the failed restore left it."
    )
    assert record.begun_with("documents", CHECKSUM), "so that the next run may replace it"
    assert uploads(server) == []


# The way back fails too.


def put_back_fails(method: str, *errors: Any) -> Fake:
    server = Fake(documents=3)
    server.failing("upload_snapshot", refusal(500, "first"))
    if method == "upload_snapshot":
        server.fail[method].extend(errors)
    else:
        server.failing(method, *errors)
    return server


@pytest.mark.parametrize(
    ("server", "why"),
    [
        (put_back_fails("upload_snapshot", refusal(500, "second")), "second"),
        (put_back_fails("download_snapshot", LocalError("There is no room.")), "There is no room."),
        (put_back_fails("download_snapshot", OSError(errno.EROFS, "Read-only file system")), "Read-only file system"),
        (put_back_fails("upload_snapshot", lost_after()), "closed"),
    ],
)
def test_both_reasons_and_the_way_out_are_told(record: Record, server: Fake, why: str) -> None:
    message = fails(server, record, step())
    assert "first" in message and "Undoing it failed too: " in message and why in message
    assert message.endswith(f"What the collection held before is in its snapshot {SAFETY} on the server.")
    assert SAFETY in safeties(server) and record.safety("documents") == SAFETY


def test_a_safety_snapshot_that_is_gone(record: Record) -> None:
    server = Fake(documents=3)

    def broken() -> None:
        server.files.clear()
        raise refusal(500, "first")

    server.failing("upload_snapshot", broken)
    message = fails(server, record, step())
    assert f"Undoing it failed too: Snapshot {SAFETY} of collection documents is gone from the server." in message


# The collection was not there before.


def test_a_collection_that_came_half_is_removed_with_its_upload(record: Record) -> None:
    server = Fake()
    server.failing("upload_snapshot", refusal(500))
    message = fails(server, record, step(None))
    assert message.endswith("Collection documents is absent, as it was before.")
    assert server.held == {} and server.files == {}, "once the collection is gone, nobody sees its files"
    assert not record.begun("documents")


def test_an_upload_into_a_collection_that_never_came_is_removed_too(record: Record) -> None:
    """The server keeps it, and shows it to nobody as long as there is no such collection."""
    server = Fake()

    def nothing_came() -> None:
        server.held.clear()
        raise refusal(500)

    server.failing("upload_snapshot", nothing_came)
    assert "is absent, as it was before" in fails(server, record, step(None))
    assert server.called("create_collection") and server.held == {} and server.files == {}


def test_points_that_came_stay(record: Record) -> None:
    server = Fake()
    message = fails(server, record, step(None, points=9, aliases={"docs": "documents"}))
    assert message.endswith("The 9 points that came stay, without their aliases.")
    assert server.held["documents"].points == 9 and server.alias_table == {} and server.files == {}
    assert record.begun_with("documents", CHECKSUM)


def test_a_collection_that_cannot_be_counted_goes(record: Record) -> None:
    server = Fake()
    server.failing("upload_snapshot", refusal(500))
    server.failing("count", refusal(500))
    fails(server, record, step(None))
    assert server.held == {}


def test_a_collection_that_cannot_be_removed(record: Record) -> None:
    server = Fake()
    server.failing("upload_snapshot", refusal(500, "first"))
    server.failing("delete_collection", refusal(500, "second"))
    message = fails(server, record, step(None))
    assert "first" in message and "Undoing it failed too: It failed: http://fake answered 500: second." in message
    assert "What the collection held before" not in message


# After a run that was cut off.


@pytest.fixture
def cut_off(record: Record) -> Fake:
    """A server on which a restore broke half of a collection of 3 points."""
    server = Fake(documents=3)
    server.failing("upload_snapshot", lost_after())
    fails(server, record, step())
    server.held["documents"] = Held(1)
    server.now = server.now.replace(hour=9)
    server.calls.clear()
    return server


def test_it_is_done_again_and_the_first_safety_snapshot_kept(cut_off: Fake, record: Record) -> None:
    assert restore(cut_off, record).run(step(1)) == 10
    assert cut_off.called("create_snapshot") == [], "what is there now is half of something"
    assert cut_off.files == {} and record.restored("documents") == CHECKSUM


@pytest.mark.parametrize("error", [refusal(503), refusal(400), lost_before()])
def test_a_refusal_then_does_not_cost_the_only_way_back(cut_off: Fake, record: Record, error: QdrantError) -> None:
    cut_off.failing("upload_snapshot", error)
    message = fails(cut_off, record, step(1))
    assert "Nothing more was replaced." in message and SAFETY in message
    assert safeties(cut_off) == [SAFETY] and record.safety("documents") == SAFETY


def test_what_was_there_before_both_is_put_back(cut_off: Fake, record: Record) -> None:
    cut_off.failing("upload_snapshot", refusal(500))
    assert "was put back" in fails(cut_off, record, step(1))
    assert cut_off.held["documents"].points == 3 and cut_off.files == {}


def test_a_safety_snapshot_that_somebody_deleted_is_made_anew(cut_off: Fake, record: Record) -> None:
    cut_off.files.clear()
    restore(cut_off, record).run(step(1))
    assert cut_off.called("create_snapshot") == ["create_snapshot documents"]


def test_what_a_killed_run_left_of_a_snapshot_that_passed_through_goes(record: Record) -> None:
    server = Fake(documents=3)
    left = restore(server, record)._scratch()
    left.mkdir()
    (left / "half.part").write_bytes(b"x")
    restore(server, record).run(step())
    assert not left.exists()


# The last steps.


def test_aliases_that_cannot_be_set(record: Record) -> None:
    server = Fake(documents=3)
    server.failing("change_aliases", refusal(409, "exists"))
    message = fails(server, record, step(aliases={"docs": "documents"}))
    assert "exists" in message and "Collection documents is restored, with 10 points; its aliases are not" in message
    assert server.held["documents"].points == 10 and uploads(server) == []
    assert record.begun_with("documents", CHECKSUM), "the next run does it again"


def test_an_upload_that_cannot_be_removed_is_no_failure(record: Record) -> None:
    server = Fake(documents=3)
    server.failing("delete_snapshot", refusal(500))
    assert restore(server, record).run(step()) == 10
    assert len(uploads(server)) == 1
