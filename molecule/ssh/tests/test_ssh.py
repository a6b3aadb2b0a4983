"""Role ssh, seen from where an operator or an attacker sits: outside, with an SSH client."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

BUILD = Path(__file__).parents[3] / "build"
SCENARIO = os.environ["MOLECULE_SCENARIO_NAME"]
Ssh = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def ssh(address: str) -> Ssh:
    """Log in as an account on a port with the controller's key, and run a command."""

    def run(account: str, port: int, command: str, *options: str) -> subprocess.CompletedProcess[str]:
        known_hosts = BUILD / "hosts" / f"molecule-{SCENARIO.replace('_', '-')}" / "known_hosts"
        fixed = ["-F/dev/null", "-oBatchMode=yes", "-oIdentitiesOnly=yes", "-oControlPath=none", "-oConnectTimeout=5"]
        identity = [f"-oUserKnownHostsFile={known_hosts}", f"-i{BUILD / 'demo' / 'id_ed25519'}"]
        argv = ["ssh", *fixed, *identity, *options, f"-p{port}", f"{account}@{address}", command]
        return subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)

    return run


@pytest.fixture
def effective(ssh: Ssh) -> set[str]:
    """What sshd has made of all its files."""
    return set(ssh("deploy", 2222, "sudo /usr/sbin/sshd -T").stdout.splitlines())


def test_deploy_logs_in_on_the_final_port_and_reaches_root(ssh: Ssh) -> None:
    assert ssh("deploy", 2222, "sudo id -u").stdout == "0\n"


def test_nobody_answers_on_port_22(ssh: Ssh) -> None:
    assert "Connection refused" in ssh("root", 22, "true").stderr


def test_root_is_refused_even_with_a_key_it_has(ssh: Ssh) -> None:
    assert "Permission denied" in ssh("root", 2222, "true").stderr


def test_a_password_is_not_even_asked_for(ssh: Ssh) -> None:
    assert "Permission denied (publickey)." in ssh("deploy", 2222, "true", "-oPubkeyAuthentication=no").stderr


def test_pam_and_sftp_are_as_the_distribution_has_them(effective: set[str]) -> None:
    assert {"usepam yes", "subsystem sftp /usr/lib/openssh/sftp-server"} <= effective


def test_the_seeds_limits_are_in_effect(effective: set[str]) -> None:
    wanted = {"maxauthtries 3", "logingracetime 60", "clientaliveinterval 300", "clientalivecountmax 2"}
    wanted |= {"x11forwarding no", "allowtcpforwarding no", "allowusers deploy", "port 2222"}
    assert wanted <= effective


def test_an_operator_reaches_the_consoles_and_no_other_port(ssh: Ssh) -> None:
    # Nothing listens on either: the first is tried and the kernel says no, the second sshd forbids.
    assert "Connection refused" in ssh("deploy", 2222, "", "-N", "-W127.0.0.1:3001").stderr
    assert "administratively prohibited" in ssh("deploy", 2222, "", "-N", "-W127.0.0.1:5432").stderr


def test_sshd_starts_with_the_machine(ssh: Ssh) -> None:
    assert ssh("deploy", 2222, "systemctl is-enabled ssh.service").stdout == "enabled\n"


def test_benchmarks_find_their_settings_in_effect(effective: set[str]) -> None:
    wanted = {"loglevel VERBOSE", "compression no", "tcpkeepalive no", "maxsessions 2", "allowagentforwarding no"}
    wanted |= {"allowstreamlocalforwarding no", "permittunnel no", "banner /etc/issue.net", "requiredrsasize 3072"}
    wanted |= {"maxstartups 10:30:60", "persourcemaxstartups 10", "permituserenvironment no", "usedns no"}
    assert wanted <= effective


def test_without_its_include_sshd_config_has_the_same_rules(ssh: Ssh, effective: set[str]) -> None:
    """As after an upgrade that brings a new one, or for who reads that file alone."""
    alone = ssh("deploy", 2222, "sudo sh -c 'grep -vi ^Include /etc/ssh/sshd_config | /usr/sbin/sshd -T -f /dev/stdin'")
    missing = effective - set(alone.stdout.splitlines())
    kept_in_the_dropin = ("port ", "hostkey ", "listenaddress ", "persourcepenalt")
    assert {rule for rule in missing if not rule.startswith(kept_in_the_dropin)} == set(), alone.stderr


def test_host_keys_are_long_and_no_nist_curve_is_offered(ssh: Ssh, effective: set[str]) -> None:
    assert {line for line in effective if line.startswith("hostkey ")} == {
        "hostkey /etc/ssh/ssh_host_rsa_key",
        "hostkey /etc/ssh/ssh_host_ed25519_key",
    }
    assert ssh("deploy", 2222, "sudo ssh-keygen -lf /etc/ssh/ssh_host_rsa_key").stdout.startswith("4096 ")
    refused = ssh("deploy", 2222, "true", "-oHostKeyAlgorithms=ecdsa-sha2-nistp256").stderr
    assert "no matching host key type found" in refused


def test_small_groups_are_gone_and_modes_are_tight(ssh: Ssh) -> None:
    assert ssh("deploy", 2222, r"awk '!/^#/ && $5 < 3071' /etc/ssh/moduli").stdout == ""
    private = "/etc/ssh/ssh_host_*_key /etc/ssh/sshd_config /etc/ssh/sshd_config.d/*"
    modes = ssh("deploy", 2222, f"sudo sh -c 'stat -c %a {private}'")
    assert set(modes.stdout.split()) == {"600"}


def test_no_port_and_no_unix_socket_of_the_server_is_opened_for_the_client(ssh: Ssh) -> None:
    for where in ("127.0.0.1:4444", "/run/remote.sock"):
        refused = ssh("deploy", 2222, "true", "-oExitOnForwardFailure=yes", f"-R{where}:127.0.0.1:9")
        assert "remote port forwarding failed" in refused.stderr


def test_a_machine_has_no_terminal_and_forwards_nothing(ssh: Ssh) -> None:
    asked = "sudo /usr/sbin/sshd -T -C user=ci,host=a.invalid,addr=192.0.2.1"
    assert {"permittty no", "allowtcpforwarding no"} <= set(ssh("deploy", 2222, asked).stdout.splitlines())
    assert "permittty yes" in ssh("deploy", 2222, asked.replace("user=ci", "user=deploy")).stdout.splitlines()
