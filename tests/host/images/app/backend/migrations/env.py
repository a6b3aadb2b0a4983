"""How Alembic reaches the database: through the application's own asynchronous driver, one migration at a time."""

from __future__ import annotations

import asyncio
from logging.config import fileConfig

from alembic import context
from app.database import Base, single_use_engine
from sqlalchemy import Connection, text

# Any number would do, if nothing else in this database takes it.
_LOCK = 5_005_053


def _migrate(connection: Connection) -> None:
    context.configure(connection=connection, target_metadata=Base.metadata, compare_server_default=True)
    with context.begin_transaction():
        # Another migration or a table's lock is waited for, but not for ever: behind a waiting ALTER TABLE
        # every query of that table waits too.
        connection.execute(text("SET LOCAL lock_timeout = '60s'"))
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
        context.run_migrations()


async def _run() -> None:
    engine = single_use_engine()
    try:
        async with engine.connect() as connection:
            await connection.run_sync(_migrate)
    finally:
        await engine.dispose()


if context.is_offline_mode():
    raise SystemExit("migrations need the database: `alembic upgrade --sql` is not supported")
if context.config.config_file_name:
    fileConfig(context.config.config_file_name, disable_existing_loggers=False)
asyncio.run(_run())
