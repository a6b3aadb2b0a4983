"""file_settings, file_modes and server_state against files of a test."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.somos.infra.plugins.modules import file_modes, file_settings, server_state

Run = Callable[..., dict[str, Any]]


@pytest.fixture
def defaults(tmp_path: Path) -> Path:
    path = tmp_path / "login.defs"
    path.write_text("UMASK 022\n")
    path.chmod(0o640)
    return path


def test_settings_are_written_once_and_the_mode_stays(run_module: Run, defaults: Path) -> None:
    files = [{"path": str(defaults), "settings": {"UMASK": "027"}}]
    result = run_module(file_settings, files=files)
    assert result["changed"]
    assert "UMASK 027" in result["diff"][0]["after"]
    assert (defaults.read_text(), defaults.stat().st_mode & 0o777) == ("UMASK 027\n", 0o640)
    assert not run_module(file_settings, files=files)["changed"]


def test_a_file_that_a_distribution_lacks_is_left_out(run_module: Run, tmp_path: Path) -> None:
    result = run_module(file_settings, files=[{"path": str(tmp_path / "absent"), "settings": {"A": 1}}])
    assert (result["changed"], result["absent"]) == (False, [str(tmp_path / "absent")])


def test_check_mode_changes_no_file(run_module: Run, defaults: Path) -> None:
    files = [{"path": str(defaults), "settings": {"UMASK": "027"}}]
    assert run_module(file_settings, files=files, check=True)["changed"]
    assert defaults.read_text() == "UMASK 022\n"


def test_permissions_are_taken_and_never_given(run_module: Run, tmp_path: Path) -> None:
    for name, mode in {"wide": 0o715, "narrow": 0o400}.items():
        (tmp_path / name).touch()
        (tmp_path / name).chmod(mode)
    (tmp_path / "link").symlink_to("wide")
    limits = {"/wide": "0750", "/w*": "0700", "/narrow": "0640", "/link": "0000", "/absent": "0600"}
    result = run_module(file_modes, limits=limits, root=str(tmp_path))
    assert result["paths"] == [str(tmp_path / "wide")]
    assert (tmp_path / "wide").stat().st_mode & 0o777 == 0o710
    assert (tmp_path / "narrow").stat().st_mode & 0o777 == 0o400
    assert not run_module(file_modes, limits=limits, root=str(tmp_path))["changed"]


def test_check_mode_takes_no_permission(run_module: Run, tmp_path: Path) -> None:
    (tmp_path / "wide").touch(0o644)
    assert run_module(file_modes, limits={"/wide": "0600"}, root=str(tmp_path), check=True)["changed"]
    assert (tmp_path / "wide").stat().st_mode & 0o777 == 0o644


def test_a_mode_that_is_none_is_named(run_module: Run, tmp_path: Path) -> None:
    assert "0640" in run_module(file_modes, limits={"/x": "rw"}, root=str(tmp_path))["msg"]


def test_a_bare_server_has_a_state_too(run_module: Run, tmp_path: Path) -> None:
    result = run_module(server_state, operators_group="somos-operators", root=str(tmp_path))
    assert {key: value for key, value in result.items() if key not in ("invocation", "rc_of_module")} == {
        "changed": False,
        "operators": [],
        "packages": [],
        "router_interfaces": [],
        "time_daemons": [],
        "upgraded": "",
    }
