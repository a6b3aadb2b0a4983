"""Requests to a Qdrant server: what is repeated, what is waited for, and what a person is told."""

from __future__ import annotations

import select
import socket
import ssl
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from qdrant_script import API_KEY, Connection, Handler, error, lost, ok, script, text

from ansible_collections.somos.infra.plugins.module_utils._qdrant import (
    Http,
    QdrantError,
    RefusedError,
    Tls,
    UnreachableError,
)


def refused(handler: Handler, method: str = "POST", **options: Any) -> RefusedError:
    with script(handler) as server, pytest.raises(RefusedError) as caught:
        server.http(**options).call("Doing it", method, "/x")
    assert API_KEY not in str(caught.value)
    return caught.value


# What the server said.


@pytest.mark.parametrize(
    ("handler", "words"),
    [
        (error(404, "Not found: Collection `x` doesn't exist!"), "Not found: Collection `x` doesn't exist!"),
        (text(401, "Invalid API key or JWT"), "Invalid API key or JWT"),
        (text(403, "Forbidden: Global manage access is required"), "Forbidden: Global manage access is required"),
        (text(404, "Not found: Snapshot a.snapshot\n"), "Not found: Snapshot a.snapshot"),
        (error(422, "checksum: invalid_sha256_hash"), "checksum: invalid_sha256_hash"),
        (text(404), ""),
        (text(400, "one\r\n  two\tthree"), "one two three"),
        (text(400, '{"status": "odd"}'), '{"status": "odd"}'),
        (text(400, "null"), "null"),
        (text(400, "[" * 60_000), "[" * 2000),
        (text(413, "<html><body><h1>413 Request Entity Too Large</h1></body></html>", "text/html"), ""),
    ],
)
def test_the_server_s_words_are_found_wherever_it_puts_them(handler: Handler, words: str) -> None:
    caught = refused(handler)
    assert caught.words == words
    assert words in str(caught)


def test_without_words_the_status_is_spelled_out() -> None:
    assert "answered 404: Not Found." in str(refused(text(404)))
    assert "answered 413: Request Entity Too Large. A proxy" in str(refused(text(413, "<html>", "text/html")))
    assert "answered 599: no explanation." in str(refused(text(599)))


@pytest.mark.parametrize(
    ("status", "hint"),
    [
        (401, "Check the API key"),
        (403, "main API key"),
        (404, "Check the name"),
        (408, "Try again later"),
        (413, "proxy"),
        (500, "full disk"),
        (504, "gave up waiting"),
        (507, "nothing was changed"),
        (301, "Use the URL of the server itself"),
        (307, "Use the URL of the server itself"),
    ],
)
def test_what_to_do_is_said_for_each_status(status: int, hint: str) -> None:
    caught = refused(error(status, "words"))
    assert caught.status == status
    assert str(caught).startswith("Doing it failed: http://127.0.0.1:")
    assert f"answered {status}: words. " in str(caught) and hint in str(caught)


def test_a_status_without_a_hint_has_the_words_alone() -> None:
    assert str(refused(error(400, "Wrong input: a."))).endswith("answered 400: Wrong input: a.")


def test_half_an_error_is_an_error_still() -> None:
    def handle(connection: Connection) -> None:
        connection.say(500, b"half of the wo", length=100)

    assert refused(handle).words in ("", "half of the wo")


# What the server answered.


@pytest.mark.parametrize(
    "content",
    [b"", b"<html>", b"[]", b"null", b'"ok"', b'{"result": true}', b'{"status": "enabled"}', b"\xff", b"[" * 200_000],
)
def test_an_answer_that_is_not_qdrant_s(content: bytes) -> None:
    with script(lambda connection: connection.say(200, content)) as server:
        with pytest.raises(QdrantError, match=r"does not answer as Qdrant does. Check that the URL is its REST port's"):
            server.http().call("Doing it", "GET", "/x")
        assert len(server.requests) == 1


@pytest.mark.parametrize("result", [None, [], {}, 3, {"count": "many"}, {"count": None}])
def test_a_result_of_another_shape_is_not_qdrant_s_either(result: object) -> None:
    with script(ok(result)) as server, pytest.raises(QdrantError, match=r"Doing it failed: .* not answer as Qdrant"):
        server.http().call("Doing it", "GET", "/x", read=lambda answer: int(answer["count"]))


def test_accepted_work_has_no_result() -> None:
    with script(lambda connection: connection.json(202, {"status": "accepted", "time": 0.0})) as server:
        assert server.http().call("Doing it", "DELETE", "/x") is None


