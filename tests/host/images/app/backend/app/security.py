"""Passwords (scrypt, standard library) and access tokens (signed with SECRET_KEY)."""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
import uuid

from itsdangerous import BadData, URLSafeTimedSerializer

from . import settings

TOKEN_LIFETIME_S = 8 * 3600
_COST = {"n": 2**14, "r": 8, "p": 1}


def hash_password(password: str) -> str:
    salt = secrets.token_bytes(16)
    digest = hashlib.scrypt(password.encode(), salt=salt, **_COST)
    return f"{base64.b64encode(salt).decode()}${base64.b64encode(digest).decode()}"


# An unknown user costs as long to refuse as a wrong password: the answer's time must not tell which names exist.
_NOBODY = hash_password(secrets.token_hex())


def verify_password(password: str, stored: str | None) -> bool:
    salt, digest = (base64.b64decode(part) for part in (stored or _NOBODY).split("$"))
    given = hashlib.scrypt(password.encode(), salt=salt, **_COST)
    return hmac.compare_digest(given, digest) and stored is not None


def issue_token(user: uuid.UUID) -> str:
    token = _serializer().dumps(str(user))
    return token if isinstance(token, str) else token.decode()


def user_of_token(token: str) -> uuid.UUID | None:
    try:
        return uuid.UUID(_serializer().loads(token, max_age=TOKEN_LIFETIME_S))
    except (BadData, ValueError):
        return None


def _serializer() -> URLSafeTimedSerializer:
    return URLSafeTimedSerializer(settings.require("SECRET_KEY"), salt="access-token")
