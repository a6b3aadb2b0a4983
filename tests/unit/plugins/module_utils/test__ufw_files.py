"""UFW's settings in its files."""

from __future__ import annotations

import stat
from pathlib import Path

from ansible_collections.somos.infra.plugins.module_utils._ufw_files import (
    Settings,
    _assign,
    _assignments,
    policy_commands,
    replace,
    wanted_settings,
)

DEFAULTS = """# Set to yes to apply rules to support IPv6
IPV6=no
DEFAULT_INPUT_POLICY="ACCEPT"
#IPT_SYSCTL=/nowhere
IPT_SYSCTL=/etc/ufw/sysctl.conf   # read at start
"""
PARAMETERS = {"outgoing": "allow", "logging": "low", "sysctl_file": ""}


def test_assignments_are_read_as_a_shell_would() -> None:
    found = _assignments(DEFAULTS)
    assert found == {"IPV6": "no", "DEFAULT_INPUT_POLICY": "ACCEPT", "IPT_SYSCTL": "/etc/ufw/sysctl.conf"}


def test_only_the_line_in_question_changes() -> None:
    assert _assign(DEFAULTS, "IPV6", "yes") == DEFAULTS.replace("IPV6=no", "IPV6=yes")
    assert _assign(DEFAULTS, "IPV6", "no") == DEFAULTS
    assert _assign("A=1\n", "IPV6", "yes") == "A=1\nIPV6=yes\n"


def test_ufw_is_told_only_what_differs() -> None:
    wants = wanted_settings(PARAMETERS, True)
    has = Settings(True, True, {"incoming": "allow", "outgoing": "allow", "routed": "deny"}, "off", True, "")
    assert policy_commands(has, wants) == [["default", "deny", "incoming"], ["logging", "low"]]
    assert policy_commands(wants, wants) == []


def test_a_replaced_file_keeps_its_mode(tmp_path: Path) -> None:
    path = tmp_path / "after.rules"
    path.write_text("old")
    path.chmod(0o640)
    replace(path, "new")
    assert (path.read_text(), stat.S_IMODE(path.stat().st_mode)) == ("new", 0o640)
    assert [item.name for item in tmp_path.iterdir()] == ["after.rules"]
