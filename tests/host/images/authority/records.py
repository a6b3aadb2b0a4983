"""The DNS server that answers with the zones' records: pebble-challtestsrv, told by its own interface."""

from __future__ import annotations

import http.client
import json


def tell(what: str, **body: object) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", 8055, timeout=10)
    connection.request("POST", f"/{what}", json.dumps(body))
    answer = connection.getresponse()
    if answer.status != 200:
        raise OSError(f"{what}: {answer.status} {answer.read()!r}")
    connection.close()


def publish(name: str, kind: str, contents: list[str]) -> None:
    """Answers to questions for this name and kind are these, from now on."""
    host = f"{name.rstrip('.')}."
    if kind == "TXT":
        tell("clear-txt", host=host)
        for content in contents:
            tell("set-txt", host=host, value=content.strip('"'))
    elif kind in ("A", "AAAA"):
        tell(f"clear-{kind.lower()}", host=host)
        if contents:
            tell(f"add-{kind.lower()}", host=host, addresses=contents)
    elif kind == "CNAME":
        tell("clear-cname", host=host)
        for content in contents:
            tell("set-cname", host=host, target=f"{content.rstrip('.')}.")
