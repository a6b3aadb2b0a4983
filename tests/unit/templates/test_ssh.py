"""Role ssh: the drop-in, before and after the move."""

from __future__ import annotations

from typing import Any

import pytest
from render import render_files, render_role

DROPIN = "etc/ssh/sshd_config.d/00-somos.conf"
ARRIVED = {"ansible_port": 2222, "ansible_user": "deploy"}


def dropin(**overrides: Any) -> list[str]:
    lines = render_role("ssh", overrides)[DROPIN].splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def test_through_the_first_door_both_ports_open_and_nothing_is_closed() -> None:
    assert dropin(ansible_port=22, ansible_user="root") == ["Port 22", "Port 2222"]


@pytest.mark.parametrize(("port", "user"), [(2222, "root"), (22, "deploy")])
def test_half_way_is_not_arrived(port: int, user: str) -> None:
    assert "Port 22" in dropin(ansible_port=port, ansible_user=user)


def test_through_the_final_door_only_it_stays_open() -> None:
    lines = dropin(**ARRIVED)
    assert [line for line in lines if line.startswith("Port")] == ["Port 2222"]
    assert {"PermitRootLogin no", "PasswordAuthentication no", "KbdInteractiveAuthentication no"} <= set(lines)
    assert "AllowUsers deploy" in lines


def test_pam_stays_and_sftp_is_not_touched() -> None:
    lines = dropin(**ARRIVED)
    assert "UsePAM yes" in lines
    assert not any(line.startswith("Subsystem") for line in lines)


def test_forwarding_is_for_operators_and_named_ports() -> None:
    lines = dropin(**ARRIVED, ssh_operators=["deploy", "ana"], ssh_operator_ports=[3001])
    start = lines.index("Match User deploy,ana")
    assert "AllowTcpForwarding no" in lines[:start]
    assert lines[start + 1 :] == ["  AllowTcpForwarding local", "  PermitOpen 127.0.0.1:3001 localhost:3001"]


@pytest.mark.parametrize("nobody", [{"ssh_operators": []}, {"ssh_operator_ports": []}])
def test_without_operators_or_ports_nobody_forwards(nobody: dict[str, Any]) -> None:
    lines = dropin(**ARRIVED, **nobody)
    assert "AllowTcpForwarding no" in lines
    assert not any(line.startswith(("Match", "PermitOpen", " ")) for line in lines)


def test_port_22_can_be_kept() -> None:
    assert dropin(ssh_port=22, ansible_port=22, ansible_user="root") == ["Port 22"]


def test_only_root_reads_it() -> None:
    assert render_files("ssh", ARRIVED)[DROPIN].mode == "0600"
