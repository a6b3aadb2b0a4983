"""Downloads: taken up where they broke, never glued together, compared, and nothing left of one that failed."""

from __future__ import annotations

import errno
import hashlib
import os
import random
import shutil
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from qdrant_script import Connection, Handler, Script, error, script, text

from ansible_collections.somos.infra.plugins.module_utils import _qdrant_download
from ansible_collections.somos.infra.plugins.module_utils._qdrant import (
    DamagedError,
    Download,
    LocalError,
    QdrantError,
    RefusedError,
    UnreachableError,
)
from ansible_collections.somos.infra.plugins.module_utils._qdrant_download import download

CONTENT = random.Random(4).randbytes(5_500_000)  # more than there are buffers for
OTHER = random.Random(5).randbytes(5_500_000)
SIZE = len(CONTENT)
CHECKSUM = hashlib.sha256(CONTENT).hexdigest()
HALF = 3_333_333


def fetch(
    server: Script, directory: Path, *, size: int = SIZE, checksum: str | None = CHECKSUM, **http: Any
) -> Download:
    return download(server.http(**http), "Downloading it", "/s", str(directory), "a.snapshot", size, checksum)


def fails(server: Script, directory: Path, kind: type[QdrantError], **options: Any) -> str:
    with pytest.raises(QdrantError) as caught:
        fetch(server, directory, **options)
    assert type(caught.value) is kind, caught.value
    assert str(caught.value).startswith("Downloading it failed: ")
    assert list(directory.iterdir()) == [], "nothing is left"
    return str(caught.value)


def whole(content: bytes = CONTENT, **headers: object) -> Handler:
    return lambda connection: connection.say(200, content, **headers)


def cut(content: bytes, length: int, reset: bool = False, stall: bool = False, **headers: object) -> Handler:
    """An answer that announces *length* bytes, and breaks off after *content*."""

    def handle(connection: Connection) -> None:
        connection.say(200, content, length=length, **headers)
        if stall:
            connection.stall()
        if reset:
            connection.over.wait(0.05)  # a reset overtakes what was sent
            connection.reset()

    return handle


def part(content: bytes = CONTENT, tag: str | None = '"one"', length: int | None = None) -> Handler:
    """What was asked for, as a server of files answers."""

    def handle(connection: Connection) -> None:
        start = int(connection.headers["range"].removeprefix("bytes=").removesuffix("-"))
        rest = content[start:length]
        tags = {"ETag": tag} if tag else {}
        connection.say(206, rest, length=len(content) - start, Content_Range=f"bytes {start}-{len(content)}/*", **tags)

    return handle


def asked(server: Script) -> list[tuple[str | None, str | None]]:
    return [(request.headers.get("range"), request.headers.get("if-range")) for request in server.requests]


def test_a_file_arrives_whole_and_private(tmp_path: Path) -> None:
    with script(whole()) as server:
        got = fetch(server, tmp_path)
    assert (got.size, got.checksum, got.path.read_bytes()) == (SIZE, CHECKSUM, CONTENT)
    assert stat.S_IMODE(got.path.stat().st_mode) == 0o600
    assert got.path.name.startswith(".a.snapshot.") and got.path.name.endswith(".part")
    got.keep_as(tmp_path / "kept.snapshot")
    assert [path.name for path in tmp_path.iterdir()] == ["kept.snapshot"]


def test_a_file_without_a_length_and_without_a_checksum(tmp_path: Path) -> None:
    """As from S3."""

    def handle(connection: Connection) -> None:
        connection.sock.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        for start in range(0, SIZE, 1 << 20):
            chunk = CONTENT[start : start + (1 << 20)]
            connection.sock.sendall(f"{len(chunk):x}\r\n".encode() + chunk + b"\r\n")
        connection.sock.sendall(b"0\r\n\r\n")

    with script(handle) as server:
        assert fetch(server, tmp_path, checksum=None).checksum == CHECKSUM


def test_an_empty_file(tmp_path: Path) -> None:
    with script(whole(b"")) as server:
        assert fetch(server, tmp_path, size=0, checksum=None).path.read_bytes() == b""


def test_a_checksum_in_capitals_is_the_same(tmp_path: Path) -> None:
    with script(whole()) as server:
        assert fetch(server, tmp_path, checksum=CHECKSUM.upper()).checksum == CHECKSUM


@pytest.mark.parametrize("how", [{}, {"reset": True}])
def test_a_cut_download_goes_on_where_it_was_cut(tmp_path: Path, how: dict[str, bool]) -> None:
    with script(cut(CONTENT[:HALF], SIZE, ETag='"one"', **how), part()) as server:
        assert fetch(server, tmp_path).path.read_bytes() == CONTENT
        assert server.pauses == [1]
        (_, (wanted, tag)) = asked(server)
    assert wanted is not None and 0 < int(wanted[6:-1]) <= HALF
    assert tag == '"one"'


