"""In front of pebble and of the stand-in of Cloudflare's API: TLS, and the failures that tests ask for.

Pebble issues and judges; only its directory passes through here, so that single entries of it can lead elsewhere. The
one at /dir gives certificates for 90 days, the one at /seconds/dir for 90 seconds.

  PUT http://HOST:8080/faults {"directory": "busy"}        the directory answers 503
                              {"new_order": "limited"}     new orders are refused as if too many had been asked for
                              {"renewal_info": "now"}      the authority wants every certificate renewed now
                              {"renewal_info": "absent"}   the authority has no renewal information
  PUT … {}                                                 nothing of it any more
"""

from __future__ import annotations

import http.client
import json
import ssl
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from zone_api import ROOT, ZoneApi

PEBBLES = {"/dir": 14000, "/seconds/dir": 14001}
TRUST = ssl.create_default_context()
TRUST.check_hostname, TRUST.verify_mode = False, ssl.CERT_NONE
LIMITED = {
    "type": "urn:ietf:params:acme:error:rateLimited",
    "detail": "too many certificates (5) already issued for this exact set of identifiers in the last 168h0m0s, "
    "retry after 2026-12-01 12:00:00 UTC",
    "status": 429,
}
faults: dict[str, str] = {}


def directory(host: str, port: int) -> dict[str, Any]:
    connection = http.client.HTTPSConnection("127.0.0.1", port, timeout=10, context=TRUST)
    connection.request("GET", "/dir", headers={"Host": f"{host}:{port}"})
    entries: dict[str, Any] = json.load(connection.getresponse())
    connection.close()
    if faults.get("new_order"):
        entries["newOrder"] = f"https://{host}/new-order"
    if faults.get("renewal_info") == "absent":
        entries.pop("renewalInfo", None)
    elif faults.get("renewal_info"):
        entries["renewalInfo"] = f"https://{host}/renewal-info"
    return entries


def window() -> dict[str, Any]:
    """Passed already, so that whoever keeps to it renews at once."""
    moments = [time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - ago)) for ago in (7200, 3600)]
    return {"suggestedWindow": dict(zip(("start", "end"), moments, strict=True))}


class Handler(BaseHTTPRequestHandler):
    """Keeps a connection open, and answers in JSON."""

    protocol_version = "HTTP/1.1"

    def send(self, status: int, body: Any, **headers: str) -> None:
        content = json.dumps(body).encode()
        self.send_response(status)
        kind = "application/problem+json" if "detail" in body else "application/json"
        for name, value in {"Content-Type": kind, "Content-Length": str(len(content)), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def body(self) -> Any:
        content = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        return json.loads(content or b"{}")

    def log_message(self, form: str, *values: Any) -> None:
        print(self.command, self.path, *values[1:2])


class Front(Handler):
    api: ZoneApi

    def do_GET(self) -> None:
        body = self.body() if self.path.startswith(ROOT) else self.rfile.read(int(self.headers["Content-Length"] or 0))
        path, _, query = self.path.partition("?")
        if path.startswith(ROOT):
            token = self.headers.get("Authorization", "").removeprefix("Bearer ")
            self.send(*self.api.answer(self.command, path, query, token, body))
        elif path in PEBBLES and faults.get("directory"):
            self.send(
                503, {"detail": "The service is down for maintenance or had an internal error."}, Retry_After="60"
            )
        elif path in PEBBLES:
            self.send(200, directory(self.headers["Host"].partition(":")[0], PEBBLES[path]))
        elif path == "/new-order":
            self.send(429, LIMITED, Retry_After="3600", Replay_Nonce="bm9uY2U")
        elif path.startswith("/renewal-info"):
            self.send(200, window(), Retry_After="1")
        else:
            self.send(404, {"detail": "There is nothing here."})

    do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD = do_GET  # noqa: N815


class Control(Handler):
    def do_PUT(self) -> None:
        wanted = self.body()
        faults.clear()
        faults.update(wanted)
        self.send(200, faults)


def main(world: Path) -> None:
    settings = json.loads((world / "tokens.json").read_text())
    Front.api = ZoneApi(settings["tokens"], settings["zones"])
    threading.Thread(target=ThreadingHTTPServer(("", 8080), Control).serve_forever, daemon=True).start()
    server = ThreadingHTTPServer(("", 443), Front)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(world / "tls.crt", world / "tls.key")
    # The handshake is made in the thread of the connection: nobody who dawdles keeps the others out.
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    server.serve_forever()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
