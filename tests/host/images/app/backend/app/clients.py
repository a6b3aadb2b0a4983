"""Every dependency of a web process: opened when it starts, closed when it ends."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker

from . import database, settings, vectors
from .objects import Objects
from .vectors import Vectors


@dataclass(frozen=True)
class Clients:
    engine: AsyncEngine
    sessions: async_sessionmaker[AsyncSession]
    cache: Redis
    broker: Redis
    objects: Objects
    projects: Vectors
    probes: Vectors


@asynccontextmanager
async def opened() -> AsyncIterator[Clients]:
    engine = database.pooled_engine()
    # A cache that is slower than the database is no help. The broker's one blocking command waits for a task's answer.
    cache, broker = _redis("REDIS_URL", timeout=1), _redis("CELERY_BROKER_URL", timeout=5)
    objects = Objects()
    try:
        async with vectors.http_client() as http:
            yield Clients(
                engine=engine,
                sessions=async_sessionmaker(engine, expire_on_commit=False),
                cache=cache,
                broker=broker,
                objects=objects,
                projects=Vectors(http, "projects"),
                probes=Vectors(http, "probes"),
            )
    finally:
        objects.close()
        await cache.aclose()
        await broker.aclose()
        await engine.dispose()


def _redis(variable: str, timeout: float) -> Redis:
    return Redis.from_url(
        settings.require(variable),
        decode_responses=True,
        socket_connect_timeout=1,
        socket_timeout=timeout,
        # Once more, at once: after a restart of the server every pooled connection is dead.
        retry=Retry(NoBackoff(), 1, supported_errors=(RedisConnectionError,)),
    )


def _of_request(request: Request) -> Clients:
    clients: Clients = request.app.state.clients
    return clients


ClientsDep = Annotated[Clients, Depends(_of_request)]
