"""What the workers do. Each task opens what it needs: a forked child shares no connection with its parent."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Awaitable, Callable
from datetime import timedelta

from redis import Redis
from sqlalchemy import delete, func, update
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncSession

from . import settings
from .celery_app import app
from .database import Heartbeat, Project, single_use_engine

_KEEP_HEARTBEATS = timedelta(days=7)


@app.task
def answer(reply_key: str) -> None:
    """The health check's question: answered through the broker, so that no result backend is in the way."""
    url = settings.require("CELERY_BROKER_URL")
    with Redis.from_url(url, socket_connect_timeout=2, socket_timeout=5) as broker, broker.pipeline() as commands:
        commands.lpush(reply_key, 1).expire(reply_key, 30).execute()


@app.task
def heartbeat() -> None:
    async def work(session: AsyncSession) -> None:
        session.add(Heartbeat())
        await session.execute(delete(Heartbeat).where(Heartbeat.beat_at < func.now() - _KEEP_HEARTBEATS))

    _in_transaction(work)


@app.task(autoretry_for=(OSError, DBAPIError), retry_backoff=True, max_retries=8)
def announce_project(project_id: str) -> None:
    """Stands for the message to the client: the time it was sent is kept, once."""

    async def work(session: AsyncSession) -> None:
        await session.execute(
            update(Project)
            .where(Project.id == uuid.UUID(project_id), Project.announced_at.is_(None))
            .values(announced_at=func.now(), updated_at=Project.updated_at)
        )

    _in_transaction(work)


def _in_transaction(work: Callable[[AsyncSession], Awaitable[None]]) -> None:
    async def run() -> None:
        engine = single_use_engine()
        try:
            async with AsyncSession(engine) as session, session.begin():
                await work(session)
        finally:
            await engine.dispose()

    asyncio.run(run())
