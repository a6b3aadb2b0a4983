"""A stand-in of Cloudflare's API, version 4: the check of a token, zones, and DNS records. It is not Cloudflare.

A name that is `proxied` is answered with the record's own address, since there is no network in front of it here.
Records are forgotten when the container ends.
"""

from __future__ import annotations

import ipaddress
import secrets
import threading
from datetime import datetime, timezone
from typing import Any
from urllib.parse import parse_qs

import records

KINDS = ("A", "AAAA", "CNAME", "TXT")
ROOT = "/client/v4"


class RefusedError(Exception):
    """An answer that says no, in Cloudflare's words and numbers."""

    def __init__(self, status: int, code: int, message: str) -> None:
        super().__init__(message)
        self.status, self.error = status, {"code": code, "message": message}


class ZoneApi:
    """`tokens`: what may be done by whom, for instance {"edit": "…", "read": "…"}; `zones`: their names."""

    def __init__(self, tokens: dict[str, str], zones: list[str]) -> None:
        self.tokens = tokens
        self.zones = {secrets.token_hex(16): name for name in zones}
        self.records: dict[str, dict[str, Any]] = {}
        self.lock = threading.Lock()

    def answer(
        self, method: str, path: str, query: str, token: str, body: dict[str, Any]
    ) -> tuple[int, dict[str, Any]]:
        """Status and body of what the API answers to a request."""
        try:
            with self.lock:
                self._admit(token, method)
                asked = {key: values[-1] for key, values in parse_qs(query).items()}
                result = self._dispatch(method, path.removeprefix(ROOT).strip("/").split("/"), asked, body)
        except RefusedError as refused:
            return refused.status, {"success": False, "errors": [refused.error], "messages": [], "result": None}
        found: dict[str, Any] = {"success": True, "errors": [], "messages": [], "result": result}
        if isinstance(result, list):
            found |= self._page(result, asked)
        return 200, found

    def _admit(self, token: str, method: str) -> None:
        if token not in self.tokens.values():
            raise RefusedError(403, 9109, "Invalid access token")
        if method != "GET" and token != self.tokens["edit"]:
            raise RefusedError(403, 10000, "Authentication error")

    @staticmethod
    def _page(result: list[Any], asked: dict[str, str]) -> dict[str, Any]:
        size, page = int(asked.get("per_page", 100)), int(asked.get("page", 1))
        part = result[(page - 1) * size : page * size]
        pages = -(-len(result) // size)
        info = {"page": page, "per_page": size, "count": len(part), "total_count": len(result), "total_pages": pages}
        return {"result": part, "result_info": info}

    def _dispatch(self, method: str, parts: list[str], asked: dict[str, str], body: dict[str, Any]) -> Any:
        match method, parts:
            case "GET", ["user", "tokens", "verify"]:
                return {"id": secrets.token_hex(16), "status": "active"}
            case "GET", ["zones"]:
                return [self._zone(key) for key, name in self.zones.items() if asked.get("name", name) == name]
            case "GET", ["zones", zone]:
                return self._zone(zone)
            case "GET", ["zones", zone, "dns_records"]:
                self._zone(zone)
                return [record for record in self.records.values() if self._matches(record, zone, asked)]
            case "POST", ["zones", zone, "dns_records"]:
                return self._save(secrets.token_hex(16), zone, body)
            case "GET", ["zones", zone, "dns_records", key]:
                return self._record(zone, key)
            case "PUT", ["zones", zone, "dns_records", key]:
                self._record(zone, key)
                return self._save(key, zone, body)
            case "PATCH", ["zones", zone, "dns_records", key]:
                return self._save(key, zone, self._record(zone, key) | body)
            case "DELETE", ["zones", zone, "dns_records", key]:
                old = self._record(zone, key)
                del self.records[key]
                self._publish(old)
                return {"id": key}
        raise RefusedError(404, 7003, "Could not route to the address, perhaps your object identifier is invalid?")

    def _zone(self, key: str) -> dict[str, Any]:
        if key not in self.zones:
            raise RefusedError(
                404, 7003, f"Could not route to /zones/{key}, perhaps your object identifier is invalid?"
            )
        return {"id": key, "name": self.zones[key], "status": "active", "paused": False, "type": "full"}

    def _record(self, zone: str, key: str) -> dict[str, Any]:
        self._zone(zone)
        record = self.records.get(key)
        if record is None or record["zone_id"] != zone:
            raise RefusedError(404, 81044, "Record does not exist.")
        return record

    @staticmethod
    def _matches(record: dict[str, Any], zone: str, asked: dict[str, str]) -> bool:
        wanted = {key.partition(".")[0]: value for key, value in asked.items() if key not in ("page", "per_page")}
        shown = {"type": record["type"], "name": record["name"], "content": record["content"]}
        shown["proxied"] = str(record["proxied"]).lower()
        return record["zone_id"] == zone and all(shown.get(key, value) == value for key, value in wanted.items())

    def _save(self, key: str, zone: str, body: dict[str, Any]) -> dict[str, Any]:
        suffix = self._zone(zone)["name"]
        kind, name, content = (str(body.get(part, "")) for part in ("type", "name", "content"))
        if kind not in KINDS:
            raise RefusedError(400, 9000, f"DNS record type '{kind}' is not one that this stand-in knows.")
        name = suffix if name == "@" else name.rstrip(".").lower()
        if name != suffix and not name.endswith(f".{suffix}"):
            name = f"{name}.{suffix}"
        self._check(kind, content, body)
        old = self.records.get(key)
        same = [one["type"] == kind and one["name"] == name and one["content"] == content for one in self._others(key)]
        if any(same):
            raise RefusedError(400, 81058, "An identical record already exists.")
        now = datetime.now(timezone.utc).isoformat()
        proxied = bool(body.get("proxied", False))
        self.records[key] = {
            **{"id": key, "zone_id": zone, "zone_name": suffix, "name": name, "type": kind, "content": content},
            **{"proxiable": kind != "TXT", "proxied": proxied, "ttl": 1 if proxied else int(body.get("ttl", 1))},
            **{"comment": body.get("comment"), "tags": body.get("tags", []), "settings": {}, "meta": {}},
            **{"created_on": old["created_on"] if old else now, "modified_on": now},
        }
        if old:
            self._publish(old)
        self._publish(self.records[key])
        return self.records[key]

    def _others(self, key: str) -> list[dict[str, Any]]:
        return [record for other, record in self.records.items() if other != key]

    @staticmethod
    def _check(kind: str, content: str, body: dict[str, Any]) -> None:
        version = {"A": 4, "AAAA": 6}.get(kind)
        if version:
            try:
                fits = ipaddress.ip_address(content).version == version
            except ValueError:
                fits = False
            if not fits:
                raise RefusedError(
                    400,
                    9005 if version == 4 else 9006,
                    f"Content for {kind} record must be a valid IPv{version} address.",
                )
        if not content:
            raise RefusedError(400, 9005, f"Content for {kind} record is missing.")
        if kind == "TXT" and body.get("proxied"):
            raise RefusedError(400, 9004, "This record type cannot be proxied.")
        ttl = int(body.get("ttl", 1))
        if ttl != 1 and not 60 <= ttl <= 86400:
            raise RefusedError(400, 9021, "Invalid TTL. Must be between 60 and 86400 seconds, or 1 for Automatic.")

    def _publish(self, record: dict[str, Any]) -> None:
        """What the DNS answers for the record's name and kind, after a change of it."""
        like = [one for one in self.records.values() if (one["name"], one["type"]) == (record["name"], record["type"])]
        records.publish(record["name"], record["type"], [one["content"] for one in like])
