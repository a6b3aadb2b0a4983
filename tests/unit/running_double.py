"""The test double of Qdrant, running in this process, and a client that shows its answers as they are."""

from __future__ import annotations

import contextlib
import http.client
import json
import sys
import threading
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "host" / "images" / "qdrant"))

from qdrant_double.connection import Connection
from qdrant_double.full import recover_at_start
from qdrant_double.node import Node
from qdrant_double.server import Server
from qdrant_double.settings import Settings

ROOT = Path(__file__).resolve().parents[2]
IMAGE = ROOT / "tests" / "host" / "images" / "qdrant"

__all__ = ["IMAGE", "ROOT", "Answer", "Connection", "Double", "Settings", "recover_at_start"]


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    content: bytes

    @property
    def kind(self) -> str:
        return self.headers.get("content-type", "").partition(";")[0]

    @property
    def text(self) -> str:
        return self.content.decode()

    @property
    def body(self) -> Any:
        return json.loads(self.content)

    @property
    def error(self) -> str:
        return str(self.body["status"]["error"])


@dataclass
class Double:
    settings: Settings
    server: Server = field(init=False)
    port: int = 0

    def start(self) -> None:
        self.server = Server(Node(self.settings))
        self.port = self.server.server_port
        threading.Thread(target=self.server.serve_forever, args=(0.01,)).start()

    def stop(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.server.node.storage.close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def ask(self, method: str, path: str, body: Any = None, key: str | None = "manage", **headers: str) -> Answer:
        """One request on a connection of its own. A body that is not bytes is sent as JSON."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        if body is not None and not isinstance(body, bytes):
            body = json.dumps(body).encode()
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        try:
            # Whoever refuses what he has not read to the end breaks off while it is sent; the answer may be there.
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                connection.request(method, path, body, sent | ({"api-key": key} if key else {}))
            answer = connection.getresponse()
            content = answer.read()
        finally:
            connection.close()
        return Answer(answer.status, {name.lower(): value for name, value in answer.headers.items()}, content)

    def result(self, method: str, path: str, body: Any = None, key: str = "manage") -> Any:
        answer = self.ask(method, path, body, key)
        assert answer.status == 200, answer.text
        assert answer.body["status"] == "ok"
        return answer.body["result"]

    def upload(self, path: str, content: bytes, filename: str = "given.snapshot", key: str = "manage") -> Answer:
        boundary = uuid.uuid4().hex
        head = f'--{boundary}\r\nContent-Disposition: form-data; name="snapshot"; filename="{filename}"\r\n\r\n'
        body = head.encode() + content + f"\r\n--{boundary}--\r\n".encode()
        return self.ask("POST", path, body, key, Content_Type=f"multipart/form-data; boundary={boundary}")

    def snapshot(self, collection: str) -> dict[str, Any]:
        return dict(self.result("POST", f"/collections/{collection}/snapshots"))

    def content(self, collection: str, snapshot: str) -> bytes:
        answer = self.ask("GET", f"/collections/{collection}/snapshots/{snapshot}")
        assert answer.status == 200, answer.text
        return answer.content

    def points(self, collection: str) -> list[dict[str, Any]]:
        body = {"with_vector": True, "limit": 10_000}
        return list(self.result("POST", f"/collections/{collection}/points/scroll", body)["points"])
