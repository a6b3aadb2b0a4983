# Copyright (c) 2026, Somos Infra maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What may go wrong with a Qdrant server, told so that a person can act on it. Standard library only, no Ansible."""

from __future__ import annotations

import http.client

_HINTS = {
    401: "Check the API key: it is missing, or not one that the server knows.",
    403: "This needs the server's main API key, not the read-only one; or the server's configuration forbids it.",
    404: "Check the name; a collection's snapshots cannot be seen while the collection is absent.",
    408: "The server is busy. Try again later.",
    413: "A proxy between here and the server limits the size of a request. Talk to the server directly.",
    429: "The server limits the rate of requests. Try again later.",
    500: "Read the server's log; a full disk and a damaged snapshot both end like this.",
    502: "A proxy answers in the server's place. Look whether the server runs.",
    503: "The server is not ready. Wait until /readyz answers 200.",
    504: "A proxy gave up waiting for the server. Talk to the server directly.",
    507: "The server is out of storage or over a quota. Make room; nothing was changed.",
    **dict.fromkeys((301, 302, 303, 307, 308), "It sends whoever asks elsewhere. Use the URL of the server itself."),
}


class QdrantError(Exception):
    """What failed, on what, why, and what to do next: one readable text."""


class DamagedError(QdrantError):
    """What was received is not what the server said it would be."""


class LocalError(QdrantError):
    """A file on this host could not be read or written: the server is not to blame, and was told nothing."""


class UnreachableError(QdrantError):
    """The server could not be reached or stopped talking. *sent*: it may have got the whole request and be at work."""

    def __init__(self, message: str, *, sent: bool) -> None:
        super().__init__(message)
        self.sent = sent


class RefusedError(QdrantError):
    """The server answered with an error; *status* is the HTTP status code, *words* what the server said.

    *retry_after* is the number of seconds that it asks to wait for, if it does.
    """

    def __init__(self, what: str, url: str, status: int, words: str, retry_after: float | None = None) -> None:
        self.status = status
        self.words = words
        self.retry_after = retry_after
        hint = _HINTS.get(status)
        said = words.rstrip(".") or http.client.responses.get(status, "no explanation")
        super().__init__(f"{what} failed: {url} answered {status}: {said}.{f' {hint}' if hint else ''}")
