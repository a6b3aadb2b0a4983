"""Who may do what: three keys, and a few paths that need none."""

from __future__ import annotations

import hmac
from email.message import Message
from enum import IntEnum

from .errors import forbidden, unauthorized
from .settings import Settings


class Access(IntEnum):
    """What a route needs, and what a key gives."""

    NONE = 0
    READ = 1
    MANAGE = 2


def granted(settings: Settings, headers: Message) -> Access:
    """What the request's key gives; refused in plain text when it gives nothing."""
    levels = [
        (Access.MANAGE, settings.api_key),
        (Access.MANAGE, settings.alt_api_key),
        (Access.READ, settings.read_only_api_key),
    ]
    if not any(key for _, key in levels):
        return Access.MANAGE
    offered = headers.get("api-key") or headers.get("Authorization", "").removeprefix("Bearer ")
    if not offered:
        raise unauthorized("Must provide an API key or an Authorization bearer token")
    for level, key in levels:
        if key and hmac.compare_digest(offered.encode(), key.encode()):
            return level
    raise unauthorized("Invalid API key or JWT")


def require(given: Access, needed: Access) -> None:
    """Raise unless a key gives the access that a route needs."""
    if given < needed:
        raise forbidden("Global manage access is required")
