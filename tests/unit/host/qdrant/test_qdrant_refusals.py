"""What the double refuses, with the server's status and words, and in the server's form: JSON or plain text."""

from __future__ import annotations

import socket
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from running_double import Double, Settings

SNAPSHOTS = "/collections/texts/snapshots"
UPLOAD = f"{SNAPSHOTS}/upload"
RECOVER = f"{SNAPSHOTS}/recover"
WRONG = "0" * 64


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_snapshots_of_an_absent_collection(double: Double, method: str) -> None:
    answer = double.ask(method, SNAPSHOTS)
    assert (answer.status, answer.error) == (404, "Not found: Collection `texts` doesn't exist!")


@pytest.mark.parametrize("name", ["absent.snapshot", "..", "..%2F..%2Fetc%2Fpasswd", "%2Fetc%2Fpasswd"])
def test_a_snapshot_that_is_not_there(filled: Double, name: str) -> None:
    download = filled.ask("GET", f"{SNAPSHOTS}/{name}")
    assert (download.status, download.kind) == (404, "text/plain")
    assert download.text.startswith("Not found: Snapshot")
    assert filled.ask("DELETE", f"{SNAPSHOTS}/{name}").error.startswith("Not found: Snapshot")
    assert filled.ask("GET", f"/snapshots/{name}").status == filled.ask("DELETE", f"/snapshots/{name}").status == 404


def test_downloads_of_an_absent_collection_are_refused_in_plain_text(double: Double) -> None:
    answer = double.ask("GET", f"{SNAPSHOTS}/any.snapshot")
    assert (answer.status, answer.kind) == (404, "text/plain")
    assert answer.text == "Not found: Collection `texts` doesn't exist!"


@pytest.mark.parametrize(
    ("location", "status", "reason"),
    [
        ("nowhere", 400, "Format error in JSON body: location: relative URL without a base"),
        ("ftp://host/x", 400, "Bad request: URL ftp://host/x with scheme ftp is not supported"),
        ("file://host/x", 400, "Bad request: Invalid snapshot URI, file path must be absolute or on localhost"),
        ("file:///absent", 400, 'Bad request: Snapshot file "/absent" does not exist'),
        ("file://localhost/absent", 400, 'Bad request: Snapshot file "/absent" does not exist'),
        ("file:///etc/passwd", 403, "Forbidden: Snapshot file path must be inside the snapshots directory"),
        ("http://127.0.0.1:1/x", 500, "Service internal error: Http request error"),
    ],
)
def test_locations_that_nothing_comes_from(filled: Double, location: str, status: int, reason: str) -> None:
    answer = filled.ask("PUT", RECOVER, {"location": location})
    assert answer.status == status
    assert answer.error.startswith(reason)


def test_a_symbolic_link_does_not_lead_out_of_the_snapshots(filled: Double, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret")
    (filled.settings.snapshots_path / "link").symlink_to(tmp_path / "secret")
    assert filled.ask("PUT", RECOVER, {"location": (filled.settings.snapshots_path / "link").as_uri()}).status == 403


def test_a_source_that_has_no_such_snapshot(filled: Double) -> None:
    location = f"{filled.url}{SNAPSHOTS}/absent.snapshot"
    answer = filled.ask("PUT", RECOVER, {"location": location, "api_key": "read"})
    reason = f"Wrong input: Failed to download tar from {location}: status - 404 Not Found"
    assert (answer.status, answer.error) == (400, reason)


def test_urls_can_be_switched_off(settings: Settings, start: Callable[[Settings], Double]) -> None:
    double = start(replace(settings, enable_snapshot_url_recovery=False))
    answer = double.ask("PUT", RECOVER, {"location": "http://127.0.0.1:1/x"})
    reason = "Forbidden: Snapshot recovery from remote URLs is disabled in the configuration"
    assert (answer.status, answer.error) == (403, reason)
    assert double.ask("PUT", RECOVER, {"location": "file:///absent"}).status == 400


@pytest.mark.parametrize("key", ["read", "wrong", None])
def test_an_upload_is_refused_before_its_body_is_read(double: Double, key: str | None) -> None:
    head = f"POST {UPLOAD} HTTP/1.1\r\nHost: x\r\nContent-Length: {1 << 40}\r\n" + (
        f"api-key: {key}\r\n" if key else ""
    )
    with socket.create_connection(("127.0.0.1", double.port), timeout=5) as connection:
        connection.sendall(f"{head}\r\n".encode())
        answer = b"".join(iter(lambda: connection.recv(4096), b"")).decode()
    assert answer.startswith("HTTP/1.1 403" if key == "read" else "HTTP/1.1 401")
    assert "Content-Type: text/plain" in answer
    assert "Connection: close" in answer


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", SNAPSHOTS, None),
        ("DELETE", f"{SNAPSHOTS}/x.snapshot", None),
        ("PUT", RECOVER, {"location": "file:///x"}),
        ("POST", "/snapshots", None),
        ("DELETE", "/snapshots/x.snapshot", None),
    ],
)
def test_the_read_only_key_changes_no_snapshots(filled: Double, method: str, path: str, body: Any) -> None:
    answer = filled.ask(method, path, body, key="read")
    assert (answer.status, answer.error) == (403, "Forbidden: Global manage access is required")
    # Nobody who does not wait is told.
    assert filled.ask(method, f"{path}?wait=false", body, key="read").status == 202
    assert filled.result("GET", SNAPSHOTS) == []


def test_the_read_only_key_reads_snapshots(filled: Double) -> None:
    name = filled.snapshot("texts")["name"]
    assert filled.result("GET", SNAPSHOTS, key="read")[0]["name"] == name
    assert filled.ask("GET", f"{SNAPSHOTS}/{name}", key="read").status == 200


@pytest.mark.parametrize("method", ["HEAD", "PATCH"])
def test_methods_that_there_are_none_of(filled: Double, method: str) -> None:
    answer = filled.ask(method, f"{SNAPSHOTS}/{filled.snapshot('texts')['name']}")
    assert (answer.status, answer.content) == (404, b"")


def test_a_body_that_is_too_large(filled: Double, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("qdrant_double.body.LIMIT", 1000)
    answer = filled.ask("PUT", "/collections/texts/points", {"points": ["x" * 1000]})
    assert answer.status == 400
    assert "is larger than allowed (limit: 1000 bytes)" in answer.error