def test_a_connection_that_gets_further_each_time_is_never_given_up(tmp_path: Path) -> None:
    handlers = [cut(CONTENT[:500_000], SIZE, ETag='"one"')]
    handlers += [part(length=end) for end in range(1_000_000, SIZE + 1, 500_000)]
    with script(*handlers) as server:
        assert fetch(server, tmp_path).path.read_bytes() == CONTENT
        assert len(server.requests) == 11 and server.pauses == [1] * 10


def test_connections_that_break_hard_do_not_use_up_the_buffers(tmp_path: Path) -> None:
    """Each failure takes a buffer along, if nobody gives it back; the fifth download would wait for ever."""
    step = SIZE // 9
    first = cut(CONTENT[:step], SIZE, stall=True, ETag='"one"')

    def more(connection: Connection) -> None:
        start = int(connection.headers["range"][6:-1])
        part(length=start + (2 << 20))(connection)
        if start + (2 << 20) < SIZE:
            connection.stall()

    with script(first, first, first, first, cut(CONTENT[: 2 << 20], SIZE, stall=True, ETag='"one"'), more) as server:
        assert fetch(server, tmp_path, timeout=0.1, attempts=9).path.read_bytes() == CONTENT
        assert len(server.requests) > 6


def test_a_server_that_knows_no_ranges_starts_again(tmp_path: Path) -> None:
    with script(cut(CONTENT[:HALF], SIZE, ETag='"one"'), whole(ETag='"one"')) as server:
        assert fetch(server, tmp_path).path.read_bytes() == CONTENT


def test_another_file_is_not_glued_to_the_half_of_the_first(tmp_path: Path) -> None:
    """It got the same name meanwhile. The server compares If-Range, and sends all of it."""
    other = hashlib.sha256(OTHER).hexdigest()
    with script(cut(CONTENT[:HALF], SIZE, ETag='"one"'), whole(OTHER, ETag='"two"')) as server:
        assert fetch(server, tmp_path, checksum=other).path.read_bytes() == OTHER


def test_without_a_tag_nothing_is_glued_at_all(tmp_path: Path) -> None:
    with script(cut(CONTENT[:HALF], SIZE), whole(OTHER)) as server:
        assert fetch(server, tmp_path, checksum=None).path.read_bytes() == OTHER
        assert asked(server) == [(None, None)] * 2


def test_the_tag_of_the_last_whole_answer_counts(tmp_path: Path) -> None:
    first, second = cut(CONTENT[:HALF], SIZE, ETag='"one"'), cut(OTHER[:HALF], SIZE, ETag='"two"')
    with script(first, second, part(OTHER, '"two"')) as server:
        assert fetch(server, tmp_path, checksum=None).path.read_bytes() == OTHER
        assert [tag for _, tag in asked(server)] == [None, '"one"', '"two"']


@pytest.mark.parametrize("answer", [part(OTHER, '"two"'), lambda connection: connection.say(206, CONTENT[HALF:])])
def test_a_part_of_something_else_is_refused(tmp_path: Path, answer: Handler) -> None:
    with script(cut(CONTENT[:HALF], SIZE, ETag='"one"'), answer) as server:
        assert "not the one that was asked for" in fails(server, tmp_path, DamagedError, checksum=None)


def test_a_part_from_another_place_is_refused(tmp_path: Path) -> None:
    def elsewhere(connection: Connection) -> None:
        connection.say(206, CONTENT[HALF - 5 :], Content_Range=f"bytes {HALF - 5}-{SIZE}/{SIZE}", ETag='"one"')

    with script(cut(CONTENT[:HALF], SIZE, ETag='"one"'), elsewhere) as server:
        assert "not the one that was asked for" in fails(server, tmp_path, DamagedError, checksum=None)


def test_a_connection_that_is_always_cut_at_the_same_place(tmp_path: Path) -> None:
    with script(cut(CONTENT[:HALF], SIZE)) as server:
        message = fails(server, tmp_path, UnreachableError)
        assert f"{HALF} bytes came of the {SIZE} that the server lists" in message
        assert server.pauses == [1, 2, 4, 8]


def test_progress_is_what_gets_further_than_ever_before(tmp_path: Path) -> None:
    """Else a server without ranges, cut at random places, would be asked again and again."""
    with script(*(cut(CONTENT[:end], SIZE) for end in (3000, 1000, 2000, 1500, 2500))) as server:
        fails(server, tmp_path, UnreachableError)
        assert len(server.requests) == 5


def test_a_stalled_download_is_given_up(tmp_path: Path) -> None:
    with script(cut(CONTENT[:10], SIZE, stall=True, ETag='"one"')) as server:
        message = fails(server, tmp_path, UnreachableError, timeout=0.05)
    assert "stopped talking for 0.05 s" in message and len(server.requests) == 5


def test_a_busy_server_is_asked_again_when_it_wants_to_be(tmp_path: Path) -> None:
    with script(error(429, "Rate limit", Retry_After="9"), text(503, "not ready"), whole()) as server:
        fetch(server, tmp_path)
        assert server.pauses == [9, 2]


