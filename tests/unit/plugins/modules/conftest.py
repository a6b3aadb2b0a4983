"""Fixtures for tests of modules that drive Docker."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from fake_docker import FakeDocker


@pytest.fixture
def docker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeDocker:
    """A stand-in for the docker command, first on PATH."""
    directory = tmp_path / "bin"
    directory.mkdir()
    monkeypatch.setenv("PATH", f"{directory}{os.pathsep}{os.environ['PATH']}")
    return FakeDocker(directory)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A directory that looks like a Compose project."""
    directory = tmp_path / "project"
    directory.mkdir()
    (directory / ".env").write_text("COMPOSE_PROJECT_NAME=test\n")
    return directory