def test_half_an_answer_is_a_lost_connection_and_asked_for_again() -> None:
    def half(connection: Connection) -> None:
        connection.say(200, b'{"result": [1, 2', length=60)

    with script(half, ok([1, 2])) as server:
        assert server.http().call("Doing it", "GET", "/x") == [1, 2]
    with script(half) as server, pytest.raises(UnreachableError, match="closed the connection") as caught:
        server.http().call("Doing it", "POST", "/x")
    assert caught.value.sent and len(server.requests) == 1


def test_a_request_as_the_server_wants_it() -> None:
    with script(ok(True)) as server:
        server.http().call("Doing it", "PUT", "/collections/x", {"a": 1})
        (request,) = server.requests
    assert (request.method, request.path, request.body) == ("PUT", "/collections/x", b'{"a": 1}')
    assert request.headers["api-key"] == API_KEY
    assert request.headers["content-type"] == "application/json"
    assert request.headers["accept-encoding"] == "identity"  # compressed downloads have no length and no ranges


def test_without_a_key_none_is_sent_and_a_path_goes_before_all() -> None:
    with script(ok(True)) as server:
        Http(f"{server.url}/qdrant/").call("Doing it", "GET", "/collections")
        (request,) = server.requests
    assert request.path == "/qdrant/collections"
    assert "api-key" not in request.headers and "content-type" not in request.headers


# What is repeated.


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_reading_is_repeated_with_growing_pauses(status: int) -> None:
    busy = error(status, "busy")
    with script(busy, busy, busy, busy, ok("at last")) as server:
        assert server.http().call("Doing it", "GET", "/x") == "at last"
        assert server.pauses == [1, 2, 4, 8]


@pytest.mark.parametrize("status", [400, 401, 403, 404, 408, 409, 500, 507])
def test_what_will_not_change_is_not_repeated(status: int) -> None:
    with script(error(status, "no")) as server, pytest.raises(RefusedError):
        server.http().call("Doing it", "GET", "/x")
    assert server.pauses == []


def test_pauses_end_at_half_a_minute_and_attempts_at_their_number() -> None:
    with script(error(503, "busy")) as server, pytest.raises(RefusedError, match="Wait until /readyz answers 200"):
        server.http(attempts=8).call("Doing it", "GET", "/x")
    assert server.pauses == [1, 2, 4, 8, 16, 30, 30]
    assert len(server.requests) == 8


@pytest.mark.parametrize(
    ("asked", "pause"), [("7", 7), ("3600", 300), ("0", 1), ("Tue, 24 Nov 2026 03:00:00 GMT", 1), ("-5", 1)]
)
def test_the_server_says_how_long_to_wait(asked: str, pause: float) -> None:
    with script(error(429, "Rate limit", Retry_After=asked), ok(1)) as server:
        server.http().call("Doing it", "GET", "/x")
        assert server.pauses == [pause]


@pytest.mark.parametrize(("status", "requests"), [(429, 2), (503, 2), (502, 1), (504, 1)])
def test_a_change_is_repeated_only_after_a_refusal_that_means_nothing_was_done(status: int, requests: int) -> None:
    with script(error(status, "busy"), ok(True)) as server:
        if requests == 1:
            with pytest.raises(RefusedError):
                server.http().call("Doing it", "POST", "/x")
        else:
            assert server.http().call("Doing it", "POST", "/x")
        assert len(server.requests) == requests


def test_a_change_is_not_repeated_after_its_answer_was_lost() -> None:
    with script(lost, ok(True)) as server, pytest.raises(UnreachableError, match="may have been stopped") as caught:
        server.http().call("Doing it", "POST", "/x")
    assert caught.value.sent and len(server.requests) == 1


def test_a_change_that_may_be_made_twice_is() -> None:
    with script(lost, ok(True)) as server:
        assert server.http().call("Doing it", "POST", "/x", repeatable=True)
        assert server.pauses == [1]


def unused_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def test_a_change_is_repeated_while_nobody_listens() -> None:
    pauses: list[float] = []
    http = Http(f"http://127.0.0.1:{unused_port()}", API_KEY, sleep=pauses.append)
    with pytest.raises(UnreachableError, match=r"cannot be reached: .*refused. Look whether the server") as caught:
        http.call("Doing it", "POST", "/x")
    assert pauses == [1, 2, 4, 8] and not caught.value.sent


# What is waited for.


def slow(seconds: float, then: Handler) -> Handler:
    def handle(connection: Connection) -> None:
        connection.over.wait(seconds)
        then(connection)

    return handle


