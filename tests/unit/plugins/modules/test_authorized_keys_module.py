"""The module against accounts whose homes are directories here, with a journal that knows one connection."""

from __future__ import annotations

import os
import pwd
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.somos.infra.plugins.module_utils._authorized_keys import body, fingerprint
from ansible_collections.somos.infra.plugins.modules import authorized_keys

Run = Callable[..., dict[str, Any]]

OLD = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBcNYRtwHVXLpMaKl4pK6YCrnYYVFZxg6MSgcqaXHnLJ old"
NEW = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIEbSvGGqGQDqxJQbBEbhvFgFJ8xXTyl9hIk2nRkm0v4z new"


class Server:
    def __init__(self, home: Path) -> None:
        self.home, self.keys = home, home / ".ssh/authorized_keys"

    def came_in_with(self, line: str | None) -> None:
        seen = fingerprint(body(line or "") or "")
        entry = f"Accepted publickey for root from 10.0.0.9 port 40001 ssh2: ED25519 {seen}"
        journal = self.home / "bin/journalctl"
        journal.write_text(f"#!/bin/sh\necho '{entry if line else 'nothing'}'\n")
        journal.chmod(0o755)

    def present(self, *lines: str) -> None:
        self.keys.parent.mkdir(mode=0o700, exist_ok=True)
        self.keys.write_text("".join(f"{line}\n" for line in lines))
        self.keys.chmod(0o600)


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Server:
    (tmp_path / "bin").mkdir()
    user = pwd.struct_passwd(("deploy", "x", os.getuid(), os.getgid(), "", str(tmp_path), "/bin/sh"))

    def find(name: str) -> pwd.struct_passwd:
        if name != "deploy":
            raise KeyError(name)
        return user

    monkeypatch.setattr(authorized_keys.pwd, "getpwnam", find)
    monkeypatch.setattr(authorized_keys, "connection", lambda proc, process: "10.0.0.9 40001 10.0.0.1 22")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"), prepend=":")
    return Server(tmp_path)


def run(run_module: Run, keys: list[str], name: str = "deploy", **more: Any) -> dict[str, Any]:
    return run_module(authorized_keys, accounts={name: keys}, **more)


def test_a_first_key_is_written_and_closed(run_module: Run, server: Server) -> None:
    assert run(run_module, [NEW])["changed"]
    assert server.keys.read_text() == f"{NEW}\n"
    assert (server.keys.stat().st_mode & 0o777, server.keys.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    assert not run(run_module, [NEW])["changed"]


def test_other_keys_go_when_a_listed_one_is_proven(run_module: Run, server: Server) -> None:
    server.present(OLD)
    server.came_in_with(NEW)
    assert run(run_module, [NEW])["changed"]
    assert server.keys.read_text() == f"{NEW}\n"


@pytest.mark.parametrize("known", [OLD, None])
def test_the_way_in_stays_until_then(run_module: Run, server: Server, known: str | None) -> None:
    server.present(OLD)
    server.came_in_with(known)
    result = run(run_module, [NEW])
    assert result["kept"] == {"deploy": [OLD]}
    assert server.keys.read_text() == f"{NEW}\n{OLD}\n"
    again = run(run_module, [NEW])
    assert (again["changed"], again["kept"]) == (False, {"deploy": [OLD]})


def test_who_has_left_loses_every_key(run_module: Run, server: Server) -> None:
    server.present(OLD)
    server.came_in_with(NEW)
    assert run(run_module, [])["changed"]
    assert server.keys.read_text() == ""


def test_an_open_file_is_closed(run_module: Run, server: Server) -> None:
    server.present(NEW)
    server.keys.chmod(0o644)
    assert run(run_module, [NEW])["changed"]
    assert server.keys.stat().st_mode & 0o777 == 0o600


def test_check_mode_predicts_for_accounts_that_are_still_to_be_made(run_module: Run, server: Server) -> None:
    assert run(run_module, [NEW], name="ana", check=True)["changed"]
    assert run(run_module, [NEW], check=True)["changed"]
    assert not server.keys.exists()
    assert "ana" in run(run_module, [NEW], name="ana")["msg"]


def test_a_link_in_the_place_of_the_directory_is_not_followed(run_module: Run, server: Server) -> None:
    (server.home / "elsewhere").mkdir()
    server.keys.parent.symlink_to(server.home / "elsewhere")
    result = run(run_module, [NEW])
    assert result["failed"]
    assert not list((server.home / "elsewhere").iterdir())
