"""Archives as servers of other versions write them, uploads of any shape, and how much memory they take."""

from __future__ import annotations

import io
import json
import tarfile
import tracemalloc
import uuid
from collections.abc import Callable
from email.message import Message
from pathlib import Path

import pytest
from api_description import FILE, description
from qdrant_double.archive import unpack, write
from qdrant_double.body import Body
from qdrant_double.multipart import receive
from running_double import Double

UPLOAD = "/collections/copy/snapshots/upload"


@pytest.fixture
def unpacked(filled: Double, tmp_path: Path) -> Path:
    """What is in a snapshot of the collection `texts`, without the log, which is large and empty."""
    content = filled.content("texts", filled.snapshot("texts")["name"])
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        small = [member for member in archive if "/wal/" not in member.name]
        archive.extractall(tmp_path / "snapshot", members=small, filter="data")
    return tmp_path / "snapshot"


def packed(root: Path, prefix: str = "") -> bytes:
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w", format=tarfile.GNU_FORMAT) as archive:
        for path in sorted(root.iterdir()):
            archive.add(path, arcname=f"{prefix}{path.name}")
    return content.getvalue()


def regular_segment(root: Path) -> tuple[Path, Path]:
    """The one packed segment, and where it is unpacked."""
    [segment] = (root / "0" / "segments").iterdir()
    with tarfile.open(segment) as archive:
        archive.extractall(segment.with_suffix(""), filter="data")
    return segment, segment.with_suffix("")


def plain(root: Path) -> None:
    """As it is."""


def old(root: Path) -> None:
    """Before 1.13: no list of shard keys, or none of indexes, and backups of RocksDB beside the files."""
    (root / "shard_key_mapping.json").unlink()
    (root / "payload_index.json").unlink()
    config = json.loads((root / "config.json").read_text())
    del config["uuid"]
    (root / "config.json").write_text(json.dumps(config))
    segment, directory = regular_segment(root)
    (directory / "snapshot" / "db_backup" / "meta").mkdir(parents=True)
    (directory / "snapshot" / "db_backup" / "meta" / "1").write_text("1")
    segment.write_bytes(packed(directory))
    (directory / "snapshot").rename(root.parent / "away")
    directory.rmdir()


def newer(root: Path) -> None:
    """With the files that a shard of a cluster, or a server with the newest features, has beside."""
    for name in ("newest_clocks.json", "oldest_clocks.json", "applied_seq.json", "segments_manifest.json"):
        (root / "0" / name).write_text("{}")


def streamable(root: Path) -> None:
    """With segments that are directories."""
    segment, directory = regular_segment(root)
    segment.unlink()
    (directory / "snapshot" / "files").rename(directory / "files")
    (directory / "snapshot").rmdir()


def flat(root: Path) -> None:
    """The same, without a directory between."""
    streamable(root)
    [segment] = (root / "0" / "segments").iterdir()
    for path in (segment / "files").iterdir():
        path.rename(segment / path.name)
    (segment / "files").rmdir()


@pytest.mark.parametrize("prefix", ["", "./"])
@pytest.mark.parametrize("written", [plain, old, newer, streamable, flat])
def test_what_other_versions_write_is_understood(
    filled: Double, unpacked: Path, written: Callable[[Path], None], prefix: str
) -> None:
    written(unpacked)
    answer = filled.upload(UPLOAD, packed(unpacked, prefix))
    assert answer.status == 200, answer.text
    assert filled.points("copy") == filled.points("texts")
    assert list(filled.settings.storage_path.rglob("*_backup")) == []
    # A snapshot of what came that way is whole again.
    again = filled.content("copy", filled.snapshot("copy")["name"])
    assert filled.upload("/collections/again/snapshots/upload", again).status == 200
    assert filled.points("again") == filled.points("texts")


