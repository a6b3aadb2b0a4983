"""Uploads: what a server sees of them, when they are sent again, and what is told of those it does not want."""

from __future__ import annotations

import email.parser
import email.policy
import hashlib
import io
import random
import socket
import ssl
import subprocess
import sys
from pathlib import Path
from typing import IO, Any

import pytest
from qdrant_script import API_KEY, Connection, Handler, Script, error, lost, ok, script, text

from ansible_collections.somos.infra.plugins.module_utils import _qdrant_upload
from ansible_collections.somos.infra.plugins.module_utils._qdrant import (
    LocalError,
    QdrantError,
    RefusedError,
    UnreachableError,
)
from ansible_collections.somos.infra.plugins.module_utils._qdrant_upload import upload

CONTENT = random.Random(6).randbytes(3_000_001)
BIG = 24 << 20  # more than the buffers of two sockets hold


class Zeros(io.RawIOBase):
    """A file of nothing but zeros, which says how much of it was read."""

    def __init__(self, size: int) -> None:
        self.size, self.place, self.was_read = size, 0, 0

    def tell(self) -> int:
        return self.place

    def seek(self, place: int, whence: int = 0) -> int:
        assert whence == 0
        self.place = place
        return place

    def readinto(self, buffer: Any) -> int:
        length = min(len(buffer), self.size - self.place)
        self.place += length
        self.was_read += length
        return length


def send(
    server: Script, file: IO[bytes] | Zeros, size: int, *, name: str = "somos-restore-1.snapshot", **http: Any
) -> None:
    source: Any = file
    upload(server.http(**http), "Restoring collection documents", "/up?wait=true", name, source, size)


def fails(server: Script, kind: type[QdrantError], size: int = BIG, **options: Any) -> str:
    with pytest.raises(QdrantError) as caught:
        send(server, Zeros(size), size, **options)
    assert type(caught.value) is kind, caught.value
    assert API_KEY not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("content", [CONTENT, b"", b"\r\n--x--\r\n"])
def test_a_parser_of_forms_sees_one_file(content: bytes) -> None:
    with script(ok(True)) as server:
        send(server, io.BytesIO(content), len(content))
        (request,) = server.requests
    kind = request.headers["content-type"]
    head = f"Content-Type: {kind}\r\n\r\n".encode()
    message = email.parser.BytesParser(policy=email.policy.HTTP).parsebytes(head + request.body)
    assert message.get_content_type() == "multipart/form-data" and not message.defects
    (field,) = message.iter_parts()
    assert field["Content-Disposition"].params == {"name": "snapshot", "filename": "somos-restore-1.snapshot"}
    assert field.get_content_type() == "application/octet-stream"
    # The parser is made for text; that the bytes are the same is seen around it.
    boundary = kind.partition("boundary=")[2].encode()
    before, _, rest = request.body.partition(b"\r\n\r\n")
    assert rest == content + b"\r\n--" + boundary + b"--\r\n"
    assert before.startswith(b"--" + boundary) and boundary not in content
    assert request.headers["api-key"] == API_KEY and request.method == "POST"


def test_only_what_follows_in_the_file_is_sent() -> None:
    file = io.BytesIO(b"before" + CONTENT + b"behind")
    file.seek(6)
    with script(error(503, "busy"), ok(True)) as server:
        send(server, file, len(CONTENT))
        for request in server.requests:
            assert request.body.partition(b"\r\n\r\n")[2].startswith(CONTENT + b"\r\n--")


@pytest.mark.parametrize("name", ['a"b.snapshot', "a\r\nX: y.snapshot", "é.snapshot", "a;b.snapshot"])
def test_a_file_name_cannot_leave_its_quotes(name: str) -> None:
    with script(ok(True)) as server:
        send(server, io.BytesIO(b"x"), 1, name=name)
        line = server.requests[0].body.split(b"\r\n")[1].decode("ascii")
    assert line.startswith('Content-Disposition: form-data; name="snapshot"; filename="')
    assert line.count('"') == 4 and line.endswith('_.snapshot"' if name[0] != "a" else '.snapshot"')


