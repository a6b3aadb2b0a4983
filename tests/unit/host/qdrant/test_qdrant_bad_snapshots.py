"""What no collection can be recovered from: with which words it is refused, and what it leaves."""

from __future__ import annotations

import io
import shutil
import socket
import tarfile
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from running_double import Double

SNAPSHOTS = "/collections/texts/snapshots"
UPLOAD = f"{SNAPSHOTS}/upload"
RECOVER = f"{SNAPSHOTS}/recover"
WRONG = "0" * 64


@pytest.fixture
def content(filled: Double) -> bytes:
    """A snapshot of the collection `texts`."""
    return filled.content("texts", filled.snapshot("texts")["name"])


def changed(content: bytes, change: Callable[[Path], None], tmp_path: Path) -> bytes:
    """The archive with a change made to what is in it. The log, which is large and empty, is left out."""
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        small = [member for member in archive if "/wal/" not in member.name]
        archive.extractall(tmp_path / "changed", members=small, filter="data")
    change(tmp_path / "changed")
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=tarfile.GNU_FORMAT) as archive:
        for path in sorted((tmp_path / "changed").iterdir()):
            archive.add(path, arcname=path.name)
    return packed.getvalue()


def test_an_upload_with_the_wrong_checksum_leaves_nothing(filled: Double, content: bytes) -> None:
    answer = filled.upload(f"/collections/copy/snapshots/upload?checksum={WRONG}", content)
    assert answer.status == 400
    assert answer.error.startswith("Checksum mismatch: expected ")
    assert answer.error.endswith(f", actual {WRONG}")
    assert not (filled.settings.snapshots_path / "copy").exists()
    assert list(filled.settings.upload_path.iterdir()) == []
    assert filled.ask("GET", "/collections/copy").status == 404


def test_a_recovery_with_the_wrong_checksum_leaves_nothing(filled: Double) -> None:
    made = filled.snapshot("texts")
    location = (filled.settings.snapshots_path / "texts" / made["name"]).as_uri()
    body = {"location": location, "checksum": WRONG}
    answer = filled.ask("PUT", "/collections/copy/snapshots/recover", body)
    reason = f"Wrong input: Snapshot checksum mismatch: expected {WRONG}, got {made['checksum']}"
    assert (answer.status, answer.error) == (400, reason)
    assert filled.ask("GET", "/collections/copy").status == 404


@pytest.mark.parametrize("checksum", ["abc", "g" * 64])
def test_a_checksum_that_is_none(filled: Double, content: bytes, checksum: str) -> None:
    assert filled.upload(f"{UPLOAD}?checksum={checksum}", content).status == 422
    assert filled.ask("PUT", RECOVER, {"location": "file:///x", "checksum": checksum}).status == 422
    assert list(filled.settings.upload_path.iterdir()) == []


@pytest.mark.parametrize("query", ["priority=both", "wait=yes"])
def test_words_that_the_server_does_not_know(filled: Double, content: bytes, query: str) -> None:
    answer = filled.upload(f"{UPLOAD}?{query}", content)
    assert (answer.status, answer.kind) == (400, "application/json")
    assert answer.error.startswith("Deserialize error in query parameters: ")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"not an archive at all" * 100, "File IO error: Malformed tar archive, reached unknown entry"),
        (b"short", "File IO error: Malformed tar archive, reached unknown entry"),
        (b"", "File IO error: failed to open file"),
    ],
)
def test_an_upload_that_is_no_archive(filled: Double, content: bytes, reason: str) -> None:
    answer = filled.upload("/collections/copy/snapshots/upload", content)
    assert answer.status == 500
    assert answer.error.startswith(f"Service internal error: {reason}")
    # Nothing was made of it, but it is kept.
    assert filled.ask("GET", "/collections/copy").status == 404
    assert (filled.settings.snapshots_path / "copy" / "given.snapshot").exists()


@pytest.mark.parametrize("share", [0.3, 0.9])
def test_an_upload_that_was_cut_short(filled: Double, content: bytes, share: float) -> None:
    before = filled.points("texts")
    answer = filled.upload(UPLOAD, content[: int(len(content) * share)])
    assert answer.status == 500
    assert filled.points("texts") == before


def test_a_broken_header_within_an_archive_is_not_its_end(filled: Double, content: bytes) -> None:
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        second = archive.getmembers()[1].offset
    answer = filled.upload(UPLOAD, content[:second] + b"x" * 512 + content[second + 512 :])
    assert answer.error == "Service internal error: File IO error: Malformed tar archive, reached unknown entry"


@pytest.mark.parametrize(
    ("name", "kind", "words"),
    [("link", tarfile.SYMTYPE, "Forbidden entry type in tar archive: Symlink"), ("pipe", tarfile.FIFOTYPE, "Fifo")],
)
def test_an_archive_with_more_than_files(filled: Double, name: str, kind: bytes, words: str) -> None:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        entry = tarfile.TarInfo(name)
        entry.type, entry.linkname = kind, "/etc/passwd"
        archive.addfile(entry)
    answer = filled.upload(UPLOAD, packed.getvalue())
    assert answer.status == 500
    assert words in answer.error


