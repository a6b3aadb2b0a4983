"""The environment, read where it is needed: the beat scheduler has no database, Flower has no object storage."""

from __future__ import annotations

import os
from urllib.parse import unquote, urlsplit

RELEASE = os.environ.get("APP_RELEASE", "unknown")
BUCKET = os.environ.get("MINIO_BUCKET", "somos")
# Named, so that presigning asks no server for the bucket's region: the public URL may be unreachable from here.
REGION = os.environ.get("MINIO_REGION", "us-east-1")
POOL_SIZE = int(os.environ.get("DATABASE_POOL_SIZE", "5"))

WORKER_HEARTBEAT = "/tmp/worker-alive"  # noqa: S108  /tmp is the only place a read-only container can write to
BEAT_HEARTBEAT = "/tmp/beat-alive"  # noqa: S108

_URLS = ("DATABASE_URL", "REDIS_URL", "CELERY_BROKER_URL")
_SECRETS = ("QDRANT_API_KEY", "MINIO_ACCESS_KEY", "MINIO_SECRET_KEY", "SECRET_KEY")


def require(name: str) -> str:
    value = os.environ.get(name, "")
    if not value:
        raise RuntimeError(f"environment variable {name} is not set")
    return value


def redact(text: str) -> str:
    """The text without any secret of this environment: an error may quote the URL or key it failed with."""
    for secret in sorted(_secrets(), key=len, reverse=True):
        text = text.replace(secret, "***")
    return text


def _secrets() -> set[str]:
    found = {os.environ.get(name, "") for name in _SECRETS}
    for name in _URLS:
        password = urlsplit(os.environ.get(name, "")).password or ""
        found |= {password, unquote(password)}
    return found - {""}