def test_it_is_waited_for_however_long_the_server_unpacks() -> None:
    def handle(connection: Connection) -> None:
        connection.read_body()
        connection.over.wait(0.25)
        ok(True)(connection)

    with script(handle) as server:
        send(server, io.BytesIO(CONTENT), len(CONTENT), timeout=0.1)


def test_an_answer_that_is_not_qdrant_s_is_no_success() -> None:
    with script(text(200, "<html>It works!</html>", "text/html")) as server:
        assert "does not answer as Qdrant does" in fails(server, QdrantError, 1000)
    with script(text(307, "", "text/html")) as server:
        assert "Use the URL of the server itself" in fails(server, RefusedError, 1000)


# Refused while it is sent.


def early(answer: Handler, after: str) -> Handler:
    def handle(connection: Connection) -> None:
        connection.read_body(1000)
        connection.headers["content-length"] = "0"
        answer(connection)
        if after == "reads on":
            connection.read_body(BIG)
        elif after == "waits":
            connection.stall()
        elif after == "resets":
            connection.over.wait(0.1)
            connection.reset()

    return handle


@pytest.mark.parametrize("after", ["reads on", "waits", "closes", "resets"])
@pytest.mark.parametrize(
    ("status", "words"),
    [(401, "Invalid API key or JWT"), (403, "Forbidden: Global manage access is required")],
)
def test_a_refusal_is_heard_while_the_body_is_sent(status: int, words: str, after: str) -> None:
    with script(early(text(status, words), after)) as server:
        file = Zeros(200 << 20)
        with pytest.raises(RefusedError, match=f"answered {status}: {words}"):
            send(server, file, file.size)
        assert file.was_read < file.size / 2, "the rest is not sent in vain"
        assert len(server.requests) == 1


def test_a_success_before_all_was_sent_is_none() -> None:
    with script(early(ok(True), "waits")) as server:
        assert "answered 200 before it was sent everything" in fails(server, QdrantError)


@pytest.mark.parametrize("how", ["resets", "closes"])
def test_a_connection_that_ends_without_a_word_is_tried_again(how: str) -> None:
    def handle(connection: Connection) -> None:
        connection.read_body(1000)
        if how == "resets":
            connection.reset()

    with script(handle) as server:
        message = fails(server, UnreachableError)
        assert "closed the connection while it was sent to" in message
        assert "refuses the API key, is out of storage, or was stopped: read its log" in message
        assert len(server.requests) == 5 and server.pauses == [1, 2, 4, 8]
    with script(handle, ok(True)) as server:
        send(server, Zeros(BIG), BIG)
        assert server.requests[1].body.count(b"\0") >= BIG


def test_a_server_that_stops_receiving_is_given_up() -> None:
    with script(lambda connection: connection.stall()) as server:
        assert "stopped receiving for 0.05 s" in fails(server, UnreachableError, timeout=0.05)
        assert len(server.requests) == 5


def test_a_slow_line_is_not_a_stalled_one() -> None:
    def handle(connection: Connection) -> None:
        while connection.sock.recv(1 << 19):
            connection.over.wait(0.02)
            if len(server.pauses) or connection.over.is_set():
                return

    with script(handle) as server:
        sock = socket.create_connection(server.listener.getsockname())
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 16)
        sock.settimeout(0.25)
        with sock:
            sock.sendall(b"POST / HTTP/1.1\r\n\r\n")
            _qdrant_upload._send(sock, memoryview(bytes(20 << 20)))  # takes longer than the timeout, without a pause


# Sent again, or not.


def test_what_the_server_said_it_did_not_begin_is_sent_again() -> None:
    with script(error(503, "not ready"), error(429, "Rate limit", Retry_After="7"), ok(True)) as server:
        send(server, io.BytesIO(CONTENT), len(CONTENT))
        assert server.pauses == [1, 7]
        assert CONTENT in server.requests[2].body


@pytest.mark.parametrize("status", [400, 408, 500, 502, 504, 507])
def test_what_it_may_have_begun_is_not(status: int) -> None:
    with script(error(status, "no")) as server:
        fails(server, RefusedError, 1000)
        assert len(server.requests) == 1


