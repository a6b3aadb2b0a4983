"""`python -m app.seed`: the user DEMO_USER with DEMO_PASSWORD, and a few projects where there are none.

Run again, it sets the password and leaves the projects alone.
"""

from __future__ import annotations

import asyncio
import uuid

from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import insert

from . import clients, projects, security, settings
from .clients import Clients
from .database import Project, User
from .projects import ProjectIn, Status

_PROJECTS = (
    ProjectIn(
        title="Festival de Inverno",
        client="Prefeitura de Campos do Jordão",
        status=Status.PRODUCTION,
        brief="Três noites de música ao ar livre, com transmissão ao vivo e cobertura fotográfica.",
    ),
    ProjectIn(
        title="Documentário Mata Atlântica",
        client="Instituto Raízes",
        status=Status.PLANNING,
        brief="Série de quatro episódios sobre quem planta, protege e vive da floresta.",
    ),
    ProjectIn(
        title="Lançamento Café Serra Alta",
        client="Serra Alta Alimentos",
        status=Status.DELIVERED,
        brief="Filme de um minuto, peças para redes sociais e evento de lançamento para duzentos convidados.",
    ),
)


async def _user(opened: Clients, username: str, password: str) -> uuid.UUID:
    statement = insert(User).values(id=uuid.uuid4(), username=username, password_hash=security.hash_password(password))
    statement = statement.on_conflict_do_update(
        index_elements=[User.username], set_={"password_hash": statement.excluded.password_hash}
    )
    async with opened.sessions.begin() as session:
        user_id = await session.scalar(statement.returning(User.id))
    if user_id is None:
        raise RuntimeError("the database returned no user")
    return user_id


async def _seed() -> None:
    username, password = settings.require("DEMO_USER"), settings.require("DEMO_PASSWORD")
    async with clients.opened() as opened:
        owner = await _user(opened, username, password)
        async with opened.sessions() as session:
            present = await session.scalar(select(func.count()).select_from(Project))
        if not present:
            for project in _PROJECTS:
                await projects.create(opened, project, owner)
    print(f"user {username}; {present or len(_PROJECTS)} projects")


if __name__ == "__main__":
    asyncio.run(_seed())
