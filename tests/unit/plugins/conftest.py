"""Fixtures for tests that run a module in this process."""

from __future__ import annotations

import json
from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest
from ansible.module_utils.testing import patch_module_args

Run = Callable[..., dict[str, Any]]


@pytest.fixture
def run_module(capsys: pytest.CaptureFixture[str]) -> Run:
    """Run a module's ``main`` with arguments, as Ansible would; returns the JSON object that it prints."""

    def run(module: ModuleType, *, check: bool = False, **arguments: Any) -> dict[str, Any]:
        with (
            patch_module_args({**arguments, "_ansible_check_mode": check, "_ansible_diff": True}),
            pytest.raises(SystemExit) as stop,
        ):
            module.main()
        result: dict[str, Any] = json.loads(capsys.readouterr().out)
        result["rc_of_module"] = stop.value.code
        return result

    return run
