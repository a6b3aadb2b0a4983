"""Let the tests import the program as it lies on the server: its package, and the client of Qdrant beside it."""

from __future__ import annotations

import sys
import types
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]

sys.path.insert(0, str(ROOT / "roles" / "backup" / "files"))
client = types.ModuleType("somos_qdrant")
client.__path__ = [str(ROOT / "plugins" / "module_utils")]
sys.modules.setdefault("somos_qdrant", client)
