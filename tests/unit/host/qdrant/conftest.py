"""Doubles of Qdrant to ask."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from api_description import description
from running_double import Connection, Double, Settings


@pytest.fixture
def tmp_path(tmp_path: Path) -> Iterator[Path]:
    """In memory where there is room: the engine has everything written to disk at once, over and over."""
    memory = Path("/dev/shm")  # noqa: S108
    if not memory.is_dir() or shutil.disk_usage(memory).free < 1 << 30:
        yield tmp_path
        return
    with tempfile.TemporaryDirectory(dir=memory) as path:
        yield Path(path)


@pytest.fixture(autouse=True)
def described(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Every answer that is given in a test is held to Qdrant's own description, whoever asked."""
    given, send = [], Connection._send

    def recording(self: Connection, status: int, headers: dict[str, str], content: bytes) -> None:
        path, kind = self.path.partition("?")[0], headers["Content-Type"].partition(";")[0]
        given.append((self.command, path.rstrip("/") or "/", status, kind, content))
        send(self, status, headers, content)

    monkeypatch.setattr(Connection, "_send", recording)
    yield
    judge = description()
    answers = [answer for answer in given if not answer[1].startswith("/_double/")]
    problems = [problem for answer in answers for problem in judge.problems(*answer)] if judge else []
    assert not problems, "\n".join(problems)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(
        host="127.0.0.1",
        http_port=0,
        api_key="manage",
        alt_api_key="next",
        read_only_api_key="read",
        storage_path=tmp_path / "storage",
        snapshots_path=tmp_path / "snapshots",
    )


@pytest.fixture
def start() -> Iterator[Callable[[Settings], Double]]:
    """Doubles with settings of a test's own."""
    started = []

    def start(settings: Settings) -> Double:
        double = Double(settings)
        double.start()
        started.append(double)
        return double

    yield start
    for double in started:
        double.stop()


@pytest.fixture
def double(settings: Settings, start: Callable[[Settings], Double]) -> Double:
    return start(settings)


@pytest.fixture
def filled(double: Double) -> Double:
    """With a collection `texts` of two points."""
    double.result("PUT", "/collections/texts", {"vectors": {"size": 2, "distance": "Dot"}})
    points = [
        {"id": 1, "vector": [1, 0], "payload": {"text": "one"}},
        {"id": 2, "vector": [0, 1], "payload": {"text": "two"}},
    ]
    double.result("PUT", "/collections/texts/points?wait=true", {"points": points})
    return double
