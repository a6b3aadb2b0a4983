"""Let the tests import the program `somos-backup` as it lies in the project."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "roles" / "backup" / "files"))
