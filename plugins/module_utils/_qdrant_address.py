# Copyright (c) 2026, Somos Infra maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where a Qdrant server is, and how it proves to be the one. Standard library only, no Ansible."""

from __future__ import annotations

import contextlib
import http.client
import re
import ssl
import urllib.parse
from dataclasses import dataclass

from ._qdrant_errors import QdrantError

_PORT = 6333


@dataclass(frozen=True)
class Tls:
    """How a server's certificate is checked: by a file of authorities or not at all; and a certificate of our own."""

    ca_path: str | None = None
    client_cert: str | None = None
    client_key: str | None = None
    validate_certs: bool = True

    def context(self) -> ssl.SSLContext:
        """Raises OSError (ssl.SSLError is one) for files that cannot be read."""
        context = ssl.create_default_context(cafile=self.ca_path)
        if not self.validate_certs:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        if self.client_cert:
            # An encrypted key is an error: nobody is there to be asked for its password.
            context.load_cert_chain(self.client_cert, self.client_key, password=lambda: "")
        return context


@dataclass(frozen=True)
class Address:
    """A server's URL, taken apart. *prefix* comes before every path; without a *context* there is no TLS."""

    url: str
    host: str
    port: int
    prefix: str
    context: ssl.SSLContext | None

    @classmethod
    def parse(cls, url: str, tls: Tls) -> Address:
        """Raises QdrantError, which never shows credentials, for what is no server's URL, or TLS files of no use."""
        shown = url.rpartition("@")[2]
        with contextlib.suppress(ValueError):  # of a port that is no number, a host that is none
            parts = urllib.parse.urlsplit(url)
            if "@" in parts.netloc:
                raise QdrantError(
                    f"The URL of {shown} contains credentials. Qdrant knows none; use the API key instead."
                )
            (parts.hostname or "").encode("idna")
            plain = re.fullmatch(r"[!-~]*", parts.path) and not parts.query and not parts.fragment
            if parts.scheme in ("http", "https") and parts.hostname and plain:
                context = _context(tls) if parts.scheme == "https" else None
                prefix = parts.path.rstrip("/")
                return cls(url.rstrip("/"), parts.hostname, parts.port or _PORT, prefix, context)
        raise QdrantError(f"{shown} is not the URL of a server; expected something like http://127.0.0.1:{_PORT}.")

    def connection(self, timeout: float) -> http.client.HTTPConnection:
        """Not yet connected. *timeout* in seconds."""
        if self.context is None:
            return http.client.HTTPConnection(self.host, self.port, timeout=timeout)
        return http.client.HTTPSConnection(self.host, self.port, timeout=timeout, context=self.context)


def _context(tls: Tls) -> ssl.SSLContext:
    try:
        return tls.context()
    except OSError as error:  # which does not say of which file
        files = ", ".join(filter(None, (tls.ca_path, tls.client_cert, tls.client_key)))
        raise QdrantError(f"The TLS files {files} cannot be used: {error.strerror or error}.") from error
