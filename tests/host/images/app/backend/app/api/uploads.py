"""Media go from the browser straight to the object storage: this only signs the URLs."""

from __future__ import annotations

import uuid
from datetime import timedelta
from typing import Annotated

from fastapi import APIRouter
from pydantic import BaseModel, StringConstraints

from ..clients import ClientsDep
from .auth import CurrentUser

router = APIRouter(prefix="/api/v1/uploads", tags=["uploads"])
_LIFETIME = timedelta(minutes=15)


class UploadIn(BaseModel):
    filename: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-][A-Za-z0-9._-]{0,99}$")]


class UploadOut(BaseModel):
    key: str
    put_url: str
    get_url: str
    expires_in: int


@router.post("", status_code=201)
async def create_upload(upload: UploadIn, clients: ClientsDep, _user: CurrentUser) -> UploadOut:
    key = f"uploads/{uuid.uuid4()}/{upload.filename}"
    await clients.objects.ensure_bucket()
    put_url, get_url = clients.objects.presigned(key, _LIFETIME)
    return UploadOut(key=key, put_url=put_url, get_url=get_url, expires_in=int(_LIFETIME.total_seconds()))
