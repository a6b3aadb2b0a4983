from __future__ import annotations

import fcntl
import io
import os
from pathlib import Path

import pytest
from config_tree_case import Case, F, Tree, actions, snapshot

from ansible_collections.somos.infra.plugins.module_utils import _config_tree_record
from ansible_collections.somos.infra.plugins.module_utils._config_tree import Refusal
from ansible_collections.somos.infra.plugins.module_utils._config_tree_converge import converge

OLD: Tree = {"etc/app.conf": "old\n", "etc/same.conf": "same\n", "run.sh": F("#!/bin/sh\n", 0o755)}
NEW: Tree = {"etc/app.conf": "new\n", "etc/same.conf": "same\n", "run.sh": F("#!/bin/sh\n", 0o700), "lib/x": b"\0\xff"}


@pytest.fixture
def case(tmp_path: Path) -> Case:
    return Case(tmp_path)


def test_a_tree_gets_its_contents_and_modes(case: Case) -> None:
    case.run(NEW, directories=[{"path": "var/empty", "mode": "0711"}])
    found = snapshot(case.dest)
    assert {path: item[3] for path, item in found.items() if item[3] is not None} == {
        "etc/app.conf": b"new\n", "etc/same.conf": b"same\n", "run.sh": b"#!/bin/sh\n", "lib/x": b"\0\xff",
    }  # fmt: skip
    assert {path: item[0][-4:] for path, item in found.items()} == {
        ".": "0755", "etc": "0755", "lib": "0755", "var": "0755", "var/empty": "0711",
        "etc/app.conf": "0644", "etc/same.conf": "0644", "run.sh": "0700", "lib/x": "0644",
    }  # fmt: skip


def test_check_run_check_run(case: Case) -> None:
    case.run(OLD)
    before = snapshot(case.tmp, times=True)
    predicted = case.check(NEW)
    assert snapshot(case.tmp, times=True) == before
    done = case.run(NEW)
    assert predicted.changes == done.changes
    assert actions(done) == {"lib/": "create", "etc/app.conf": "write", "lib/x": "create", "run.sh": "attributes"}
    after = snapshot(case.dest, times=True)
    assert not case.check(NEW).changes
    assert not case.run(NEW).changes
    assert snapshot(case.dest, times=True) == after


def test_a_check_on_a_virgin_host_makes_nothing(case: Case) -> None:
    predicted = case.check(NEW)
    assert not list(case.tmp.iterdir())
    assert predicted.changes == case.run(NEW).changes


def test_what_is_the_same_is_not_touched(case: Case) -> None:
    case.run(OLD)
    before = snapshot(case.dest, times=True)
    case.run(NEW)
    assert snapshot(case.dest, times=True)["etc/same.conf"] == before["etc/same.conf"]


def test_contents_are_asked_for_only_where_they_differ(case: Case) -> None:
    assert case.run(OLD, archive=False).missing == ["etc/app.conf", "etc/same.conf", "run.sh"]
    assert not case.dest.exists()
    case.run(OLD)
    assert case.run(NEW, archive=False).missing == ["etc/app.conf", "lib/x"]
    assert case.run({**OLD, "run.sh": F("#!/bin/sh\n", 0o700)}, archive=False).missing == []
    assert (case.dest / "run.sh").stat().st_mode & 0o777 == 0o700


def test_drift_is_repaired(case: Case) -> None:
    case.run(OLD, directories=[{"path": "etc", "mode": "0750"}])
    wanted = snapshot(case.dest)
    (case.dest / "etc/app.conf").write_text("by hand\n")
    (case.dest / "etc/same.conf").chmod(0o666)
    (case.dest / "run.sh").unlink()
    (case.dest / "etc").chmod(0o777)
    result = case.run(OLD, directories=[{"path": "etc", "mode": "0750"}])
    assert actions(result) == {
        "etc/": "attributes", "etc/app.conf": "write", "etc/same.conf": "attributes", "run.sh": "create",
    }  # fmt: skip
    assert snapshot(case.dest) == wanted


def test_a_directory_that_was_there_keeps_its_mode(case: Case) -> None:
    (case.dest / "etc").mkdir(parents=True)
    (case.dest / "etc").chmod(0o700)
    assert "etc/" not in actions(case.run(OLD))
    assert (case.dest / "etc").stat().st_mode & 0o777 == 0o700


def test_only_what_was_written_is_removed(case: Case) -> None:
    case.run({"a/b/mine": "1", "a/b/too": "2", "keep": "3"})
    (case.dest / "a/foreign").write_text("not ours")
    result = case.run({"keep": "3"})
    assert actions(result) == {"a/b/mine": "remove", "a/b/too": "remove", "a/b/": "remove"}
    assert sorted(map(str, (path.relative_to(case.dest) for path in case.dest.rglob("*")))) == [
        "a", "a/foreign", "keep",
    ]  # fmt: skip
    (case.dest / "a/foreign").unlink()
    assert actions(case.run({"keep": "3"})) == {"a/": "remove"}


def test_an_empty_tree_removes_all_it_made_and_nothing_else(case: Case) -> None:
    case.run(OLD)
    assert actions(case.run({}))["/"] == "remove"
    assert not case.dest.exists()
    assert not (case.records / "demo.json").exists() or '"dests": {}' in (case.records / "demo.json").read_text()


def test_a_directory_that_was_there_before_is_not_removed(case: Case) -> None:
    case.dest.mkdir()
    case.run(OLD)
    case.run({})
    assert list(case.dest.iterdir()) == []


