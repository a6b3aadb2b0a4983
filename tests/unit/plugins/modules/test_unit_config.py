"""The module against a systemctl that writes down what it is told."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.somos.infra.plugins.modules import unit_config

Run = Callable[..., dict[str, Any]]

SYSTEMCTL = """#!/usr/bin/env python3
import json, pathlib, sys
home = pathlib.Path(__file__).parent
if sys.argv[1] == "show":
    print(home.joinpath(sys.argv[-1] + ".state").read_text() if home.joinpath(sys.argv[-1] + ".state").exists() else "")
    sys.exit()
with home.joinpath("log").open("a") as log:
    log.write(json.dumps(sys.argv[1:]) + "\\n")
if sys.argv[1] in home.joinpath("broken").read_text().split():
    sys.exit("Job for unit failed.")
"""
STATE = "LoadState=loaded\nActiveState=active\nUnitFileState=enabled\nNeedDaemonReload=no\n"


class Server:
    """A directory in PATH with the two programs, and the record."""

    def __init__(self, home: Path) -> None:
        self.home, self.record = home, home / "units"
        for name, text in {"systemctl": SYSTEMCTL, "journalctl": "#!/bin/sh\necho last words\n"}.items():
            (home / name).write_text(text)
            (home / name).chmod(0o755)
        (home / "broken").touch()
        (home / "docker.service.state").write_text(STATE)

    def told(self) -> list[list[str]]:
        log = self.home / "log"
        return [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Server:
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    return Server(tmp_path)


def run(run_module: Run, server: Server, wanted: str, **more: Any) -> dict[str, Any]:
    arguments = {"name": "docker.service", "config_hash": wanted, "record_directory": str(server.record), **more}
    return run_module(unit_config, **arguments)


def test_a_configuration_is_read_once(run_module: Run, server: Server) -> None:
    assert run(run_module, server, "one")["changed"]
    assert not run(run_module, server, "one")["changed"]
    assert run(run_module, server, "two")["changed"]
    assert server.told() == [["restart", "docker.service"]] * 2


def test_a_restart_that_failed_is_tried_again_and_says_why(run_module: Run, server: Server) -> None:
    (server.home / "broken").write_text("restart")
    failed = run(run_module, server, "one")
    assert failed["failed"]
    assert "Job for unit failed." in failed["msg"]
    assert "last words" in failed["msg"]
    (server.home / "broken").write_text("")
    assert run(run_module, server, "one")["commands"] == [["restart", "docker.service"]]


def test_check_mode_tells_and_leaves(run_module: Run, server: Server) -> None:
    told = run(run_module, server, "one", check=True)
    assert told["changed"]
    assert told["diff"]["after"] == "systemctl restart docker.service\n"
    assert server.told() == []
    assert not server.record.exists()


def test_a_unit_that_is_to_come_counts_as_a_change_in_check_mode_only(run_module: Run, server: Server) -> None:
    (server.home / "docker.service.state").unlink()
    assert run(run_module, server, "one", check=True)["changed"]
    assert "is its package installed?" in run(run_module, server, "one")["msg"]
