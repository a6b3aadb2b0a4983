"""The module against a server that is a directory, with a pam-auth-update that can be stubborn."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.somos.infra.plugins.modules import pam_profiles

Run = Callable[..., dict[str, Any]]

PROFILE = """Name: Lock
Default: yes
Priority: 0
Auth-Type: Primary
Auth:
\t[default=die]\tpam_faillock.so authfail
Account-Type: Primary
Account:
\trequired\tpam_faillock.so
"""
UPDATE = """#!/bin/sh
echo "$@" >> "$0.log"
grep -q -- "${1}" "$0.works" || exit 0
printf 'auth\\t[default=die]\\tpam_faillock.so authfail \\n' >> "$(dirname "$0")/../etc/pam.d/common-auth"
printf 'account required pam_faillock.so\\n' >> "$(dirname "$0")/../etc/pam.d/common-account"
"""


class Server:
    def __init__(self, home: Path) -> None:
        self.home, self.program = home, home / "bin/pam-auth-update"
        for directory in ("bin", "etc/pam.d", "usr/share/pam-configs"):
            (home / directory).mkdir(parents=True)
        for kind in ("auth", "account", "password", "session"):
            (home / f"etc/pam.d/common-{kind}").write_text("# auth [default=die] pam_faillock.so authfail\n")
        (home / "usr/share/pam-configs/lock").write_text(PROFILE)
        self.program.write_text(UPDATE)
        self.program.chmod(0o755)
        self.works("--package --force")

    def works(self, words: str) -> None:
        (self.home / "bin/pam-auth-update.works").write_text(words)

    def told(self) -> list[str]:
        log = self.home / "bin/pam-auth-update.log"
        return log.read_text().splitlines() if log.exists() else []


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Server:
    monkeypatch.setenv("PATH", str(tmp_path / "bin"), prepend=":")
    return Server(tmp_path)


def run(run_module: Run, server: Server, **more: Any) -> dict[str, Any]:
    return run_module(pam_profiles, profiles=["lock"], root=str(server.home), **more)


def test_a_profile_is_enabled_once(run_module: Run, server: Server) -> None:
    result = run(run_module, server)
    assert result["missing"] == ["auth: pam_faillock.so authfail", "account: pam_faillock.so"]
    assert not run(run_module, server)["changed"]
    assert server.told() == ["--package --enable lock"]


def test_stacks_that_were_changed_by_hand_are_made_anew(run_module: Run, server: Server) -> None:
    server.works("--force")
    assert run(run_module, server)["changed"]
    assert server.told() == ["--package --enable lock", "--force --package --enable lock"]


def test_stacks_that_stay_without_it_are_an_error(run_module: Run, server: Server) -> None:
    server.works("nothing")
    result = run(run_module, server)
    assert result["failed"]
    assert "auth: pam_faillock.so authfail" in result["msg"]


def test_check_mode_asks_for_nothing(run_module: Run, server: Server) -> None:
    assert run(run_module, server, check=True)["changed"]
    assert server.told() == []
    (server.home / "usr/share/pam-configs/lock").unlink()
    assert run(run_module, server, check=True)["changed"]
    assert "no profile lock" in run(run_module, server)["msg"]