def test_what_took_the_place_of_a_written_file_is_not_removed(case: Case) -> None:
    case.run({"a": "1", "b": "2"})
    (case.dest / "a").unlink()
    (case.dest / "a").symlink_to("/etc/passwd")
    assert not case.run({"b": "2"}).changes
    assert (case.dest / "a").is_symlink()


def test_a_foreign_file_at_a_managed_path_is_adopted(case: Case) -> None:
    (case.dest / "etc").mkdir(parents=True)
    (case.dest / "etc/app.conf").write_text("distribution's\n")
    result = case.run(OLD)
    assert actions(result)["etc/app.conf"] == "write"
    case.run({})
    assert not (case.dest / "etc/app.conf").exists()


def test_a_file_becomes_a_directory_and_back(case: Case) -> None:
    case.run({"conf": "file", "other/deep/x": "1"})
    result = case.run({"conf/a": "1", "other": "file"})
    assert snapshot(case.dest)["conf/a"][3] == b"1"
    assert (case.dest / "other").read_text() == "file"
    assert actions(result)["other/deep/"] == "remove"
    assert not case.check({"conf/a": "1", "other": "file"}).changes


def test_a_moved_tree_leaves_its_old_place(case: Case) -> None:
    case.run(OLD)
    moved = str(case.tmp / "elsewhere")
    assert case.check(OLD, dest=moved).changes == case.run(OLD, dest=moved).changes
    assert not case.dest.exists()
    assert (case.tmp / "elsewhere/etc/app.conf").read_text() == "old\n"


def test_a_dest_that_moves_up_keeps_its_files(case: Case) -> None:
    case.run({"x": "1"}, dest=str(case.dest / "sub"))
    assert not case.run({"sub/x": "1"}).changes
    assert (case.dest / "sub/x").read_text() == "1"
    assert not case.check({"sub/x": "1"}).changes


@pytest.mark.parametrize("giver_first", [True, False])
def test_a_file_may_move_from_one_tree_to_another(case: Case, giver_first: bool) -> None:
    giver, taker = Case(case.tmp, "giver"), Case(case.tmp, "taker")
    giver.run({"stays": "1", "moves": "2"})
    calls = [lambda: giver.run({"stays": "1"}), lambda: taker.run({"moves": "2"})]
    for call in calls if giver_first else reversed(calls):
        call()
    assert (case.dest / "moves").read_text() == "2"
    assert not giver.check({"stays": "1"}).changes
    assert not taker.check({"moves": "2"}).changes


def test_a_lost_record_is_written_again(case: Case) -> None:
    case.run(OLD)
    (case.records / "demo.json").unlink()
    assert not case.run(OLD).changes
    case.run({})
    assert not (case.dest / "run.sh").exists()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{}",
        '{"version": 2, "dests": {}}',
        '{"version": 1, "dests": {"/x": {"files": ["../y"], "secrets": [], "directories": []}}}',
    ],
)
def test_a_record_that_cannot_be_understood_is_refused(case: Case, text: str) -> None:
    case.run(OLD)
    (case.records / "demo.json").write_text(text)
    with pytest.raises(Refusal, match=r"demo\.json cannot be understood"):
        case.run(NEW)
    assert (case.dest / "etc/app.conf").read_text() == "old\n"


def test_a_damaged_archive_replaces_nothing(case: Case) -> None:
    case.run(OLD)
    before = snapshot(case.dest, times=True)
    job = case.job(NEW)
    assert job.archive is not None
    job.archive = io.BytesIO(job.archive.read().replace(b"new\n", b"bad\n"))
    with pytest.raises(Refusal, match=r"etc/app.conf changed on the controller"):
        converge(job)
    assert snapshot(case.dest, times=True) == before
    assert sorted(path.name for path in case.records.iterdir()) == ["demo.json"]


def test_an_archive_that_lacks_a_file_replaces_nothing(case: Case) -> None:
    job = case.job(NEW)
    job.archive = case.job(OLD).archive
    with pytest.raises(Refusal, match=r"changed"):
        converge(job)
    job.archive = case.job({path: content for path, content in NEW.items() if path != "lib/x"}).archive
    with pytest.raises(Refusal, match=r"Something changed lib/x while the tree was sent"):
        converge(job)
    assert not case.dest.exists()


def test_another_run_is_waited_for_and_then_named(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_config_tree_record, "_LOCK_SECONDS", 0)
    case.records.mkdir()
    held = os.open(case.records, os.O_RDONLY)
    fcntl.flock(held, fcntl.LOCK_EX)
    with pytest.raises(Refusal, match="Another config_tree has held"):
        case.run(OLD)
    assert case.check(OLD).changes
    os.close(held)
    assert case.run(OLD).changes


def test_a_thousand_files(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fsync", lambda _descriptor: None)  # seconds of waiting for the disk
    tree = {f"d{number % 20}/f{number}": f"file {number}\n" for number in range(1000)}
    assert len(case.run(tree).changes) == 1021
    assert not case.run(tree).changes


def test_dest_may_be_the_root_directory(case: Case) -> None:
    prefix = str(case.dest).lstrip("/")
    case.dest.mkdir()
    tree = {f"{prefix}/etc/app.conf": "text\n"}
    assert case.check(tree, dest="/").changes == case.run(tree, dest="/").changes
    assert (case.dest / "etc/app.conf").read_text() == "text\n"
    assert not case.run(tree, dest="/").changes
    case.run({}, dest="/")
    assert list(case.dest.iterdir()) == []
