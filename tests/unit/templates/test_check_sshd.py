"""check-sshd: the staged drop-in merged with what the server has, and what would outvote it."""

from __future__ import annotations

import importlib.util
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import ModuleType

import pytest
from render import ROOT

PROGRAM = ROOT / "roles/ssh/templates/usr/local/lib/somos/check-sshd"
MAIN = "# comment\nInclude /etc/ssh/sshd_config.d/*.conf\nUsePAM yes\n"


@pytest.fixture
def check() -> ModuleType:
    loader = SourceFileLoader("check_sshd", str(PROGRAM))
    specification = importlib.util.spec_from_loader("check_sshd", loader)
    assert specification
    module = importlib.util.module_from_spec(specification)
    loader.exec_module(module)
    return module


@pytest.fixture
def etc(tmp_path: Path) -> Path:
    (tmp_path / "sshd_config.d").mkdir()
    (tmp_path / "sshd_config").write_text(MAIN)
    return tmp_path


def test_the_staged_file_stands_where_its_name_puts_it(check: ModuleType, etc: Path) -> None:
    for name in ("00-somos.conf", "00-first.conf", "50-cloud-init.conf"):
        (etc / "sshd_config.d" / name).write_text("")
    assert check.merge(Path("/stage"), etc).splitlines() == [
        "# comment",
        f"Include {etc}/sshd_config.d/00-first.conf",
        "Include /stage/etc/ssh/sshd_config.d/00-somos.conf",
        f"Include {etc}/sshd_config.d/50-cloud-init.conf",
        "UsePAM yes",
    ]


def test_a_server_that_does_not_read_drop_ins_is_refused(check: ModuleType, etc: Path) -> None:
    (etc / "sshd_config").write_text("UsePAM yes\n")
    with pytest.raises(SystemExit, match="put that Include at its top"):
        check.merge(Path("/stage"), etc)


@pytest.mark.parametrize("name", ["sshd_config", "sshd_config.d/50-cloud-init.conf"])
def test_a_port_that_somebody_else_sets_is_refused(check: ModuleType, etc: Path, name: str) -> None:
    (etc / name).write_text(f"{MAIN}  port 22\n")
    with pytest.raises(SystemExit, match="remove the line above: the port is set in"):
        check.merge(Path("/stage"), etc)


def test_what_was_decided_before_the_drop_in_is_named(check: ModuleType) -> None:
    dropin = "# note\nPort 2222\nPasswordAuthentication no\nLogLevel VERBOSE\nMatch User a\n  PermitTTY no\n"
    effective = "port 2222\npasswordauthentication yes\nloglevel verbose\npermittty yes\n"
    assert check.outvoted(dropin, effective) == ["PasswordAuthentication is yes instead of no"]


def test_what_sshd_does_not_print_is_not_held_against_it(check: ModuleType) -> None:
    assert check.outvoted("DebianBanner no\n", "port 2222\n") == []


LISTENING = "port 2222\nlistenaddress [::]:2222\nlistenaddress 0.0.0.0:2222\n"


def test_it_listens_where_the_drop_in_says(check: ModuleType) -> None:
    assert check.strays("Port 2222\nUsePAM yes\n", LISTENING) == ""
    assert check.strays("Port 22\nPort 2222\n", LISTENING + "listenaddress 0.0.0.0:22\n") == ""


@pytest.mark.parametrize(
    ("effective", "said"),
    [
        (LISTENING + "listenaddress 10.0.0.1:22\n", "sshd would listen on port 22, 2222 instead of 2222"),
        ("port 2222\nlistenaddress 10.0.0.1:22\n", "sshd would listen on port 22 instead of 2222"),
    ],
)
def test_an_address_that_brings_its_own_port_is_found(check: ModuleType, effective: str, said: str) -> None:
    assert check.strays("Port 2222\n", effective) == said