def test_a_patient_call_outwaits_the_timeout() -> None:
    with script(slow(0.25, ok("made"))) as server:
        assert server.http(timeout=0.1).call("Doing it", "POST", "/x", patient=True) == "made"


def test_an_ordinary_call_does_not() -> None:
    with script(slow(3, ok("made"))) as server:
        with pytest.raises(UnreachableError, match=r"stopped talking for 0\.1 s\.") as caught:
            server.http(timeout=0.1).call("Doing it", "POST", "/x")
        assert caught.value.sent


@pytest.mark.parametrize("status", [200, 500])
def test_patience_ends_when_the_answer_has_begun(status: int) -> None:
    def handle(connection: Connection) -> None:
        connection.say(status, b"{", length=50)
        connection.stall()

    with script(handle) as server:
        with pytest.raises(QdrantError):
            server.http(timeout=0.1).call("Doing it", "POST", "/x", patient=True)
        assert not server.requests[0].outwaited


def test_a_peer_that_the_kernel_gave_up_is_not_called_a_timeout_of_ours() -> None:
    def dead(sock: socket.socket) -> bool:
        raise TimeoutError(110, "Connection timed out")

    with (
        script(lost) as server,
        pytest.raises(UnreachableError) as caught,
        server.http().exchange("Doing it", "POST", "/x", {}, dead),
    ):
        pass
    assert "timed out" in str(caught.value) and "for 5 s" not in str(caught.value)


@pytest.mark.parametrize("broken", [BrokenPipeError, ConnectionResetError, ssl.SSLEOFError])
def test_an_answer_that_came_before_the_connection_broke_is_heard(broken: type[OSError]) -> None:
    def body(sock: socket.socket) -> bool:
        select.select([sock], [], [], 5)
        raise broken

    with (
        script(text(403, "Forbidden: Global manage access is required")) as server,
        pytest.raises(RefusedError, match="Global manage access is required"),
        server.http().exchange("Doing it", "POST", "/x", {}, body),
    ):
        pass


def test_a_dead_peer_is_noticed_within_two_minutes(monkeypatch: pytest.MonkeyPatch) -> None:
    options: dict[int, int] = {}
    original = socket.socket.setsockopt
    monkeypatch.setattr(
        socket.socket,
        "setsockopt",
        lambda self, level, name, value: (options.update({name: value}), original(self, level, name, value))[1],
    )
    with script(ok(True)) as server:
        server.http().call("Doing it", "GET", "/x")
    probes = options[socket.TCP_KEEPCNT] * options[socket.TCP_KEEPINTVL]
    assert options[socket.SO_KEEPALIVE] == 1 and options[socket.TCP_KEEPIDLE] + probes == 120


# Whom it talks to.


@pytest.mark.parametrize(
    "url",
    [
        "",
        "localhost:6333",
        "127.0.0.1",
        "ftp://127.0.0.1",
        "http://",
        "http:///x",
        "http://host:port",
        "http://host:99999",
        "http://[::1",
        "http://host/?a=b",
        "http://host/#a",
        "http://host/a b",
        f"http://{'a' * 64}.example",
        "http://a..example",
    ],
)
def test_what_is_no_url_of_a_server(url: str) -> None:
    with pytest.raises(QdrantError, match="is not the URL of a server"):
        Http(url)


@pytest.mark.parametrize(
    "url",
    [
        "http://admin:hunter2@host:6333",
        "http://:hunter2@host",
        "http://hunter2@host",
        "ftp://admin:hunter2@host",
        "http://admin:hunter2@host/?a=b",
        "http://admin:hunter2@host:port",
        "http://admin:hunter2@[::1",
    ],
)
def test_credentials_in_a_url_are_refused_and_not_shown(url: str) -> None:
    with pytest.raises(QdrantError) as caught:
        Http(url)
    assert "hunter2" not in str(caught.value)
    assert ("contains credentials" in str(caught.value)) is (not url.endswith("[::1"))


@pytest.mark.parametrize("key", ["hunter2\n", "hunter2\r\nX: y", "hunter2\x7f", "hunter2é"])
def test_a_key_that_no_header_can_carry_is_refused_and_not_shown(key: str) -> None:
    with pytest.raises(QdrantError, match="contains a line end") as caught:
        Http("http://127.0.0.1", key)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("timeout", [0, -1, float("nan")])
