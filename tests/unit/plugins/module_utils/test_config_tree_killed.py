"""A run that dies at any of its steps, whatever the state it started from, is finished by the next one."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from config_tree_case import Case, F, Tree, snapshot

from ansible_collections.somos.infra.plugins.module_utils import _config_tree_check

# Everything that changes a disk goes through one of these.
STEPS = ("open", "mkdir", "replace", "rename", "unlink", "rmdir", "fchown", "fchmod", "fsync")


class Killed(BaseException):
    """What a run feels of its kill: nothing it does after it has any effect, not even cleaning up."""


FIRST: Tree = {
    "etc/app.conf": "old\n", "etc/same.conf": "same\n", "gone/deep/file": "bye\n", "gone.conf": "bye\n",
    "secrets/password": F("old password\n", 0o400, secret=True), "turns/into/file": "1\n", "turned": "2\n",
}  # fmt: skip
SECOND: Tree = {
    "etc/app.conf": "new\n", "etc/same.conf": F("same\n", 0o600), "more/deep/file": b"\0" * 100_000,
    "secrets/password": F("new password\n", 0o440, secret=True), "turns": "file\n", "turned/into": "directory\n",
}  # fmt: skip
DIRECTORIES: dict[int, list[dict[str, Any]]] = {
    id(FIRST): [{"path": "secrets", "mode": "0711"}],
    id(SECOND): [{"path": "secrets", "mode": "0700"}, {"path": "var/empty", "mode": "0750"}],
}


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hundreds of runs: neither the disk nor the checks, which change nothing, are waited for."""
    monkeypatch.setattr(os, "fsync", lambda _descriptor: None)
    monkeypatch.setattr(_config_tree_check, "_run", lambda _argv: _config_tree_check.Outcome(0, "", ""))


def run(case: Case, tree: Tree) -> None:
    checks = [{"argv": ["true"]}] if tree is SECOND else []
    case.run(tree, directories=DIRECTORIES.get(id(tree), []), checks=checks)


def run_killed(case: Case, tree: Tree, at: int) -> bool:
    """Run until step number `at`, which does not happen any more; say whether the run got there."""
    count = 0

    def counted(original: Callable[..., Any], name: str) -> Callable[..., Any]:
        def step(*args: Any, **kwargs: Any) -> Any:
            nonlocal count
            if name != "open" or args[1] & os.O_CREAT:
                count += 1
                if count >= at:
                    raise Killed
            return original(*args, **kwargs)

        return step

    with pytest.MonkeyPatch.context() as patch:
        for name in STEPS:
            patch.setattr(os, name, counted(getattr(os, name), name))
        try:
            run(case, tree)
        except Killed:
            return True
    return False


@pytest.mark.parametrize(
    ("before", "after"),
    [({}, FIRST), (FIRST, SECOND), (SECOND, FIRST), (SECOND, {})],
    ids=["first run", "change", "change back", "removal"],
)
def test_a_run_killed_between_any_two_writes_is_finished_by_the_next(tmp_path: Path, before: Tree, after: Tree) -> None:
    undisturbed = Case(tmp_path / "undisturbed")
    undisturbed.dest.mkdir(parents=True)
    run(undisturbed, before)
    run(undisturbed, after)
    wanted, wanted_record = snapshot(undisturbed.dest), record(undisturbed)

    contents = {item.content if isinstance(item, F) else item for tree in (before, after) for item in tree.values()}
    known = {content.encode() if isinstance(content, str) else content for content in contents}

    at, alive = 0, True
    while alive:
        at += 1
        case = Case(tmp_path / str(at))
        case.dest.mkdir(parents=True)
        run(case, before)
        alive = run_killed(case, after, at)
        for path, (*_attributes, content) in snapshot(case.dest).items():
            assert content is None or content in known or path.endswith(".somos-new"), f"step {at} halved {path}"
        run(case, after)
        assert snapshot(case.dest) == wanted, f"killed at step {at}"
        assert record(case) == wanted_record, f"killed at step {at}"
    assert at > 15


def record(case: Case) -> dict[str, str]:
    return {path.name: path.read_text().replace(str(case.tmp), "") for path in case.records.iterdir()}


@pytest.mark.parametrize("before", [{}, {"other": "1\n"}], ids=["from nothing", "from something"])
def test_a_killed_change_that_is_taken_back_leaves_nothing(tmp_path: Path, before: Tree) -> None:
    at, alive = 0, True
    while alive:
        at += 1
        case = Case(tmp_path / str(at))
        run(case, before)
        wanted, wanted_record = snapshot(case.dest), record(case)
        alive = run_killed(case, FIRST, at)
        run(case, before)
        assert snapshot(case.dest) == wanted, f"killed at step {at}"
        assert record(case).keys() <= {"demo.json"}, f"killed at step {at}"
        assert record(case) == wanted_record or not before, f"killed at step {at}"
