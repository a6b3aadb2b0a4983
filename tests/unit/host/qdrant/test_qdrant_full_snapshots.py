"""Snapshots of everything: made by the API, put back at start."""

from __future__ import annotations

import io
import json
import os
import re
import signal
import subprocess
import sys
import tarfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from running_double import IMAGE, Double, Settings, recover_at_start

VECTORS = {"vectors": {"size": 2, "distance": "Dot"}}


@pytest.fixture
def full(filled: Double) -> Double:
    """Two collections and an alias."""
    filled.result("PUT", "/collections/images", VECTORS)
    action = {"create_alias": {"collection_name": "texts", "alias_name": "live"}}
    filled.result("POST", "/collections/aliases", {"actions": [action]})
    return filled


@pytest.fixture
def archive(full: Double, tmp_path: Path) -> Path:
    """A snapshot of everything, as a file outside of the server's own directories."""
    made = full.result("POST", "/snapshots")
    path = tmp_path / "everything.snapshot"
    path.write_bytes(full.ask("GET", f"/snapshots/{made['name']}").content)
    return path


def elsewhere(settings: Settings, tmp_path: Path) -> Settings:
    """Another server, with nothing on it."""
    return replace(settings, storage_path=tmp_path / "other" / "storage", snapshots_path=tmp_path / "other" / "snap")


def panics(settings: Settings, *arguments: Any) -> bool:
    with pytest.raises(SystemExit) as ended:
        recover_at_start(settings, *arguments)
    return ended.value.code == 101


def test_a_full_snapshot_maps_its_members_and_carries_the_aliases(full: Double) -> None:
    made = full.result("POST", "/snapshots")
    assert re.fullmatch(r"full-snapshot-\d{4}(-\d\d){5}\.snapshot", made["name"])
    assert full.result("GET", "/snapshots", key="read") == [made]
    answer = full.ask("GET", f"/snapshots/{made['name']}", key="read")
    with tarfile.open(fileobj=io.BytesIO(answer.content), mode="r:") as outer:
        config = json.load(outer.extractfile("config.json"))
        assert outer.getnames() == [*config["collections_mapping"].values(), "config.json"]
    assert sorted(config["collections_mapping"]) == ["images", "texts"]
    assert config["collections_aliases"] == {"live": "texts"}
    assert full.result("DELETE", f"/snapshots/{made['name']}") is True
    assert full.result("GET", "/snapshots") == []


def test_a_full_snapshot_takes_away_what_was_made_in_the_same_second(
    full: Double, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("qdrant_double.snapshots.timestamp", lambda: "2026-01-02-03-04-05")
    mine = full.snapshot("texts")
    full.result("POST", "/snapshots")
    assert full.result("GET", "/collections/texts/snapshots") == []
    left = [path.name for path in (full.settings.snapshots_path / "texts").iterdir()]
    assert left == [f"{mine['name']}.checksum"]


def test_the_members_of_a_full_snapshot_can_be_uploaded_one_by_one(full: Double, archive: Path) -> None:
    before = full.points("texts")
    with tarfile.open(archive) as outer:
        name = json.load(outer.extractfile("config.json"))["collections_mapping"]["texts"]
        content = outer.extractfile(name).read()
    full.result("DELETE", "/collections/texts")
    assert full.upload("/collections/texts/snapshots/upload", content).status == 200
    assert full.points("texts") == before


def test_everything_is_put_back_at_start(
    full: Double, archive: Path, settings: Settings, start: Callable[[Settings], Double], tmp_path: Path
) -> None:
    other = elsewhere(settings, tmp_path)
    recover_at_start(other, str(archive), [], False)
    restored = start(other)
    assert restored.points("live") == full.points("texts")
    assert restored.result("GET", "/collections") == full.result("GET", "/collections")
    assert restored.server.node.storage.peer != full.server.node.storage.peer
    assert not (other.storage_path / "snapshots_recovery_tmp").exists()


def test_a_server_that_has_the_collection_already_panics(
    full: Double, archive: Path, settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    full.stop()
    assert panics(settings, str(archive), [], False)
    words = "already exists. Use --force-snapshot to overwrite it."
    assert words in capsys.readouterr().err
    # What the first attempt left behind is in the way of the second one, forced or not.
    assert panics(settings, str(archive), [], True)
    assert "failed to unpack" in capsys.readouterr().err
    full.start()


def test_a_forced_restore_replaces_collections_and_aliases(full: Double, archive: Path, settings: Settings) -> None:
    before = full.points("texts")
    full.result("POST", "/collections/texts/points/delete?wait=true", {"points": [1, 2]})
    full.stop()
    recover_at_start(settings, str(archive), [], True)
    full.start()
    assert full.points("texts") == before


def test_an_alias_in_the_way_panics_when_the_collections_are_already_back(
    full: Double, archive: Path, settings: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = elsewhere(settings, tmp_path)
    (other.storage_path / "aliases").mkdir(parents=True)
    (other.storage_path / "aliases" / "data.json").write_text('{"live": "images"}')
    assert panics(other, str(archive), [], False)
    assert "Alias live already exists" in capsys.readouterr().err
    assert (other.storage_path / "collections" / "texts" / "config.json").exists()


@pytest.mark.parametrize(
    ("argument", "words"),
    [
        ("/a.snapshot", "Collection name is missing"),
        ("/a.snapshot:", "Collection name is missing"),
        (":texts", "Snapshot path is missing"),
        (r"C:\a.snapshot", "must not contain slashes"),
        ("/no/such.snapshot:texts", "Failed to recover snapshot texts"),
    ],
)
def test_a_collection_that_cannot_be_put_back_panics(
    settings: Settings, argument: str, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert panics(settings, None, [argument], False)
    assert words in capsys.readouterr().err


def test_the_command_line_is_the_server_s(full: Double, settings: Settings, tmp_path: Path) -> None:
    made = full.snapshot("texts")
    before = full.points("texts")
    other = elsewhere(settings, tmp_path)
    environment = {
        **os.environ,
        "PYTHONPATH": str(IMAGE),
        "QDRANT__SERVICE__HOST": "127.0.0.1",
        "QDRANT__SERVICE__HTTP_PORT": "0",
        "QDRANT__STORAGE__STORAGE_PATH": str(other.storage_path),
        "QDRANT__STORAGE__SNAPSHOTS_PATH": str(other.snapshots_path),
    }
    path = full.settings.snapshots_path / "texts" / made["name"]
    command = [sys.executable, "-m", "qdrant_double", "--snapshot", f"{path}:copy"]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as server:
        said = server.stdout.readline()
        started = Double(other)
        started.port = int(said.rpartition(":")[2])
        assert started.points("copy") == before
        server.send_signal(signal.SIGTERM)
        assert server.wait(timeout=30) == 0
    again = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=30, check=False)
    assert again.returncode == 101
    assert "Collection copy already exists" in again.stderr
