"""The module fail2ban_jails against stand-ins for fail2ban-client and nft."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.somos.infra.plugins.modules import fail2ban_jails

Run = Callable[..., dict[str, Any]]
CLIENT = """#!/bin/sh
cd "${0%/*}"
case "$1 $3" in
  "status ") test -e jails || exit 255; echo "Jail list: $(cat jails)";;
  "get actions") echo "The jail $2 has the following actions:"; cat action;;
  "get banip") cat banned;;
  "reload ") echo "reload" >> log; cat wanted > jails;;
  "restart ") echo "restart $2" >> log; test -e stubborn || cp full.json table.json;;
esac
"""
NFT = '#!/bin/sh\ncat "${0%/*}/table.json" 2>/dev/null\n'
BAN = "203.0.113.66"


class Server:
    def __init__(self, home: Path) -> None:
        self.home = home
        for name, text in {"fail2ban-client": CLIENT, "nft": NFT}.items():
            self.write(name, text)
            (home / name).chmod(0o755)
        self.write("jails", "sshd")
        self.write("wanted", "sshd")
        self.write("action", "somos-packets")
        self.write("banned", f"{BAN}\n")
        rule = {"rule": {"chain": "sshd", "expr": [{"drop": None}]}}
        self.write("full.json", json.dumps({"nftables": [{"set": {"name": "sshd-4", "elem": [BAN]}}, rule]}))
        self.write("table.json", (home / "full.json").read_text())

    def write(self, name: str, text: str) -> None:
        (self.home / name).write_text(text)

    @property
    def log(self) -> list[str]:
        path = self.home / "log"
        return path.read_text().splitlines() if path.exists() else []


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Server:
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    return Server(tmp_path)


def run(run_module: Run, check: bool = False) -> dict[str, Any]:
    return run_module(fail2ban_jails, check=check, jails=["sshd"], table="f2b-somos", timeout_s=1)


def test_where_all_is_well_nothing_is_done(run_module: Run, server: Server) -> None:
    found = run(run_module)
    assert not found["changed"] and found["banned"] == {"sshd": [BAN]} and server.log == []


def test_bans_that_the_kernel_has_lost_are_put_back(run_module: Run, server: Server) -> None:
    server.write("table.json", "")
    told = run(run_module, check=True)
    assert told["changed"] and server.log == []
    assert f"sshd: {BAN} is dropped" in told["diff"]["after"] and BAN not in told["diff"]["before"]
    assert run(run_module)["changed"] and server.log == ["restart sshd"]
    assert not run(run_module)["changed"]


def test_a_kernel_that_does_not_take_them_is_a_failure(run_module: Run, server: Server) -> None:
    server.write("table.json", "")
    server.write("stubborn", "")
    assert BAN in run(run_module)["msg"]


def test_a_jail_that_was_stopped_is_started_by_a_reload(run_module: Run, server: Server) -> None:
    server.write("jails", "other")
    told = run(run_module, check=True)
    assert told["changed"] and "sshd: runs" in told["diff"]["after"] and server.log == []
    assert run(run_module)["changed"] and server.log == ["reload"]


def test_a_jail_that_does_not_start_is_named(run_module: Run, server: Server) -> None:
    server.write("jails", "other")
    server.write("wanted", "other")
    assert "does not run the jail sshd" in run(run_module)["msg"]


def test_bans_by_another_action_are_not_looked_for_in_the_kernel(run_module: Run, server: Server) -> None:
    server.write("table.json", "")
    server.write("action", "somos-nginx-map")
    assert not run(run_module)["changed"]


def test_without_fail2ban_check_mode_predicts_and_a_run_fails(
    run_module: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert run(run_module, check=True)["changed"]
    assert "install the package" in run(run_module)["msg"]