def test_an_archive_does_not_write_outside(filled: Double, content: bytes, tmp_path: Path) -> None:
    packed = io.BytesIO(content)
    with tarfile.open(fileobj=packed, mode="a") as archive:
        entry = tarfile.TarInfo("../../../../escaped")
        entry.size = 1
        archive.addfile(entry, io.BytesIO(b"x"))
    assert filled.upload(UPLOAD, packed.getvalue()).status == 200
    assert list(tmp_path.rglob("escaped")) == []


def test_an_archive_without_a_shard(filled: Double, content: bytes, tmp_path: Path) -> None:
    answer = filled.upload(UPLOAD, changed(content, lambda root: shutil.rmtree(root / "0"), tmp_path))
    assert answer.status == 500
    assert answer.error.startswith("Service internal error: Can't read shard config at ")


def test_a_snapshot_of_another_member_of_a_cluster(filled: Double, content: bytes, tmp_path: Path) -> None:
    def elsewhere(root: Path) -> None:
        (root / "0" / "replica_state.json").write_text('{"is_local": false, "this_peer_id": 1, "peers": {}}')

    answer = filled.upload(UPLOAD, changed(content, elsewhere, tmp_path))
    assert answer.status == 500
    assert "Can't restore snapshot in local mode with missing data at shard: " in answer.error


def test_a_snapshot_of_a_collection_of_another_kind(filled: Double, content: bytes) -> None:
    filled.result("PUT", "/collections/other", {"vectors": {"size": 3, "distance": "Dot"}})
    answer = filled.upload("/collections/other/snapshots/upload", content)
    assert answer.status == 400
    assert answer.error.startswith("Wrong input: Snapshot is not compatible with existing collection: ")
    assert filled.result("GET", "/collections/other")["points_count"] == 0


def test_a_segment_that_cannot_be_loaded_leaves_a_broken_shard(filled: Double, content: bytes, tmp_path: Path) -> None:
    def damaged(root: Path) -> None:
        [segment] = (root / "0" / "segments").iterdir()
        with tarfile.open(segment, "w") as archive:
            archive.addfile(tarfile.TarInfo("snapshot/files/version.info"))

    answer = filled.upload(UPLOAD, changed(content, damaged, tmp_path))
    assert answer.status == 500
    reason = "Service internal error: Failed to query,  Failed to restore local replica"
    query = ("POST", "/collections/texts/points/query", {"query": [1, 0]})
    assert filled.ask(*query).error == reason
    # It is still there and still broken after a restart, and a good snapshot repairs it.
    filled.stop()
    filled.start()
    assert filled.ask(*query).error.endswith("Dirty shard - shard is not fully initialized")
    assert filled.result("GET", "/collections") == {"collections": [{"name": "texts"}]}
    assert filled.upload(UPLOAD, content).status == 200
    assert len(filled.points("texts")) == 2


@pytest.mark.parametrize(
    ("headers", "body", "reason"),
    [
        ({}, b"", "Could not find Content-Type header"),
        ({"Content_Type": "application/json"}, b"{}", "Could not parse Content-Type header"),
        ({"Content_Type": "multipart/form-data"}, b"", "Multipart boundary is not found"),
        ({"Content_Type": "multipart/form-data; boundary=x"}, b"--x", "Multipart stream is incomplete"),
        ({"Content_Type": "multipart/form-data; boundary=x"}, b"--x--\r\n", "Field with name `snapshot` is required"),
        (
            {"Content_Type": "multipart/form-data; boundary=x"},
            b'--x\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\ncontent\r\n--x--\r\n',
            "Field with name `snapshot` is required",
        ),
    ],
)
def test_a_body_that_is_no_form_with_a_snapshot(
    filled: Double, headers: dict[str, str], body: bytes, reason: str
) -> None:
    answer = filled.ask("POST", UPLOAD, body, **headers)
    assert (answer.status, answer.kind, answer.text) == (400, "text/plain", reason)
    assert list(filled.settings.upload_path.iterdir()) == []


def test_an_upload_whose_client_went_away_leaves_nothing(filled: Double) -> None:
    head = f"POST {UPLOAD} HTTP/1.1\r\nHost: x\r\napi-key: manage\r\nContent-Length: 1000000\r\n"
    part = '--x\r\nContent-Disposition: form-data; name="snapshot"; filename="a.snapshot"\r\n\r\n'
    with socket.create_connection(("127.0.0.1", filled.port), timeout=5) as connection:
        connection.sendall(f"{head}Content-Type: multipart/form-data; boundary=x\r\n\r\n{part}{'y' * 1000}".encode())
        began = time.monotonic()
        while not list(filled.settings.upload_path.iterdir()):
            assert time.monotonic() - began < 20
    while list(filled.settings.upload_path.iterdir()):
        assert time.monotonic() - began < 20
    assert filled.result("GET", SNAPSHOTS) == []
