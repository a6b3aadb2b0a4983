"""Is every dependency not only reachable but doing its work? One round trip through each, all at once."""

from __future__ import annotations

import asyncio
import secrets
import time
import uuid
from collections.abc import Awaitable, Callable
from typing import Any

from sqlalchemy import delete, insert, select

from . import settings, tasks
from .clients import Clients
from .database import Probe

TIMEOUT_S = 4.5
_CHECKS: dict[str, Callable[[Clients], Awaitable[None]]] = {}


class HealthMonitor:
    """Runs the checks; whoever asks while they run waits for the same answer, so nobody can flood five services."""

    def __init__(self, clients: Clients) -> None:
        self._clients = clients
        self._running: asyncio.Task[dict[str, Any]] | None = None

    async def report(self) -> dict[str, Any]:
        if self._running is None or self._running.done():
            self._running = asyncio.create_task(self._check_all())
        return await asyncio.shield(self._running)

    async def _check_all(self) -> dict[str, Any]:
        results = await asyncio.gather(*(self._check(check) for check in _CHECKS.values()))
        healthy = all(result["status"] == "ok" for result in results)
        return {
            "status": "ok" if healthy else "failed",
            "release": settings.RELEASE,
            "checks": dict(zip(_CHECKS, results, strict=True)),
        }

    async def _check(self, check: Callable[[Clients], Awaitable[None]]) -> dict[str, Any]:
        started = time.perf_counter()
        error = None
        try:
            async with asyncio.timeout(TIMEOUT_S) as deadline:
                await check(self._clients)
        except Exception as caught:  # whatever a dependency throws is its state, not a failure of this report
            error = f"no answer within {TIMEOUT_S} s" if deadline.expired() else _reason(caught)
        result = {"status": "failed" if error else "ok", "latency_ms": round((time.perf_counter() - started) * 1000, 1)}
        return {**result, "error": error} if error else result


def _reason(error: BaseException) -> str:
    lines = settings.redact(str(error)).strip().splitlines()
    return f"{type(error).__name__}: {lines[0][:200]}" if lines else type(error).__name__


def _checks(name: str) -> Callable[[Callable[[Clients], Awaitable[None]]], Callable[[Clients], Awaitable[None]]]:
    def register(check: Callable[[Clients], Awaitable[None]]) -> Callable[[Clients], Awaitable[None]]:
        _CHECKS[name] = check
        return check

    return register


def _expect(condition: bool, message: str) -> None:
    if not condition:
        raise RuntimeError(message)


@_checks("database")
async def _database(clients: Clients) -> None:
    probe = uuid.uuid4()
    async with clients.sessions.begin() as session:
        await session.execute(insert(Probe).values(id=probe))
    async with clients.sessions.begin() as session:
        found = await session.scalar(select(Probe.id).where(Probe.id == probe))
        await session.execute(delete(Probe).where(Probe.id == probe))
    _expect(found == probe, "a committed row was not found")


@_checks("cache")
async def _cache(clients: Clients) -> None:
    key, value = f"probe:{uuid.uuid4()}", secrets.token_hex(8)
    await clients.cache.set(key, value, ex=30)
    _expect(await clients.cache.getdel(key) == value, "a value just set was not found")


@_checks("queue")
async def _queue(clients: Clients) -> None:
    reply_key = f"probe:{uuid.uuid4()}"
    # Expires, so that the questions asked while no worker runs are not worked off when one comes back.
    await asyncio.to_thread(tasks.answer.apply_async, (reply_key,), expires=TIMEOUT_S)
    reply = await clients.broker.blpop([reply_key], timeout=TIMEOUT_S - 0.5)
    _expect(reply is not None, "the broker took the task, but no worker answered")


@_checks("vectors")
async def _vectors(clients: Clients) -> None:
    probe = uuid.uuid4()
    direction = [secrets.randbelow(2**16) / 2**15 - 1 for _ in range(8)]
    await clients.probes.upsert(probe, direction, {})
    try:
        found = await clients.probes.nearest(direction, limit=1)
    finally:
        await clients.probes.delete(probe)
    _expect(bool(found) and found[0][0] == probe, "a vector just stored was not found")


@_checks("objects")
async def _objects(clients: Clients) -> None:
    key, content = f"probes/{uuid.uuid4()}", secrets.token_bytes(64)
    await clients.objects.put(key, content)
    try:
        found = await clients.objects.get(key)
    finally:
        await clients.objects.remove(key)
    _expect(found == content, "an object just put was not found")