@pytest.mark.parametrize(
    ("status", "words"),
    [(401, "Invalid API key or JWT"), (404, "Not found: Snapshot a.snapshot"), (500, "Service internal error")],
)
def test_a_refusal_is_told_at_once(tmp_path: Path, status: int, words: str) -> None:
    with script(text(status, words)) as server:
        assert f"answered {status}: {words}." in fails(server, tmp_path, RefusedError)
        assert len(server.requests) == 1


def test_a_snapshot_that_vanishes_half_way(tmp_path: Path) -> None:
    with script(cut(CONTENT[:HALF], SIZE, ETag='"one"'), text(404, "Not found: Snapshot a.snapshot")) as server:
        assert "404" in fails(server, tmp_path, RefusedError)


def test_a_redirection_is_no_snapshot(tmp_path: Path) -> None:
    with script(lambda connection: connection.say(302, CONTENT, Location="/elsewhere")) as server:
        assert "Use the URL of the server itself" in fails(server, tmp_path, RefusedError)


def test_a_damaged_file_is_refused(tmp_path: Path) -> None:
    with script(whole(OTHER)) as server:
        message = fails(server, tmp_path, DamagedError)
    assert f"its SHA-256 is {hashlib.sha256(OTHER).hexdigest()}, the server's is {CHECKSUM}" in message


def test_a_file_longer_than_listed_is_not_read_to_its_end(tmp_path: Path) -> None:
    sent: list[int] = []

    def endless(connection: Connection) -> None:
        connection.sock.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            sent.append(connection.sock.send(CONTENT[: 1 << 20]))

    with script(endless) as server:
        message = fails(server, tmp_path, DamagedError, size=1000)
    assert "lists 1000 bytes, but more bytes come. It was replaced while it was read" in message
    assert sum(sent) < 64 << 20


def test_a_file_shorter_than_listed_was_replaced(tmp_path: Path) -> None:
    with script(whole(CONTENT[:HALF], ETag='"one"'), text(416)) as server:
        message = fails(server, tmp_path, DamagedError)
    assert f"lists {SIZE} bytes, but {HALF} bytes came, and there are no more" in message


def test_no_room_is_noticed_before_the_server_is_asked(tmp_path: Path) -> None:
    with script(whole()) as server:
        free = shutil.disk_usage(tmp_path).free
        message = fails(server, tmp_path, LocalError, size=2 * free)
        assert f"{tmp_path} has room for" in message and "Make room" in message
        assert server.requests == []


def test_a_directory_that_is_not_there(tmp_path: Path) -> None:
    with script(whole()) as server, pytest.raises(LocalError, match="gone: No such file or directory"):
        fetch(server, tmp_path / "gone")
    assert server.requests == []


def full(*_arguments: object) -> int:
    raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize(("module", "name"), [(_qdrant_download, "_write"), (os, "fsync")])
def test_a_full_disk_is_no_trouble_with_the_network(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, module: Any, name: str
) -> None:
    monkeypatch.setattr(module, name, full)
    with script(whole()) as server:
        message = fails(server, tmp_path, LocalError)
        assert message == f"Downloading it failed: {tmp_path}: No space left on device."
        assert len(server.requests) == 1


def test_a_full_disk_is_none_either_when_a_download_starts_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def start_again(connection: Connection) -> None:
        monkeypatch.setattr(_qdrant_download, "_write", full)
        whole()(connection)

    with script(cut(CONTENT[:HALF], SIZE), start_again) as server:
        assert "No space left on device" in fails(server, tmp_path, LocalError)


def test_what_a_write_left_over_is_written_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Short:
        def __init__(self) -> None:
            self.got = bytearray()

        def write(self, view: memoryview) -> int:
            self.got += view[:7]
            return len(view[:7])

    file: Any = Short()
    _qdrant_download._write(file, memoryview(CONTENT[:100]))
    assert file.got == CONTENT[:100]


def test_it_is_on_disk_when_it_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[int] = []
    original: Callable[[int], None] = os.fsync
    monkeypatch.setattr(os, "fsync", lambda handle: (synced.append(os.fstat(handle).st_ino), original(handle))[1])
    with script(whole()) as server:
        got = fetch(server, tmp_path)
    assert synced == [got.path.stat().st_ino]
    got.keep_as(tmp_path / "kept.snapshot")
    assert synced[1:] == [tmp_path.stat().st_ino], "the name too"


def test_an_interrupted_run_leaves_nothing_either(tmp_path: Path) -> None:
    def interrupt(_seconds: float) -> None:
        raise KeyboardInterrupt

    with script(cut(CONTENT[:10], SIZE)) as server, pytest.raises(KeyboardInterrupt):
        fetch(server, tmp_path, sleep=interrupt)
    assert list(tmp_path.iterdir()) == []


def test_a_long_name_is_no_trouble(tmp_path: Path) -> None:
    with script(whole()) as server:
        name = f"{'𝄞' * 60}.snapshot"
        got = download(server.http(), "Downloading it", "/s", str(tmp_path), name, SIZE, CHECKSUM)
    assert got.path.exists()
