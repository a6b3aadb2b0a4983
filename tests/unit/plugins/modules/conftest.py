"""Fixtures for tests of modules that drive Docker, and of those that talk to Qdrant."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from fake_docker import FakeDocker
from qdrant_case import Double, settings_in


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


@pytest.fixture
def qdrant(tmp_path: Path) -> Iterator[Double]:
    """A test double of Qdrant on the real storage engine, empty."""
    double = Double(settings_in(tmp_path / "qdrant"))
    double.start()
    yield double
    double.stop()
