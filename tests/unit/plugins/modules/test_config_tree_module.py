from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.basic import AnsibleModule
from config_tree_case import Case, F

from ansible_collections.somos.infra.plugins.modules import config_tree

SECRET = "correct-horse-battery"  # noqa: S105
TREE = {"password": F(SECRET, 0o400, secret=True), "app.conf": "text\n"}

Call = Callable[..., dict[str, Any]]


@pytest.fixture
def case(tmp_path: Path) -> Case:
    return Case(tmp_path)


@pytest.fixture
def call(run_module: Any, case: Case) -> Call:
    """Call the module as the action plugin does, with an archive if asked for."""

    def run(*, archive: bool = False, check: bool = False, **changed: Any) -> dict[str, Any]:
        job = case.job(TREE)
        arguments = {
            "name": "demo", "src": "templates", "dest": str(case.dest), "record_dir": str(case.records),
            "_manifest": job.manifest.dump(),
        }  # fmt: skip
        if archive:
            assert job.archive
            (case.tmp / "config_tree.tar").write_bytes(job.archive.read())
            arguments["_archive"] = str(case.tmp / "config_tree.tar")
        result: dict[str, Any] = run_module(config_tree, check=check, **(arguments | changed))
        return result

    return run


def test_a_server_says_what_it_lacks_and_takes_it(call: Call, case: Case) -> None:
    assert call()["missing"] == ["app.conf", "password"]
    assert call(archive=True)["changed"] is True
    assert (case.dest / "password").read_text() == SECRET
    assert call()["changed"] is False
    assert call(check=True)["changed"] is False


def test_the_archive_loses_its_name_even_if_the_tree_is_refused(call: Call, case: Case) -> None:
    result = call(archive=True, validate=[{"argv": ["false"]}])
    assert (result["failed"], result["rc"]) == (True, 1)
    assert not (case.tmp / "config_tree.tar").exists()


def test_a_prediction_without_the_means_to_check_warns(call: Call, case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    warned: list[str] = []
    monkeypatch.setattr(AnsibleModule, "warn", lambda _self, warning: warned.append(warning))
    result = call(archive=True, check=True, validate=[{"argv": ["no-such-program", "-t"]}])
    assert result["changed"] is True
    assert warned == ["Not validated by `no-such-program -t`: the command no-such-program is not installed here."]
    assert not case.dest.exists()


def test_the_server_log_gets_neither_contents_nor_digests(
    call: Call, case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    logged: list[str] = []
    monkeypatch.setattr(AnsibleModule, "log", lambda _self, msg, log_args=None: logged.append(f"{msg} {log_args}"))
    result = call(archive=True)
    manifest = case.job(TREE).manifest
    assert logged
    for told in (repr(logged), repr(result)):
        assert SECRET not in told
        assert "digest" not in told
        assert manifest.key not in told


@pytest.mark.parametrize("at", [1, 2, 3, 4, 5])  # the stage, the record, the files
def test_a_full_disk_is_told_in_words(call: Call, case: Case, monkeypatch: pytest.MonkeyPatch, at: int) -> None:
    replace, left = os.replace, at

    def full(*args: Any, **kwargs: Any) -> None:
        nonlocal left
        left -= 1
        if not left:
            raise OSError(28, "No space left on device", "app.conf")
        replace(*args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", full)
        result = call(archive=True)
    assert result["failed"] is True
    assert "The tree demo could not be completed, run again when fixed: " in result["msg"]
    assert "No space left on device" in result["msg"]
    assert not [path for path in case.tmp.rglob("*") if path.name.endswith((".somos-new", ".stage"))]


def test_the_module_alone_says_that_it_needs_its_action_plugin(call: Call) -> None:
    assert "needs its action plugin" in call(_manifest=None)["msg"]
