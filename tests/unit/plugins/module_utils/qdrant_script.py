"""A server that says what a test wrote down for it, connection by connection, bytes and all; and Qdrant's answers.

The answers have the shapes of Qdrant 1.19: what its handlers send, read in its source and its OpenAPI description.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.somos.infra.plugins.module_utils._qdrant import Client, Http

API_KEY = "the-secret-of-the-server"

VERSION = {"title": "qdrant - vector search engine", "version": "1.19.0", "commit": "74f3e85b"}
SNAPSHOT = {
    "name": "documents-3714892-2026-11-24-03-00-01.snapshot",
    "creation_time": "2026-11-24T03:00:01",
    "size": 35185664,
    "checksum": "b5bb9d8014a0f9b1d61e21e796d78dccdf1352f23cd32812f4850b878ae4944c",
}
COLLECTION = {
    "status": "green",
    "optimizer_status": "ok",
    "indexed_vectors_count": 0,
    "points_count": 41873,
    "segments_count": 8,
    "config": {
        "params": {
            "vectors": {"size": 4, "distance": "Cosine"},
            "shard_number": 1,
            "replication_factor": 1,
            "write_consistency_factor": 1,
            "on_disk_payload": True,
        },
        "hnsw_config": {"m": 16, "ef_construct": 100, "full_scan_threshold": 10000, "max_indexing_threads": 0},
        "optimizer_config": {"deleted_threshold": 0.2, "vacuum_min_vector_number": 1000, "flush_interval_sec": 5},
        "wal_config": {"wal_capacity_mb": 32, "wal_segments_ahead": 0},
        "quantization_config": None,
    },
    "payload_schema": {"language": {"data_type": "keyword", "points": 41873}},
}
ALIASES = {"aliases": [{"alias_name": "docs", "collection_name": "documents"}]}
CLUSTER = {
    "status": "enabled",
    "peer_id": 3714892,
    "peers": {"3714892": {"uri": "http://10.0.0.1:6335/"}, "3714893": {"uri": "http://10.0.0.2:6335/"}},
    "raft_info": {"term": 1, "commit": 12, "pending_operations": 0, "leader": 3714892, "role": "Leader"},
    "consensus_thread_status": {"consensus_thread_status": "working", "last_update": "2026-11-24T03:00:00Z"},
    "message_send_failures": {},
}


@dataclass
class Connection:
    """One connection, its request's head read."""

    sock: socket.socket
    over: threading.Event
    method: str = ""
    path: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    outwaited: bool = False
    _rest: bytes = b""

    def read_head(self) -> None:
        head = b""
        while b"\r\n\r\n" not in head:
            got = self.sock.recv(4096)
            if not got:
                return
            head += got
            if head[0] == 0x16:  # a TLS handshake, answered as a server that speaks none answers any garbage
                self.say(400)
                return
        lines, _, self._rest = head.partition(b"\r\n\r\n")
        first, *fields = lines.decode("latin-1").split("\r\n")
        self.method, self.path, _ = first.split(" ")
        self.headers = {name.lower(): value for name, _, value in (each.partition(": ") for each in fields)}

    def read_body(self, length: int | None = None) -> bytes:
        """All that was announced, or the first bytes of it."""
        length = int(self.headers.get("content-length", 0)) if length is None else length
        received = bytearray(self._rest)
        while len(received) < length and (got := self.sock.recv(1 << 20)):
            received += got
        self.body = self._rest = bytes(received)
        return self.body

    def say(self, status: int, content: bytes = b"", **headers: object) -> None:
        """`length` announces another length than that of the content; no other header is added."""
        length = headers.pop("length", len(content))
        head = [f"HTTP/1.1 {status} {http.client.responses.get(status, 'Odd')}", f"Content-Length: {length}"]
        head += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        self.sock.sendall("\r\n".join([*head, "", ""]).encode() + content)

    def json(self, status: int, value: object, **headers: object) -> None:
        self.say(status, json.dumps(value).encode(), **{"Content_Type": "application/json", **headers})

    def reset(self) -> None:
        """Close as a killed process or a firewall does."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()

    def stall(self) -> None:
        """Say and read nothing until the test is over; it should not take that long."""
        self.outwaited = not self.over.wait(10)


Handler = Callable[[Connection], None]


@dataclass
class Script:
    """The handlers, one a connection; the last one is for all further ones too."""

    handlers: tuple[Handler, ...]
    context: ssl.SSLContext | None = None
    requests: list[Connection] = field(default_factory=list)
    pauses: list[float] = field(default_factory=list)
    over: threading.Event = field(default_factory=threading.Event)
    listener: socket.socket = field(default_factory=lambda: socket.create_server(("127.0.0.1", 0)))

    def serve(self) -> None:
        with contextlib.suppress(OSError):  # of the listener's end
            while True:
                sock, _ = self.listener.accept()
                threading.Thread(target=self._serve_one, args=(sock,), daemon=True).start()

    def _serve_one(self, sock: socket.socket) -> None:
        # A client that gives up is part of many a test.
        with contextlib.suppress(ConnectionError, ssl.SSLError), sock:
            sock.settimeout(10)
            connection = Connection(
                self.context.wrap_socket(sock, server_side=True) if self.context else sock, self.over
            )
            with connection.sock:
                connection.read_head()
                if connection.method:
                    self.requests.append(connection)
                    self.handlers[min(len(self.requests), len(self.handlers)) - 1](connection)

    @property
    def url(self) -> str:
        return f"http{'s' if self.context else ''}://127.0.0.1:{self.listener.getsockname()[1]}"

    def http(self, **options: Any) -> Http:
        """A client that pauses in no time: `pauses` shows how long it would have."""
        options = {"api_key": API_KEY, "timeout": 5.0, "sleep": self.pauses.append, **options}
        return Http(self.url, options.pop("api_key"), **options)

    def client(self, **options: Any) -> Client:
        return Client(self.http(**options))

    def asked(self) -> list[str]:
        return [f"{request.method} {request.path}" for request in self.requests]


@contextlib.contextmanager
def script(*handlers: Handler, context: ssl.SSLContext | None = None) -> Iterator[Script]:
    serving = Script(handlers, context)
    thread = threading.Thread(target=serving.serve)
    thread.start()
    try:
        yield serving
    finally:
        serving.over.set()
        serving.listener.shutdown(socket.SHUT_RDWR)
        thread.join()
        serving.listener.close()


def ok(result: object, **headers: object) -> Handler:
    """As Qdrant answers what went well."""

    def handle(connection: Connection) -> None:
        connection.read_body()
        connection.json(200, {"result": result, "status": "ok", "time": 0.000312}, **headers)

    return handle


def error(status: int, words: str, **headers: object) -> Handler:
    """As most of its handlers answer what did not."""

    def handle(connection: Connection) -> None:
        connection.read_body()
        connection.json(status, {"status": {"error": words}, "time": 0.0}, **headers)

    return handle


def text(status: int, words: str = "", kind: str = "text/plain; charset=utf-8") -> Handler:
    """As authentication, downloads, unknown paths and proxies answer."""

    def handle(connection: Connection) -> None:
        connection.read_body()
        connection.say(status, words.encode(), Content_Type=kind)

    return handle


def lost(connection: Connection) -> None:
    """Close without a word, after the whole request."""
    connection.read_body()
