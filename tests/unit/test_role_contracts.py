"""What every role promises about itself: variables, documentation, size, and that it knows only itself."""

from __future__ import annotations

import importlib.util
import re
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
ROLES = sorted(path.name for path in (ROOT / "roles").iterdir() if (path / "tasks").is_dir())
SECTIONS = [
    "## It will not",
    "## Requirements",
    "## Quick example",
    "## Variables",
    "<!-- BEGIN_ANSIBLE_DOCS -->",
    "<!-- END_ANSIBLE_DOCS -->",
    "## Check mode and idempotence",
    "## Troubleshooting",
]
PLATFORMS = {("Debian", "bookworm"), ("Debian", "trixie"), ("Ubuntu", "jammy"), ("Ubuntu", "noble")}
SECRET = re.compile(r"_(password|passphrase|token|secret|secret_key|access_key|api_key|private_key)$")
LINES_OF_TASKS = 150

every_role = pytest.mark.parametrize("role", ROLES)


def load(path: Path) -> Any:
    return yaml.safe_load(path.read_text(encoding="utf-8")) if path.exists() else {}


@cache
def role_docs() -> ModuleType:
    specification = importlib.util.spec_from_file_location("role_docs", ROOT / "docs" / "role_docs.py")
    assert specification and specification.loader
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


@cache
def defaults(role: str) -> dict[str, Any]:
    return load(ROOT / "roles" / role / "defaults" / "main.yml") or {}


@cache
def options(role: str) -> dict[str, Any]:
    """The options of every entry point."""
    specs = load(ROOT / "roles" / role / "meta" / "argument_specs.yml").get("argument_specs", {})
    return {name: option for spec in specs.values() for name, option in spec.get("options", {}).items()}


def texts(role: str) -> dict[str, str]:
    """The role's files that Ansible reads, by path."""
    return {
        str(path.relative_to(ROOT)): path.read_text(encoding="utf-8", errors="replace")
        for path in sorted((ROOT / "roles" / role).rglob("*"))
        if path.is_file() and path.name != "README.md"
    }


@every_role
def test_defaults_are_what_the_argument_specs_say(role: str) -> None:
    assert options(role), f"roles/{role}/meta/argument_specs.yml says nothing"
    said = {name: option.get("default") for name, option in options(role).items() if not option.get("required")}
    assert defaults(role) == said


@every_role
def test_secrets_are_hidden_and_the_required_ones_have_no_default(role: str) -> None:
    for name, option in options(role).items():
        if SECRET.search(name):
            assert option.get("no_log") is True, f"{name} is not no_log"
            assert option.get("default") in (None, ""), f"{name} has a default"


@every_role
def test_every_option_is_described_in_sentences(role: str) -> None:
    for name, option in options(role).items():
        description = option["description"]
        for sentence in description if isinstance(description, list) else [description]:
            assert sentence[0].isupper() and sentence.endswith("."), f"{name}: {sentence}"


@every_role
def test_variables_have_the_role_s_prefix(role: str) -> None:
    for name in (*defaults(role), *options(role)):
        assert name.startswith(f"{role}_"), name
    for name in load(ROOT / "roles" / role / "vars" / "main.yml") or {}:
        assert name.startswith(f"__{role}_"), name


@every_role
def test_readme_has_its_sections_in_order(role: str) -> None:
    lines = (ROOT / "roles" / role / "README.md").read_text(encoding="utf-8").splitlines()
    assert lines[0] == f"# {role}"
    assert [line for line in lines if line in SECTIONS] == SECTIONS


@every_role
def test_readme_shows_the_variables_of_today(role: str) -> None:
    text = (ROOT / "roles" / role / "README.md").read_text(encoding="utf-8")
    assert text == role_docs().update(text, ROOT / "roles" / role), "run `make docs`"


@every_role
def test_metadata_names_the_role_and_what_it_supports(role: str) -> None:
    galaxy = load(ROOT / "roles" / role / "meta" / "main.yml")["galaxy_info"]
    assert galaxy["role_name"] == role
    assert galaxy["license"] == "GPL-3.0-or-later"
    assert {(platform["name"], version) for platform in galaxy["platforms"] for version in platform["versions"]} == (
        PLATFORMS
    )


@every_role
def test_a_molecule_scenario_proves_the_role(role: str) -> None:
    assert (ROOT / "molecule" / role / "molecule.yml").is_file()
    tests = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "molecule" / role).rglob("test_*.py"))
    assert "def test_" in tests


@every_role
def test_task_files_stay_readable(role: str) -> None:
    for path in (ROOT / "roles" / role / "tasks").rglob("*.yml"):
        assert len(path.read_text(encoding="utf-8").splitlines()) <= LINES_OF_TASKS, path


@every_role
def test_a_role_knows_only_itself(role: str) -> None:
    foreign = [name for other in ROLES if other != role for name in (*defaults(other), *options(other))]
    internal = [f"__{other}_" for other in ROLES if other != role]
    for path, text in texts(role).items():
        words = set(re.findall(r"\w+", text))
        assert not words & set(foreign), f"{path} names a variable of another role"
        assert not [word for word in words if word.startswith(tuple(internal))], f"{path} names another's internals"


@every_role
def test_a_role_asks_for_no_inventory_group(role: str) -> None:
    for path, text in texts(role).items():
        found = re.search(r"\bgroup_names\b|\bgroups\s*[\[.]|\bin\s+groups\b|\bhostvars\b", text)
        assert not found, f"{path}: {found and found[0]}"


@every_role
def test_nothing_is_called_latest(role: str) -> None:
    for path, text in texts(role).items():
        assert not re.search(r"[:@]latest\b", text), path
