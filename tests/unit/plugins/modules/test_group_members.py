"""The module against a gpasswd that writes down what it is told."""

from __future__ import annotations

import grp
import pwd
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from ansible_collections.somos.infra.plugins.modules import group_members

Run = Callable[..., dict[str, Any]]

GPASSWD = '#!/bin/sh\necho "$@" >> "$(dirname "$0")/log"\n'


@pytest.fixture
def told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A server with three accounts and a group docker of two; the log of what gpasswd was told."""
    accounts = [SimpleNamespace(pw_name=name, pw_gid=gid) for name, gid in [("ana", 1), ("ci", 2), ("deploy", 3)]]

    def group(name: str) -> SimpleNamespace:
        if name != "docker":
            raise KeyError(name)
        return SimpleNamespace(gr_mem=["deploy", "ci"], gr_gid=999)

    monkeypatch.setattr(grp, "getgrnam", group)
    monkeypatch.setattr(pwd, "getpwall", lambda: accounts)
    (tmp_path / "gpasswd").write_text(GPASSWD)
    (tmp_path / "gpasswd").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    return tmp_path / "log"


@pytest.fixture
def warnings(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    said: list[str] = []
    monkeypatch.setattr(group_members.AnsibleModule, "warn", lambda _, text: said.append(text))
    return said


def test_who_is_named_is_in_and_nobody_else(run_module: Run, told: Path) -> None:
    result = run_module(group_members, name="docker", members=["deploy", "ana"])
    assert (result["added"], result["removed"]) == (["ana"], ["ci"])
    assert result["diff"] == {"before": "ci\ndeploy\n", "after": "ana\ndeploy\n"}
    assert told.read_text() == "--members ana,deploy docker\n"


def test_nothing_is_done_when_it_is_so_already(run_module: Run, told: Path) -> None:
    assert not run_module(group_members, name="docker", members=["ci", "deploy", "ci"])["changed"]
    assert not told.exists()


def test_a_group_may_be_emptied(run_module: Run, told: Path) -> None:
    assert run_module(group_members, name="docker", members=[])["removed"] == ["ci", "deploy"]
    assert told.read_text() == "--members  docker\n"


def test_strangers_may_be_left_in_but_not_in_silence(run_module: Run, told: Path, warnings: list[str]) -> None:
    run_module(group_members, name="docker", members=["ana"], exclusive=False)
    assert told.read_text() == "--members ana,ci,deploy docker\n"
    assert "members that nobody declared: ci, deploy" in warnings[0]


def test_an_account_whose_primary_group_it_is_is_named(
    run_module: Run, told: Path, warnings: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pwd, "getpwall", lambda: [SimpleNamespace(pw_name="eve", pw_gid=999)])
    run_module(group_members, name="docker", members=[])
    assert "primary group of eve" in warnings[0]


@pytest.mark.parametrize(
    ("name", "members", "says"), [("podman", [], "no group podman"), ("docker", ["bob"], "no account bob")]
)
def test_what_is_not_there_is_refused_and_predicted(
    run_module: Run, told: Path, name: str, members: list[str], says: str
) -> None:
    assert says in run_module(group_members, name=name, members=members)["msg"]
    assert not told.exists()
    assert "msg" not in run_module(group_members, name=name, members=members, check=True)
    assert not told.exists()


def test_check_mode_leaves_the_group_alone(run_module: Run, told: Path) -> None:
    assert run_module(group_members, name="docker", members=[], check=True)["changed"]
    assert not told.exists()
