"""S3: objects of one bucket, and presigned URLs under the public address."""

from __future__ import annotations

import asyncio
import io
from datetime import timedelta
from urllib.parse import urlsplit

import urllib3
from minio import Minio
from minio.error import S3Error

from . import settings

_MISSING = {"NoSuchKey", "NoSuchBucket"}


class Objects:
    def __init__(self) -> None:
        # A dead endpoint is reported at once; the client's own five retries would outlive the caller.
        self._pool = urllib3.PoolManager(
            timeout=urllib3.Timeout(connect=2, read=4), retries=urllib3.Retry(total=1, backoff_factor=0.1), maxsize=10
        )
        self._client = self._connect(settings.require("MINIO_ENDPOINT"), secure=False)
        public = urlsplit(settings.require("MINIO_PUBLIC_URL"))
        self._public = self._connect(public.netloc, secure=public.scheme == "https")

    def _connect(self, endpoint: str, secure: bool) -> Minio:
        return Minio(
            endpoint,
            access_key=settings.require("MINIO_ACCESS_KEY"),
            secret_key=settings.require("MINIO_SECRET_KEY"),
            secure=secure,
            region=settings.REGION,
            http_client=self._pool,
        )

    async def put(self, key: str, content: bytes, content_type: str = "application/octet-stream") -> None:
        try:
            await asyncio.to_thread(self._put, key, content, content_type)
        except S3Error as error:
            if error.code != "NoSuchBucket":
                raise
            await self.ensure_bucket()
            await asyncio.to_thread(self._put, key, content, content_type)

    async def get(self, key: str) -> bytes | None:
        return await asyncio.to_thread(self._get, key)

    async def remove(self, key: str) -> None:
        await asyncio.to_thread(self._client.remove_object, settings.BUCKET, key)

    async def ensure_bucket(self) -> None:
        await asyncio.to_thread(self._ensure_bucket)

    def presigned(self, key: str, lifetime: timedelta) -> tuple[str, str]:
        """(PUT URL, GET URL), computed here: no request is made."""
        return (
            self._public.presigned_put_object(settings.BUCKET, key, lifetime),
            self._public.presigned_get_object(settings.BUCKET, key, lifetime),
        )

    def close(self) -> None:
        self._pool.clear()

    def _put(self, key: str, content: bytes, content_type: str) -> None:
        self._client.put_object(settings.BUCKET, key, io.BytesIO(content), len(content), content_type)

    def _get(self, key: str) -> bytes | None:
        try:
            response = self._client.get_object(settings.BUCKET, key)
        except S3Error as error:
            if error.code in _MISSING:
                return None
            raise
        try:
            return bytes(response.read())
        finally:
            response.close()
            response.release_conn()

    def _ensure_bucket(self) -> None:
        if self._client.bucket_exists(settings.BUCKET):
            return
        try:
            self._client.make_bucket(settings.BUCKET)
        except S3Error as error:
            if error.code not in {"BucketAlreadyOwnedByYou", "BucketAlreadyExists"}:  # another process was faster
                raise
