"""Write the table of variables in every role's README from its meta/argument_specs.yml.

`make docs` runs it; tests/unit/test_role_contracts.py fails while a README is behind.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

ROLES = Path(__file__).resolve().parents[1] / "roles"
BEGIN, END = "<!-- BEGIN_ANSIBLE_DOCS -->", "<!-- END_ANSIBLE_DOCS -->"
LONGEST_DEFAULT = 60
HEAD = "| variable | type | default | what it does |\n|---|---|---|---|\n"


def main() -> None:
    for readme in sorted(ROLES.glob("*/README.md")):
        text = readme.read_text(encoding="utf-8")
        updated = update(text, readme.parent)
        if updated != text:
            readme.write_text(updated, encoding="utf-8")
            print(f"updated {readme.relative_to(ROLES.parent)}")


def update(text: str, role: Path) -> str:
    """The README of a role with the part between the markers written anew."""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise ValueError(f"{role.name}/README.md lacks the markers {BEGIN} and {END}")
    return f"{before}{BEGIN}\n\n{variables(role)}\n{END}{after}"


def variables(role: Path) -> str:
    """A table of the variables of each entry point."""
    specs = yaml.safe_load((role / "meta" / "argument_specs.yml").read_text(encoding="utf-8"))["argument_specs"]
    return "\n".join(
        ("" if name == "main" else f"Entry point `{name}`: {plain(spec['short_description'])}.\n\n")
        + (HEAD + "".join(rows(spec["options"])) if spec.get("options") else "It takes no variables of its own.\n")
        for name, spec in specs.items()
    )


def rows(options: dict[str, Any], prefix: str = "") -> Iterator[str]:
    for name, option in options.items():
        kind = option["type"] + (f" of {option['elements']}" if "elements" in option else "")
        description = option["description"]
        cells = [
            f"`{prefix}{name}`",
            kind,
            "**required**" if option.get("required") else default(option),
            plain(" ".join(description) if isinstance(description, list) else description) + choices(option),
        ]
        yield f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |\n"
        inner = prefix + name + ("[]" if option["type"] == "list" else "") + "."
        yield from rows(option.get("options", {}), inner)


def default(option: dict[str, Any]) -> str:
    if "default" not in option:
        return ""
    value = option["default"]
    shown = value if isinstance(value, str) and value else json.dumps(value, ensure_ascii=False)
    return f"`{shown}`" if len(shown) <= LONGEST_DEFAULT and "\n" not in shown else "see `defaults/main.yml`"


def choices(option: dict[str, Any]) -> str:
    return f" One of {', '.join(f'`{choice}`' for choice in option['choices'])}." if "choices" in option else ""


def plain(text: str) -> str:
    """Ansible's markup (`C(x)`, `O(x)`, `P(x#filter)` …) as Markdown."""
    text = re.sub(r"\b[CVOE]\(((?:\\.|[^)\\])*)\)", r"`\1`", text.strip())
    return re.sub(r"\b[MP]\(([^)#]*)(?:#\w+)?\)", r"`\1`", text)


if __name__ == "__main__":
    main()
