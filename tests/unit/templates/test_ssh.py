"""Role ssh: the drop-in, before and after the move."""

from __future__ import annotations

from typing import Any

import pytest
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar
from render import ROOT, render_files, render_role

DROPIN = "etc/ssh/sshd_config.d/00-somos.conf"
ARRIVED = {"ansible_port": 2222, "ansible_user": "deploy"}
# What `sshd_host` would have registered on a recent release.
NEWEST = {
    "keywords": ["persourcepenalties", "requiredrsasize"],
    "algorithms": {
        "KexAlgorithms": ["sntrup761x25519-sha512", "curve25519-sha256"],
        "MACs": ["hmac-sha2-256-etm@openssh.com"],
    },
    "host_keys": ["/etc/ssh/ssh_host_rsa_key", "/etc/ssh/ssh_host_ed25519_key"],
}


def dropin(**overrides: Any) -> list[str]:
    lines = render_role("ssh", overrides)[DROPIN].splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def firewall_rules(**overrides: Any) -> Any:
    """What another role would be handed."""
    role = {**load("defaults"), **load("vars"), **overrides}
    return Templar(DataLoader(), role).template(role["ssh_firewall_rules"])


def load(kind: str) -> dict[str, Any]:
    path = ROOT / "roles" / "ssh" / kind / "main.yml"
    return dict(DataLoader().load_from_file(str(path), trusted_as_template=True))


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


def test_what_this_sshd_has_is_what_it_is_told() -> None:
    lines = dropin(**ARRIVED, __ssh_sshd=NEWEST)
    assert "KexAlgorithms sntrup761x25519-sha512,curve25519-sha256" in lines
    assert "RequiredRSASize 3072" in lines
    assert [line for line in lines if line.startswith("HostKey ")] == [
        "HostKey /etc/ssh/ssh_host_rsa_key",
        "HostKey /etc/ssh/ssh_host_ed25519_key",
    ]


def test_an_older_sshd_is_not_told_what_it_would_refuse_to_start_with() -> None:
    lines = dropin(**ARRIVED, __ssh_sshd={"keywords": [], "algorithms": {}, "host_keys": []})
    assert not [line for line in lines if line.startswith(("RequiredRSASize", "PerSourcePenalt", "KexAlgorithms"))]


def test_host_keys_and_algorithms_wait_until_the_final_door_is_proven() -> None:
    lines = dropin(ansible_port=22, ansible_user="root", __ssh_sshd=NEWEST)
    assert not [line for line in lines if line.startswith(("HostKey", "KexAlgorithms", "RequiredRSASize"))]


def test_who_administers_the_server_pays_no_penalties() -> None:
    for door in (ARRIVED, {"ansible_port": 22, "ansible_user": "root"}):
        lines = dropin(**door, __ssh_sshd=NEWEST, ssh_trusted_networks=["198.51.100.0/24"])
        assert "PerSourcePenaltyExemptList 127.0.0.0/8,::1/128,198.51.100.0/24" in lines


def test_what_benchmarks_ask_for_is_in_force() -> None:
    wanted = {"LogLevel VERBOSE", "Compression no", "TCPKeepAlive no", "MaxSessions 2", "AllowAgentForwarding no"}
    wanted |= {"AllowStreamLocalForwarding no", "PermitTunnel no", "GatewayPorts no", "Banner /etc/issue.net"}
    wanted |= {"MaxStartups 10:30:60", "PermitUserEnvironment no", "PermitEmptyPasswords no", "IgnoreRhosts yes"}
    assert wanted <= set(dropin(**ARRIVED))
    assert not [line for line in dropin(**ARRIVED, ssh_banner_file="") if line.startswith("Banner")]


def test_a_machine_forwards_nothing_and_has_no_terminal() -> None:
    lines = dropin(**ARRIVED, ssh_machine_users=["ci"], ssh_operators=["ci", "ana"], ssh_operator_ports=[3001])
    machine = lines.index("Match User ci")
    assert lines[machine + 1 : machine + 3] == ["  AllowTcpForwarding no", "  PermitTTY no"]
    assert machine < lines.index("Match User ci,ana"), "the first match counts"


def test_the_firewall_is_asked_for_the_final_port_and_for_the_first_one_while_it_is_in_use() -> None:
    assert firewall_rules(**ARRIVED) == [{"name": "SSH", "port": 2222}]
    assert firewall_rules(ansible_port=22, ansible_user="root") == [
        {"name": "SSH", "port": 22},
        {"name": "SSH", "port": 2222},
    ]
    assert firewall_rules(ssh_port=22, ansible_port=22, ansible_user="root") == [{"name": "SSH", "port": 22}]


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