def test_nothing_is_sent_again_once_all_was_sent() -> None:
    with script(lost, ok(True)) as server:
        with pytest.raises(UnreachableError, match="it may have been stopped, or out of memory") as caught:
            send(server, io.BytesIO(CONTENT), len(CONTENT))
        assert caught.value.sent and len(server.requests) == 1


# The file.


def test_a_file_that_is_shorter_than_it_was() -> None:
    with script(ok(True)) as server:
        with pytest.raises(LocalError, match=r"ended 5 bytes early. Was it changed meanwhile?"):
            send(server, io.BytesIO(CONTENT), len(CONTENT) + 5)
        assert server.pauses == [], "what is wrong here does not get better there"


def test_a_file_that_cannot_be_read() -> None:
    class Broken(Zeros):
        def readinto(self, buffer: Any) -> int:
            raise OSError(5, "Input/output error")

    with script(ok(True)) as server, pytest.raises(LocalError, match="the snapshot: Input/output error"):
        send(server, Broken(10), 10)


# With TLS.


@pytest.fixture(scope="module")
def context(tmp_path_factory: pytest.TempPathFactory) -> ssl.SSLContext:
    path = tmp_path_factory.mktemp("tls") / "crt"
    argv = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"]
    subprocess.run([*argv, "-subj", "/CN=x", "-out", path, "-keyout", f"{path}.key"], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path, f"{path}.key")
    return context


def test_an_upload_and_a_refusal_below_tls(context: ssl.SSLContext) -> None:
    from ansible_collections.somos.infra.plugins.module_utils._qdrant import Tls

    with script(ok(True), early(text(403, "Forbidden"), "waits"), context=context) as server:
        send(server, io.BytesIO(CONTENT), len(CONTENT), tls=Tls(validate_certs=False))
        assert CONTENT in server.requests[0].body
        # The answer is not seen below TLS: it is the pause that ends the sending.
        assert "stopped receiving" in fails(server, UnreachableError, tls=Tls(validate_certs=False), timeout=0.05)
    with script(early(text(403, "Forbidden"), "closes"), context=context) as server:
        with pytest.raises((RefusedError, UnreachableError)) as caught:
            send(server, Zeros(BIG), BIG, tls=Tls(validate_certs=False))
        assert not getattr(caught.value, "sent", False)


# Memory.

PROGRAM = """
import sys
sys.path.insert(0, ".ansible/collections")
from pathlib import Path
from ansible_collections.somos.infra.plugins.module_utils._qdrant import Client, Http, Snapshot
url, directory, size, checksum = sys.argv[1:]
client = Client(Http(url))
got = client.download_snapshot("documents", Snapshot("a.snapshot", int(size), None, checksum), directory)
with got.path.open("rb") as file:
    client.upload_snapshot("documents", "a.snapshot", file, got.size, got.checksum)
assert not [name for name in sys.modules if name == "ansible" or name.startswith("ansible.")]
print(*(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")))
"""


def test_200_mb_both_ways_take_less_than_64_mib_of_memory(tmp_path: Path) -> None:
    size = 200_000_000
    with (tmp_path / "sparse").open("wb+") as sparse:
        sparse.truncate(size)
        checksum = hashlib.file_digest(sparse, "sha256").hexdigest()

        def give(connection: Connection) -> None:
            connection.say(200, length=size)
            connection.sock.sendfile(sparse, 0, size)

        def take(connection: Connection) -> None:
            left, buffer = int(connection.headers["content-length"]) - len(connection._rest), bytearray(1 << 20)
            while left:
                left -= connection.sock.recv_into(buffer, min(left, len(buffer)))
            connection.headers["content-length"] = "0"
            ok(True)(connection)

        with script(give, take) as server:
            argv = [sys.executable, "-c", PROGRAM, server.url, str(tmp_path), str(size), checksum]
            done = subprocess.run(argv, capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stderr
            assert server.asked()[1].startswith("POST /collections/documents/snapshots/upload?wait=true&priority=snap")
    # Not getrusage, whose peak is that of the process it was forked from.
    assert 5 << 10 < int(done.stdout) < 64 << 10, "KiB"
