"""The web application: `gunicorn app.main:app`."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI

from . import clients, errors, settings
from .api import auth, projects, system, uploads
from .health import HealthMonitor
from .metrics import MetricsMiddleware

logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
logging.getLogger("httpx").setLevel(logging.WARNING)  # it would log every request to Qdrant


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    settings.require("SECRET_KEY")  # now, not at the first login
    async with clients.opened() as opened:
        app.state.clients = opened
        app.state.health = HealthMonitor(opened)
        yield


app = FastAPI(
    title="Somos",
    version=settings.RELEASE,
    lifespan=_lifespan,
    # Below /api/, the only path that the reverse proxy sends here.
    docs_url="/api/docs",
    openapi_url="/api/openapi.json",
    redoc_url=None,
)
app.add_middleware(MetricsMiddleware)
errors.install(app)
for router in (system.router, auth.router, projects.router, uploads.router):
    app.include_router(router)
