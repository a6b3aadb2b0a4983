"""The module against a program that reports what it is told to."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.somos.infra.plugins.modules import certificate

Run = Callable[..., dict[str, Any]]


@pytest.fixture
def program(tmp_path: Path) -> Callable[..., str]:
    def write(report: str, code: int = 0) -> str:
        file = tmp_path / "certificate"
        file.write_text(f"#!/bin/sh\necho \"$@\" >> {tmp_path}/log\ncat <<'END'\n{report}\nEND\nexit {code}\n")
        file.chmod(0o755)
        return str(file)

    return write


@pytest.fixture
def warnings(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    said: list[str] = []
    monkeypatch.setattr(certificate.AnsibleModule, "warn", lambda _, text: said.append(text))
    return said


def report(did: list[str] | None = None, error: str = "", good: bool = True) -> str:
    return json.dumps({"changed": bool(did), "did": did or [], "error": error, "good": good})


def test_what_was_done_is_told(run_module: Run, program: Callable[..., str], tmp_path: Path) -> None:
    result = run_module(certificate, verb="issue", program=program(report(["got one"])))
    assert (result["changed"], result["did"], result["diff"]["after"]) == (True, ["got one"], "got one\n")
    assert (tmp_path / "log").read_text() == "--json issue\n"


def test_nothing_done_is_no_change(run_module: Run, program: Callable[..., str]) -> None:
    assert run_module(certificate, verb="prepare", program=program(report()))["changed"] is False


def test_what_visitors_do_not_notice_is_a_warning(
    run_module: Run, program: Callable[..., str], warnings: list[str]
) -> None:
    result = run_module(certificate, verb="issue", program=program(report(error="the authority sleeps"), 1))
    assert not result.get("failed")
    assert warnings == ["the authority sleeps"]


def test_what_visitors_notice_fails_and_tells_what_was_done(run_module: Run, program: Callable[..., str]) -> None:
    result = run_module(
        certificate, verb="issue", program=program(report(["a placeholder"], "no certificate", False), 2)
    )
    assert (result["failed"], result["msg"], result["did"]) == (True, "no certificate", ["a placeholder"])


def test_a_program_that_breaks_is_told_with_its_words(run_module: Run, program: Callable[..., str]) -> None:
    result = run_module(certificate, verb="issue", program=program("Traceback", 1))
    assert result["failed"] and "exit code 1 and no report" in result["msg"]


def test_a_check_asks_the_program_what_it_would_do(
    run_module: Run, program: Callable[..., str], tmp_path: Path
) -> None:
    assert run_module(certificate, verb="issue", program=program(report(["ask"])), check=True)["changed"]
    assert (tmp_path / "log").read_text() == "--json --check issue\n"


def test_a_check_of_a_bare_server_says_that_it_would_change(run_module: Run, tmp_path: Path) -> None:
    result = run_module(certificate, verb="issue", program=str(tmp_path / "absent"), check=True)
    assert result["changed"] is True