def test_holes_stay_holes(tmp_path: Path) -> None:
    with (tmp_path / "file").open("wb") as file:
        for number in range(100):  # more of them than the first header has room for
            file.seek(number << 20)
            file.write(b"data")
        file.truncate(200 << 20)
    write(tmp_path / "archive", tmp_path, ["file"], prefix="deep/")
    assert (tmp_path / "archive").stat().st_size < 2 << 20
    unpack(tmp_path / "archive", tmp_path / "unpacked")
    copy = tmp_path / "unpacked" / "deep" / "file"
    assert copy.stat().st_blocks * 512 < 2 << 20
    assert copy.read_bytes() == (tmp_path / "file").read_bytes()


class Source(io.RawIOBase):
    """A body of zeros between a head and a tail, made while it is read, in pieces of a size."""

    def __init__(self, head: bytes, size: int, tail: bytes, piece: int) -> None:
        self._parts = [head, *[b"\0" * (1 << 20)] * (size >> 20), tail]
        self._piece = piece

    def read1(self, size: int = -1) -> bytes:
        if not self._parts:
            return b""
        size = min(size, self._piece)
        data, self._parts[0] = self._parts[0][:size], self._parts[0][size:]
        if not self._parts[0]:
            self._parts.pop(0)
        return data


def form(content: bytes, filename: str = 'filename="a.snapshot"') -> tuple[Message, bytes, bytes]:
    boundary = uuid.uuid4().hex
    headers = Message()
    headers["Content-Type"] = f'multipart/form-data; boundary="{boundary}"'
    head = f'--{boundary}\r\nContent-Disposition: form-data; name="snapshot"; {filename}\r\n\r\n'.encode() + content
    return headers, head, f"\r\n--{boundary}--\r\n".encode()


def test_an_upload_is_never_in_memory(tmp_path: Path) -> None:
    headers, head, tail = form(b"")
    headers["Content-Length"] = str(len(head) + (64 << 20) + len(tail))
    source = Source(head, 64 << 20, tail, piece=1 << 20)
    tracemalloc.start()
    try:
        upload = receive(Body(source, headers), headers, "snapshot", tmp_path)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert upload.path.stat().st_size == 64 << 20
    assert peak < 8 << 20


@pytest.mark.parametrize("piece", [1, 7, 4096])
def test_a_boundary_may_come_in_pieces(tmp_path: Path, piece: int) -> None:
    content = b"\r\n--\r\n-\r\n" * 20
    headers, head, tail = form(content)
    headers["Content-Length"] = str(len(head) + len(tail))
    upload = receive(Body(Source(head, 0, tail, piece), headers), headers, "snapshot", tmp_path)
    assert (upload.path.read_bytes(), upload.filename) == (content, "a.snapshot")


@pytest.mark.parametrize(
    ("disposition", "expected"),
    [
        ("filename=../../etc/x.snapshot", "x.snapshot"),
        ("x=y", None),
        ("filename*=utf-8''caf%C3%A9.snapshot", "café.snapshot"),
    ],
)
def test_a_file_keeps_the_last_part_of_its_name(tmp_path: Path, disposition: str, expected: str | None) -> None:
    headers, head, tail = form(b"x", disposition)
    headers["Content-Length"] = str(len(head) + len(tail))
    assert receive(Body(Source(head, 0, tail, 99), headers), headers, "snapshot", tmp_path).filename == expected


def test_a_body_without_a_length_comes_in_chunks(filled: Double, unpacked: Path) -> None:
    headers, head, tail = form(packed(unpacked))
    body = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in (head[:1000], head[1000:], tail)) + b"0\r\n\r\n"
    sent = {"Transfer_Encoding": "chunked", "Content_Type": headers["Content-Type"]}
    assert filled.ask("POST", UPLOAD, body, **sent).status == 200
    assert filled.points("copy") == filled.points("texts")


def test_qdrant_s_own_description_is_at_hand() -> None:
    if not FILE.exists():
        pytest.skip(
            f"{FILE} is not there, so no answer of the double was held to it; QDRANT_OPENAPI may say where it is"
        )
    assert description().problems("GET", "/collections", 200, "application/json", b'{"result": 1}') != []
