"""Figures, goals, and what is said when one is missed."""

from __future__ import annotations

import pytest

from tests.audit.report import Figure, Measured, all_figures, as_json, table

RESULTS = {
    "one": {
        "lynis": Measured([Figure("one", "lynis", "hardening index", 85, ">=", 86)], {"version": "3"}),
        "ports": Measured([Figure("one", "ports", "open", ["tcp/80"], "==", ["tcp/80"])], {}),
    }
}


@pytest.mark.parametrize(
    ("value", "relation", "goal", "met"),
    [
        (86, ">=", 86, True),
        (85, ">=", 86, False),
        (1, "<=", 0, False),
        (True, "==", True, True),
        (["tcp/22"], "==", [], False),
        (7, "", None, True),
    ],
)
def test_a_figure_meets_its_goal_or_not(value: object, relation: str, goal: object, met: bool) -> None:
    assert Figure("one", "x", "y", value, relation, goal).met is met


def test_the_report_names_what_was_missed_with_both_numbers() -> None:
    report = as_json(RESULTS, 1.23)
    assert report["missed"] == ["one: lynis hardening index is 85, goal >= 86"]
    assert report["details"]["one"]["lynis"] == {"version": "3"}


def test_the_table_has_a_line_for_each_figure_and_says_which_one_missed() -> None:
    head, *lines = table(all_figures(RESULTS)).splitlines()
    assert head.split() == ["SERVER", "INSTRUMENT", "FIGURE", "VALUE", "GOAL"]
    assert [line.split()[-1] for line in lines] == ["MISSED", "met"]
