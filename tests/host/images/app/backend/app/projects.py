"""A project is a row, a vector and an object. The row is the truth: it is written last and deleted first."""

from __future__ import annotations

import asyncio
import logging
import uuid
from datetime import datetime
from enum import StrEnum
from typing import Annotated

from pydantic import BaseModel, ConfigDict, StringConstraints, TypeAdapter
from redis import RedisError
from sqlalchemy import select

from . import tasks
from .clients import Clients
from .database import Project
from .vectors import embed

log = logging.getLogger(__name__)

_CACHE_KEY = "projects:list"
_CACHE_S = 5

_Line = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200)]


class Status(StrEnum):
    PLANNING = "planning"
    PRODUCTION = "production"
    DELIVERED = "delivered"


class ProjectIn(BaseModel):
    title: _Line
    client: _Line
    status: Status = Status.PLANNING
    brief: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=20_000)]


class ProjectOut(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    id: uuid.UUID
    title: str
    client: str
    status: Status
    created_at: datetime
    updated_at: datetime
    announced_at: datetime | None


class ProjectDetail(ProjectOut):
    brief: str | None
    similar: list[ProjectOut]


class Match(ProjectOut):
    score: float


_LIST = TypeAdapter(list[ProjectOut])


async def recent(clients: Clients, limit: int) -> list[ProjectOut]:
    """The newest projects, at most a few seconds old; without the cache, straight from the database."""
    try:
        cached = await clients.cache.hget(_CACHE_KEY, str(limit))
        if cached is not None:
            return _LIST.validate_json(cached)
        found = await _newest(clients, limit)
        async with clients.cache.pipeline() as commands:
            await commands.hset(_CACHE_KEY, str(limit), _LIST.dump_json(found)).expire(_CACHE_KEY, _CACHE_S).execute()
        return found
    except RedisError as error:
        log.warning("projects are read past the cache: %s", type(error).__name__)
        return await _newest(clients, limit)


async def detail(clients: Clients, project_id: uuid.UUID) -> ProjectDetail | None:
    async with clients.sessions() as session:
        row = await session.get(Project, project_id)
    if row is None:
        return None
    brief = await clients.objects.get(_brief_key(project_id))
    text = brief.decode() if brief is not None else None
    similar = await search(clients, _text(row.title, row.client, text or ""), limit=4)
    return ProjectDetail(
        **ProjectOut.model_validate(row).model_dump(),
        brief=text,
        similar=[ProjectOut(**match.model_dump(exclude={"score"})) for match in similar if match.id != project_id][:3],
    )


async def search(clients: Clients, text: str, limit: int) -> list[Match]:
    nearest = await clients.projects.nearest(embed(text), limit)
    scores = {project_id: score for project_id, score in nearest if score > 0}
    async with clients.sessions() as session:
        rows = (await session.scalars(select(Project).where(Project.id.in_(scores)))).all()
    matches = [Match(**ProjectOut.model_validate(row).model_dump(), score=scores[row.id]) for row in rows]
    return sorted(matches, key=lambda match: match.score, reverse=True)


async def create(clients: Clients, content: ProjectIn, owner: uuid.UUID) -> ProjectOut:
    row = Project(id=uuid.uuid4(), created_by=owner, **content.model_dump(exclude={"brief"}))
    async with clients.sessions.begin() as session:
        session.add(row)
        await session.flush()
        await _store(clients, row, content.brief)
    await _forget_list(clients)
    await _announce(row.id)
    return ProjectOut.model_validate(row)


async def replace(clients: Clients, project_id: uuid.UUID, content: ProjectIn) -> ProjectOut | None:
    async with clients.sessions.begin() as session:
        row = await session.get(Project, project_id, with_for_update=True)
        if row is None:
            return None
        for name, value in content.model_dump(exclude={"brief"}).items():
            setattr(row, name, value)
        await session.flush()
        await session.refresh(row)
        await _store(clients, row, content.brief)
    await _forget_list(clients)
    return ProjectOut.model_validate(row)


async def delete(clients: Clients, project_id: uuid.UUID) -> bool:
    async with clients.sessions.begin() as session:
        row = await session.get(Project, project_id, with_for_update=True)
        if row is None:
            return False
        await session.delete(row)
    await clients.projects.delete(project_id)
    await clients.objects.remove(_brief_key(project_id))
    await _forget_list(clients)
    return True


async def _newest(clients: Clients, limit: int) -> list[ProjectOut]:
    async with clients.sessions() as session:
        rows = await session.scalars(select(Project).order_by(Project.created_at.desc(), Project.id).limit(limit))
        return _LIST.validate_python(rows.all())


def _brief_key(project_id: uuid.UUID) -> str:
    return f"projects/{project_id}/brief.txt"


def _text(title: str, client: str, brief: str) -> str:
    return f"{title}\n{client}\n{brief}"


async def _store(clients: Clients, row: Project, brief: str) -> None:
    await clients.objects.put(_brief_key(row.id), brief.encode(), "text/plain; charset=utf-8")
    await clients.projects.upsert(row.id, embed(_text(row.title, row.client, brief)), {"title": row.title})


async def _forget_list(clients: Clients) -> None:
    try:
        await clients.cache.delete(_CACHE_KEY)
    except RedisError as error:
        log.warning("cached projects stay for up to %s s: %s", _CACHE_S, type(error).__name__)


async def _announce(project_id: uuid.UUID) -> None:
    """The project is already there: a broker that is away costs the announcement, not the project."""
    try:
        await asyncio.to_thread(tasks.announce_project.delay, str(project_id))
    except tasks.announce_project.OperationalError as error:
        log.warning("project %s is not announced: %s", project_id, type(error).__name__)
