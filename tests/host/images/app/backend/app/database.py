"""PostgreSQL: tables, and the engine they are reached through."""

from __future__ import annotations

import uuid
from datetime import datetime

from sqlalchemy import ForeignKey, MetaData, String, func
from sqlalchemy.dialects.postgresql import TIMESTAMP
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlalchemy.pool import NullPool

from . import settings

_CONNECT_TIMEOUT_S = 4


class Base(DeclarativeBase):
    # Names given here and not by the server, so that a later migration can drop what an earlier one made.
    metadata = MetaData(
        naming_convention={
            "pk": "pk_%(table_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s",
            "uq": "uq_%(table_name)s_%(column_0_name)s",
            "ix": "ix_%(table_name)s_%(column_0_name)s",
        }
    )
    type_annotation_map = {datetime: TIMESTAMP(timezone=True)}  # noqa: RUF012  SQLAlchemy's own declaration


class User(Base):
    __tablename__ = "users"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=uuid.uuid4)
    username: Mapped[str] = mapped_column(String(100), unique=True)
    password_hash: Mapped[str] = mapped_column(String(200))
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())


class Project(Base):
    """A production. Its brief is an object and its meaning a vector, both under the row's id."""

    __tablename__ = "projects"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=uuid.uuid4)
    title: Mapped[str] = mapped_column(String(200))
    client: Mapped[str] = mapped_column(String(200))
    status: Mapped[str] = mapped_column(String(20))
    created_by: Mapped[uuid.UUID] = mapped_column(ForeignKey("users.id"))
    created_at: Mapped[datetime] = mapped_column(server_default=func.now(), index=True)
    updated_at: Mapped[datetime] = mapped_column(server_default=func.now(), onupdate=func.now())
    announced_at: Mapped[datetime | None]


class Heartbeat(Base):
    """One row a minute from beat through the broker and a worker: a gap is an outage one can date."""

    __tablename__ = "heartbeats"

    id: Mapped[int] = mapped_column(primary_key=True)
    beat_at: Mapped[datetime] = mapped_column(server_default=func.now(), index=True)


class Probe(Base):
    """Rows of the health check, gone as soon as they were read back."""

    __tablename__ = "probes"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    probed_at: Mapped[datetime] = mapped_column(server_default=func.now())


def pooled_engine() -> AsyncEngine:
    """The web processes' engine."""
    return create_async_engine(
        settings.require("DATABASE_URL"),
        pool_size=settings.POOL_SIZE,
        max_overflow=settings.POOL_SIZE,
        pool_timeout=4,
        pool_pre_ping=True,
        pool_recycle=1800,
        connect_args={"timeout": _CONNECT_TIMEOUT_S, "command_timeout": 30},
    )


def single_use_engine() -> AsyncEngine:
    """An engine for one event loop that ends soon (a task, a migration): a pool would outlive its loop."""
    return create_async_engine(
        settings.require("DATABASE_URL"), poolclass=NullPool, connect_args={"timeout": _CONNECT_TIMEOUT_S}
    )
