"""check-dockerd: what the engine would only find out when it is down."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from render import ROOT

PROGRAM = ROOT / "roles/docker/templates/usr/local/lib/somos/check-dockerd"


def check(home: Path, daemon: str, swarm: str, engine: str = "exit 0") -> subprocess.CompletedProcess[str]:
    """The program with an engine that thinks of its configuration what it is told, and a client that answers."""
    staged = home / "etc" / "docker"
    staged.mkdir(parents=True)
    (staged / "daemon.json").write_text(daemon)
    for name, script in {"dockerd": engine, "docker": swarm}.items():
        (home / name).write_text(f"#!/bin/sh\n{script}\n")
        (home / name).chmod(0o755)
    path = {"PATH": f"{home}:/usr/bin:/bin"}
    return subprocess.run(
        [sys.executable, str(PROGRAM), str(home)], env=path, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize("state", ["active", "pending", "locked", "error"])
def test_live_restore_is_refused_in_a_swarm(tmp_path: Path, state: str) -> None:
    refused = check(tmp_path, '{"live-restore": true}', f"echo {state}")
    assert refused.returncode == 1
    assert f"part of a swarm ({state})" in refused.stderr
    assert "set docker_swarm to true" in refused.stderr


@pytest.mark.parametrize(
    ("daemon", "swarm"),
    [
        ('{"live-restore": true}', "echo inactive"),
        ('{"live-restore": false}', "echo active"),
        ('{"live-restore": true}', "echo Cannot connect to the Docker daemon >&2; exit 1"),
    ],
)
def test_otherwise_the_engine_decides(tmp_path: Path, daemon: str, swarm: str) -> None:
    assert check(tmp_path, daemon, swarm).returncode == 0


def test_what_the_engine_refuses_is_told_in_its_words(tmp_path: Path) -> None:
    refused = check(tmp_path, "{}", "echo inactive", "echo unknown option: colour >&2; exit 1")
    assert (refused.returncode, refused.stderr) == (1, "unknown option: colour\n")


def test_an_engine_that_is_too_old_to_judge_is_given_the_benefit(tmp_path: Path) -> None:
    old = "echo unknown flag: --validate >&2; exit 125"
    assert check(tmp_path / "a", "{}", "echo inactive", old).returncode == 0
    refused = check(tmp_path / "b", '{"live-restore": true}', "echo active", old)
    assert "part of a swarm" in refused.stderr
    assert check(tmp_path / "c", "{not json", "echo inactive", old).returncode != 0
