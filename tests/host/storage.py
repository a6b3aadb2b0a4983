"""The S3 endpoint outside as a test sees it: a bucket made empty, its objects listed and read as they lie there."""

from __future__ import annotations

import hashlib
import hmac
import json
import ssl
import urllib.error
import urllib.parse
import urllib.request
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from datetime import datetime, timezone

from .names import CA, OUTSIDE_IP, OUTSIDE_JSON, S3_ENDPOINT
from .shell import HostError

# By its address: the machine does not know its name.
HOST = f"{OUTSIDE_IP}:{S3_ENDPOINT.partition(':')[2]}"
NOTHING = hashlib.sha256(b"").hexdigest()
PAGE = 1000


class Bucket:
    """One bucket, with the keys of build/demo/outside.json."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._access = json.loads(OUTSIDE_JSON.read_text())
        self._trust = ssl.create_default_context(cafile=str(CA))

    def exists(self) -> bool:
        """Whether it is there, with or without objects."""
        try:
            self._request("HEAD")
        except urllib.error.HTTPError as error:
            if error.code != 404:
                raise
            return False
        return True

    def make_empty(self) -> None:
        """There, and without an object, whatever was there before. Removed first: SeaweedFS remembers empty folders."""
        try:
            for key in list(self.keys()):
                self._request("DELETE", key)
            self._request("DELETE")
        except urllib.error.HTTPError as error:
            if error.code != 404:
                raise
        self._request("PUT")

    def keys(self) -> Iterator[str]:
        """The names of all objects."""
        query = {"list-type": "2", "max-keys": str(PAGE)}
        while True:
            page = ET.fromstring(self._request("GET", query=query))  # noqa: S314 (our own server's answer)
            space = page.tag.rpartition("}")[0] + "}"
            yield from (str(key.text) for key in page.iter(f"{space}Key"))
            token = page.findtext(f"{space}NextContinuationToken")
            if not token:
                return
            query["continuation-token"] = token

    def read(self, key: str) -> bytes:
        """What whoever gets hold of the bucket would see of the object."""
        return self._request("GET", key)

    def _request(self, method: str, key: str = "", query: dict[str, str] | None = None) -> bytes:
        path = urllib.parse.quote(f"/{self.name}/{key}" if key else f"/{self.name}")
        arguments = urllib.parse.urlencode(sorted((query or {}).items()), quote_via=urllib.parse.quote)
        headers = signed(method, path, arguments, self._access, datetime.now(timezone.utc))
        request = urllib.request.Request(f"https://{HOST}{path}?{arguments}", method=method, headers=headers)
        try:
            with urllib.request.urlopen(request, context=self._trust, timeout=30) as answer:  # noqa: S310
                return bytes(answer.read())
        except urllib.error.HTTPError:
            raise
        except OSError as error:
            raise HostError(f"the S3 endpoint at {HOST} does not answer: {error}") from error


def signed(method: str, path: str, arguments: str, access: dict[str, str], now: datetime) -> dict[str, str]:
    """The headers of a request without a body, signed as AWS Signature Version 4 has it."""
    time, day = now.strftime("%Y%m%dT%H%M%SZ"), now.strftime("%Y%m%d")
    scope = f"{day}/us-east-1/s3/aws4_request"
    headers = {"host": HOST, "x-amz-content-sha256": NOTHING, "x-amz-date": time}
    names = ";".join(headers)
    canonical = "\n".join(
        [method, path, arguments, *(f"{name}:{value}" for name, value in headers.items()), "", names, NOTHING]
    )
    text = "\n".join(["AWS4-HMAC-SHA256", time, scope, hashlib.sha256(canonical.encode()).hexdigest()])
    key = f"AWS4{access['secret_key']}".encode()
    for part in scope.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    signature = hmac.digest(key, text.encode(), "sha256").hex()
    credential = f"Credential={access['access_key']}/{scope}, SignedHeaders={names}, Signature={signature}"
    return {"Authorization": f"AWS4-HMAC-SHA256 {credential}", **headers}
