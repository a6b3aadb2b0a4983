from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest
from config_tree_case import Case, F, actions, snapshot

from ansible_collections.somos.infra.plugins.module_utils._config_tree import (
    Manifest,
    Refusal,
    check_path,
    keyed,
    parse_mode,
)

TREE = {"etc/app.conf": "text\n"}


@pytest.fixture
def case(tmp_path: Path) -> Case:
    case = Case(tmp_path)
    (case.tmp / "outside").mkdir()
    case.dest.mkdir()
    return case


def refused(case: Case, message: str, tree: dict[str, str] = TREE) -> None:
    """The tree is refused, in check mode too, and nothing at all has changed."""
    before = snapshot(case.tmp)
    with pytest.raises(Refusal, match=message):
        case.check(tree)
    assert snapshot(case.tmp) == before
    with pytest.raises(Refusal, match=message):
        case.run(tree)
    case.records.rmdir()
    assert snapshot(case.tmp) == before


def test_a_link_in_the_place_of_a_file_is_refused(case: Case) -> None:
    (case.tmp / "outside/target").write_text("precious")
    (case.dest / "etc").mkdir()
    (case.dest / "etc/app.conf").symlink_to(case.tmp / "outside/target")
    refused(case, "etc/app.conf is a symbolic link")


def test_a_link_in_the_place_of_a_directory_is_refused(case: Case) -> None:
    (case.dest / "etc").symlink_to(case.tmp / "outside")
    refused(case, "etc is a symbolic link")


def test_a_link_further_up_is_refused(case: Case) -> None:
    (case.dest / "a").symlink_to(case.tmp / "outside")
    (case.tmp / "outside/b").mkdir()
    refused(case, "dest/a is a symbolic link", {"a/b/c": "text\n"})


def test_dest_itself_may_be_reached_through_a_link(case: Case) -> None:
    (case.tmp / "link").symlink_to(case.dest)
    case.run(TREE, dest=str(case.tmp / "link"))
    assert (case.dest / "etc/app.conf").read_text() == "text\n"


def test_nothing_is_removed_through_a_link(case: Case) -> None:
    case.run({"d/file": "mine\n"})
    (case.dest / "d").rename(case.tmp / "outside/d")
    (case.dest / "d").symlink_to(case.tmp / "outside/d")
    with pytest.raises(Refusal, match="dest/d is a symbolic link"):
        case.run(TREE)
    assert (case.tmp / "outside/d/file").read_text() == "mine\n"


def test_a_directory_in_the_place_of_a_file_is_refused(case: Case) -> None:
    (case.dest / "etc/app.conf").mkdir(parents=True)
    refused(case, "etc/app.conf is in the way: it is not a regular file")


def test_a_file_in_the_place_of_a_directory_is_refused(case: Case) -> None:
    (case.dest / "etc").write_text("a file")
    refused(case, "etc is in the way: it is not a directory")


def test_a_pipe_in_the_place_of_a_file_is_refused(case: Case) -> None:
    (case.dest / "etc").mkdir()
    os.mkfifo(case.dest / "etc/app.conf")
    refused(case, "etc/app.conf is in the way")


def test_a_file_in_the_place_of_dest_is_refused(case: Case) -> None:
    case.dest.rmdir()
    case.dest.write_text("a file")
    refused(case, "dest is in the way")


@pytest.mark.parametrize("path", ["../x", "a/../../x", "/etc/x", "a//b", "./a", "a/.", "", "a\0b"])
def test_a_path_that_leaves_dest_is_refused_on_the_server_too(case: Case, path: str) -> None:
    manifest = case.job(TREE).manifest
    forged = replace(manifest, files=(replace(manifest.files[0], path=path),))
    with pytest.raises(Refusal, match="is not a relative path"):
        Manifest.load(forged.dump())
    with pytest.raises(Refusal, match="is not a relative path"):
        check_path(path)


@pytest.mark.parametrize("name", ["../evil", "a/b", "", ".."])
def test_a_name_that_is_no_file_name_is_refused(case: Case, name: str) -> None:
    with pytest.raises(Refusal):
        case.check(TREE, name=name)


def test_an_unknown_owner_fails_a_run_but_not_its_prediction(case: Case) -> None:
    tree = {"app.conf": F("text\n", owner="no-such-user")}
    assert actions(case.check(tree)) == {"app.conf": "create"}
    with pytest.raises(Refusal, match=r"app\.conf has to belong to user 'no-such-user', which does not exist"):
        case.run(tree)
    case.run({"app.conf": "text\n"})
    assert actions(case.check(tree)) == {"app.conf": "attributes"}


def test_an_owner_without_a_name_is_no_obstacle(case: Case) -> None:
    if os.getuid() != 0:
        pytest.skip("only root gives files away")
    case.run({"app.conf": F("text\n", 0o400, owner="54321")})
    assert (case.dest / "app.conf").stat().st_uid == 54321
    assert not case.check({"app.conf": F("text\n", 0o400, owner="54321")}).changes


@pytest.mark.parametrize("mode", [644, 420, "644 ", "u=rw", "0999", "7", "", None])
def test_a_mode_that_is_no_quoted_octal_number_is_refused(mode: object) -> None:
    with pytest.raises(Refusal, match="quoted octal string"):
        parse_mode(mode, "x")


def test_modes_are_read_as_octal() -> None:
    assert [parse_mode(mode, "x") for mode in ("0644", "644", "1777", "02755")] == [0o644, 0o644, 0o1777, 0o2755]


def test_a_digest_is_worth_nothing_without_its_key(case: Case) -> None:
    one, other = case.job(TREE).manifest, case.job(TREE).manifest
    assert one.files[0].digest != other.files[0].digest
    assert keyed("00", "11") != keyed("01", "11")
