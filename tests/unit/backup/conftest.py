"""Let the tests import the program as it lies on the server: its package, and the client of Qdrant beside it."""

from __future__ import annotations

import os
import sys
import types
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]

sys.path.insert(0, str(ROOT / "roles" / "backup" / "files"))
client = types.ModuleType("somos_qdrant")
client.__path__ = [str(ROOT / "plugins" / "module_utils")]
sys.modules.setdefault("somos_qdrant", client)


@pytest.fixture(autouse=True)
def own_umask() -> Iterator[None]:
    """The program's stays out of the next test."""
    before = os.umask(0o022)
    yield
    os.umask(before)
