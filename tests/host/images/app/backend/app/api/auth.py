"""Who is asking."""

from __future__ import annotations

import asyncio
import uuid
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, HTTPException
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from pydantic import BaseModel, StringConstraints
from sqlalchemy import select

from .. import security
from ..clients import ClientsDep
from ..database import User

router = APIRouter(prefix="/api/v1/auth", tags=["auth"])
_bearer = HTTPBearer(auto_error=False)


class Login(BaseModel):
    username: Annotated[str, StringConstraints(min_length=1, max_length=100)]
    password: Annotated[str, StringConstraints(min_length=1, max_length=1000)]


class Token(BaseModel):
    access_token: str
    token_type: Literal["bearer"] = "bearer"  # noqa: S105  the scheme's name
    expires_in: int = security.TOKEN_LIFETIME_S


@router.post("/login")
async def login(credentials: Login, clients: ClientsDep) -> Token:
    async with clients.sessions() as session:
        user = await session.scalar(select(User).where(User.username == credentials.username))
    stored = user.password_hash if user else None
    # In a thread: deriving the key takes tens of milliseconds, in which this process could answer nobody else.
    correct = await asyncio.to_thread(security.verify_password, credentials.password, stored)
    if user is None or not correct:
        raise HTTPException(401, "unknown user or wrong password")
    return Token(access_token=security.issue_token(user.id))


async def _current_user(
    clients: ClientsDep, credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]
) -> uuid.UUID:
    user_id = security.user_of_token(credentials.credentials) if credentials else None
    if user_id is not None:
        async with clients.sessions() as session:
            if await session.get(User, user_id) is not None:
                return user_id
    raise HTTPException(401, "log in first", headers={"WWW-Authenticate": "Bearer"})


CurrentUser = Annotated[uuid.UUID, Depends(_current_user)]
