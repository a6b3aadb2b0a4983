"""Who may do what: two keys, and a few paths that need none."""

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


def require(settings: Settings, headers: Message, needed: Access) -> None:
    """Raise unless the request's key gives the access that its route needs."""
    if needed is Access.NONE or _given(settings, headers) >= needed:
        return
    raise forbidden("Global manage access is required")


def _given(settings: Settings, headers: Message) -> Access:
    levels = {Access.MANAGE: settings.api_key, Access.READ: settings.read_only_api_key}
    if not any(levels.values()):
        return Access.MANAGE
    offered = headers.get("api-key") or headers.get("Authorization", "").removeprefix("Bearer ")
    if not offered:
        raise unauthorized("Must provide an API key or an Authorization bearer token")
    for level, key in levels.items():
        if key and hmac.compare_digest(offered.encode(), key.encode()):
            return level
    raise unauthorized("Invalid API key or JWT")
