"""What was measured, held against its goals, as JSON and as a table."""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

RELATIONS: dict[str, Callable[[Any, Any], bool]] = {">=": operator.ge, "<=": operator.le, "==": operator.eq}


@dataclass(frozen=True)
class Figure:
    """One number of one instrument. Without a relation it is shown and judged by nobody."""

    server: str
    instrument: str
    name: str
    value: Any
    relation: str = ""
    goal: Any = None

    @property
    def met(self) -> bool:
        return not self.relation or RELATIONS[self.relation](self.value, self.goal)

    @property
    def verdict(self) -> str:
        if not self.relation:
            return "-"
        return "met" if self.met else "MISSED"

    def __str__(self) -> str:
        goal = f"{self.relation} {show(self.goal)}"
        return f"{self.server}: {self.instrument} {self.name} is {show(self.value)}, goal {goal}"


@dataclass(frozen=True)
class Measured:
    """What an instrument said of a server: figures for the table, and details for who looks into the report."""

    figures: Sequence[Figure]
    details: Any


def as_json(results: dict[str, dict[str, Measured]], seconds: float) -> dict[str, Any]:
    figures = all_figures(results)
    return {
        "seconds": round(seconds, 1),
        "figures": [asdict(figure) | {"met": figure.met} for figure in figures],
        "missed": [str(figure) for figure in figures if not figure.met],
        "details": {
            server: {instrument: measured.details for instrument, measured in instruments.items()}
            for server, instruments in results.items()
        },
    }


def all_figures(results: dict[str, dict[str, Measured]]) -> list[Figure]:
    return [
        figure for instruments in results.values() for measured in instruments.values() for figure in measured.figures
    ]


def table(figures: Sequence[Figure]) -> str:
    head = ("SERVER", "INSTRUMENT", "FIGURE", "VALUE", "GOAL", "")
    rows = [
        (f.server, f.instrument, f.name, show(f.value), f"{f.relation} {show(f.goal)}" if f.relation else "", f.verdict)
        for f in figures
    ]
    widths = [max(len(row[column]) for row in [head, *rows]) for column in range(len(head))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in [head, *rows]]
    return "\n".join(line.rstrip() for line in lines)


def show(value: Any) -> str:
    if isinstance(value, list):
        return " ".join(map(str, value)) or "none"
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value)
