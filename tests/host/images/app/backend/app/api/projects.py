"""Projects: everybody reads, who is logged in writes."""

from __future__ import annotations

import uuid
from typing import Annotated

from fastapi import APIRouter, HTTPException, Query

from .. import projects
from ..clients import ClientsDep
from ..projects import Match, ProjectDetail, ProjectIn, ProjectOut
from .auth import CurrentUser

router = APIRouter(prefix="/api/v1/projects", tags=["projects"])
_NOT_FOUND = HTTPException(404, "no such project")


@router.get("")
async def list_projects(clients: ClientsDep, limit: Annotated[int, Query(ge=1, le=200)] = 50) -> list[ProjectOut]:
    return await projects.recent(clients, limit)


@router.get("/search")
async def search_projects(
    clients: ClientsDep,
    q: Annotated[str, Query(min_length=1, max_length=200)],
    limit: Annotated[int, Query(ge=1, le=20)] = 5,
) -> list[Match]:
    return await projects.search(clients, q, limit)


@router.get("/{project_id}")
async def read_project(project_id: uuid.UUID, clients: ClientsDep) -> ProjectDetail:
    found = await projects.detail(clients, project_id)
    if found is None:
        raise _NOT_FOUND
    return found


@router.post("", status_code=201)
async def create_project(content: ProjectIn, clients: ClientsDep, user: CurrentUser) -> ProjectOut:
    return await projects.create(clients, content, user)


@router.put("/{project_id}")
async def replace_project(
    project_id: uuid.UUID, content: ProjectIn, clients: ClientsDep, _user: CurrentUser
) -> ProjectOut:
    found = await projects.replace(clients, project_id, content)
    if found is None:
        raise _NOT_FOUND
    return found


@router.delete("/{project_id}", status_code=204)
async def delete_project(project_id: uuid.UUID, clients: ClientsDep, _user: CurrentUser) -> None:
    if not await projects.delete(clients, project_id):
        raise _NOT_FOUND
