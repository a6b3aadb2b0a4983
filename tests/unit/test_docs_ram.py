"""docs/ram.md shows what the code does now."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from types import ModuleType

DOCS = Path(__file__).parents[2] / "docs"


def ram_table() -> ModuleType:
    spec = importlib.util.spec_from_file_location("ram_table", DOCS / "ram_table.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_on_ram_is_up_to_date() -> None:
    text = (DOCS / "ram.md").read_text(encoding="utf-8")
    assert ram_table().page(text) == text, "run: PYTHONPATH=.ansible/collections python docs/ram_table.py"


def test_every_violation_is_explained() -> None:
    text = (DOCS / "ram.md").read_text(encoding="utf-8")
    sources = (DOCS.parent / "plugins/module_utils").glob("_ram_*.py")
    code = "".join(source.read_text(encoding="utf-8") for source in sources)
    explained = re.findall(r"^\| `(\w+)` \|", text, re.MULTILINE)
    assert sorted(explained) == sorted(set(re.findall(r'Problem\(\s*"(\w+)"', code)))
