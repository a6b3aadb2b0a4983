from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.somos.infra.plugins.modules import sshd_config

MAIN = "Include /etc/ssh/sshd_config.d/*.conf\nPermitRootLogin yes\n"


@pytest.fixture
def run(run_module: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    programs = tmp_path / "bin"
    programs.mkdir()
    sshd = programs / "sshd"
    sshd.write_text('#!/bin/sh\nif grep -q nonsense "$3"; then echo "$3 line 1: nonsense" >&2; exit 255; fi\n')
    sshd.chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")
    (tmp_path / "sshd_config").write_text(MAIN)
    (tmp_path / "sshd_config").chmod(0o600)

    def converge(dropin: str, *, check: bool = False) -> Any:
        (tmp_path / "dropin").write_text(dropin)
        parameters = {"dropin": str(tmp_path / "dropin"), "path": str(tmp_path / "sshd_config")}
        return run_module(sshd_config, check=check, **parameters)

    return converge


def test_rules_come_with_the_drop_in_and_go_with_it(run: Any, tmp_path: Path) -> None:
    first, again = run("Port 2222\nPermitRootLogin no\n"), run("Port 2222\nPermitRootLogin no\n")
    assert (first["changed"], again["changed"], first["hash"] == again["hash"]) == (True, False, True)
    main = tmp_path / "sshd_config"
    assert "\nPermitRootLogin no\n" in main.read_text() and main.stat().st_mode & 0o7777 == 0o600
    assert run("Port 22\nPort 2222\n")["changed"]
    assert main.read_text() == MAIN
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bin", "dropin", "sshd_config"]


def test_check_mode_shows_the_file_and_leaves_it(run: Any, tmp_path: Path) -> None:
    result = run("PermitRootLogin no\n", check=True)
    assert result["changed"] and "PermitRootLogin no" in result["diff"]["after"]
    assert (tmp_path / "sshd_config").read_text() == MAIN


def test_what_sshd_refuses_does_not_get_there(run: Any, tmp_path: Path) -> None:
    result = run("nonsense yes\n")
    assert "line 1: nonsense" in result["msg"] and "is as it was" in result["msg"]
    assert (tmp_path / "sshd_config").read_text() == MAIN
    assert not (tmp_path / ".sshd_config.new").exists()


def test_a_server_without_sshd_has_nothing_to_repeat_in_check_mode(run_module: Any, tmp_path: Path) -> None:
    parameters = {"dropin": str(tmp_path / "none"), "path": str(tmp_path / "sshd_config")}
    assert not run_module(sshd_config, check=True, **parameters)["changed"]