def test_a_timeout_has_to_be_one(timeout: float) -> None:
    with pytest.raises(QdrantError, match="timeout is"):
        Http("http://127.0.0.1", timeout=timeout)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Make a certificate for an address that signs itself, its key behind it; once for each."""
    directory = tmp_path_factory.mktemp("tls")

    def make(name: str, address: str = "127.0.0.1", password: str = "") -> Path:
        path = directory / name
        if not path.exists():
            argv = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-days", "2"]
            argv += ["-subj", f"/CN={name}", "-addext", f"subjectAltName=IP:{address}", "-out", str(path)]
            argv += ["-passout", f"pass:{password}"] if password else ["-nodes"]
            subprocess.run([*argv, "-keyout", f"{path}.key"], check=True, capture_output=True)
        return path

    return make


def serving(path: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path, f"{path}.key")
    return context


def test_a_server_signed_by_the_given_authority(certificate: Callable[..., Path]) -> None:
    ours = certificate("ours")
    with script(ok("hello"), context=serving(ours)) as server:
        assert server.http(tls=Tls(ca_path=str(ours))).call("Doing it", "GET", "/x") == "hello"


@pytest.mark.parametrize("ca", ["theirs", None])
def test_any_other_server_is_refused_at_once(certificate: Callable[..., Path], ca: str | None) -> None:
    with script(ok("hello"), context=serving(certificate("ours"))) as server:
        http = server.http(tls=Tls(ca_path=str(certificate(ca)) if ca else None))
        with pytest.raises(QdrantError, match=r"is not trusted: self.signed certificate\. Check ca_path"):
            http.call("Doing it", "GET", "/x")
        assert server.pauses == server.requests == []


def test_a_certificate_of_another_host_is_refused(certificate: Callable[..., Path]) -> None:
    other = certificate("other", "127.0.0.2")
    with (
        script(ok("hello"), context=serving(other)) as server,
        pytest.raises(QdrantError, match="is not trusted: IP address mismatch"),
    ):
        server.http(tls=Tls(ca_path=str(other))).call("Doing it", "GET", "/x")


def test_nothing_is_checked_if_nobody_wants_it(certificate: Callable[..., Path]) -> None:
    with script(ok("hello"), context=serving(certificate("other", "127.0.0.2"))) as server:
        assert server.http(tls=Tls(validate_certs=False)).call("Doing it", "GET", "/x") == "hello"


def test_a_certificate_of_our_own_is_shown(certificate: Callable[..., Path]) -> None:
    ours, client = certificate("ours"), certificate("client")
    context = serving(ours)
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(client)
    with script(ok("hello"), context=context) as server:
        tls = Tls(str(ours), str(client), f"{client}.key")
        assert server.http(tls=tls).call("Doing it", "GET", "/x") == "hello"
        with pytest.raises(QdrantError):
            server.http(tls=Tls(str(ours))).call("Doing it", "POST", "/x")


def test_tls_with_a_server_that_speaks_none_is_not_tried_again() -> None:
    with script(ok("hello")) as server:
        http = Http(server.url.replace("http:", "https:"), tls=Tls(validate_certs=False), sleep=server.pauses.append)
        with pytest.raises(QdrantError, match="no TLS connection to https://127"):
            http.call("Doing it", "GET", "/x")
        assert server.pauses == []


def test_tls_files_that_cannot_be_used_are_named(tmp_path: Path, certificate: Callable[..., Path]) -> None:
    garbage = tmp_path / "garbage.pem"
    garbage.write_text("garbage")
    locked = certificate("locked", password="secret")  # noqa: S106
    for tls in (
        Tls(ca_path="/nowhere/ca.pem"),
        Tls(ca_path=str(garbage)),
        Tls(client_cert=str(garbage)),
        Tls(client_cert=str(locked), client_key=f"{locked}.key"),
    ):
        with pytest.raises(QdrantError, match=f"TLS files {tls.ca_path or tls.client_cert}.* cannot be used"):
            Http("https://127.0.0.1", tls=tls)
    Http("http://127.0.0.1", tls=Tls(ca_path="/nowhere/ca.pem"))


def test_nobody_is_asked_for_the_password_of_a_key(monkeypatch: pytest.MonkeyPatch) -> None:
    """OpenSSL would ask on the terminal, and the run would stand still."""
    asked: list[str] = []

    def load(_context: ssl.SSLContext, _cert: str, _key: str, password: Callable[[], str]) -> None:
        asked.append(password())

    monkeypatch.setattr(ssl.SSLContext, "load_cert_chain", load)
    Http("https://127.0.0.1", tls=Tls(client_cert="cert", client_key="key"))
    assert asked == [""]
