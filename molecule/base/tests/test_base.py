"""Role base on a server that was bare a minute ago."""

from __future__ import annotations

import pytest
from testinfra.host import Host


@pytest.mark.parametrize("tool", ["curl", "wget", "git", "htop", "iotop", "ncdu"])
def test_the_tools_of_the_seed_are_there(host: Host, tool: str) -> None:
    assert host.exists(tool)


def test_a_login_speaks_portuguese_and_tells_brasilias_time(host: Host) -> None:
    assert host.run("su -l deploy -c 'locale -k LC_TIME | grep ^mon='").stdout.startswith('mon="janeiro')
    assert host.check_output("date +%Z") == "-03"
    assert host.check_output("readlink -f /etc/localtime").endswith("America/Sao_Paulo")


def test_deploy_becomes_root_without_a_password(host: Host) -> None:
    assert host.check_output("su -l deploy -c 'sudo -n id -u'") == "0"
    assert host.file("/etc/sudoers.d/somos").mode == 0o440


def test_deploy_has_no_password_and_is_not_locked(host: Host) -> None:
    assert host.check_output("getent shadow deploy | cut -d: -f2") == "*"


def test_only_the_inventorys_key_lets_deploy_in(host: Host) -> None:
    keys = host.file("/home/deploy/.ssh/authorized_keys")
    assert (keys.user, keys.mode) == ("deploy", 0o600)
    assert len(keys.content_string.splitlines()) == 1


@pytest.mark.parametrize(
    ("key", "value"), [("vm.overcommit_memory", "1"), ("vm.swappiness", "10"), ("net.core.somaxconn", "65535")]
)
def test_the_running_kernel_has_the_settings(host: Host, key: str, value: str) -> None:
    assert host.check_output("cat /proc/sys/%s", key.replace(".", "/")) == value


def test_outgoing_connections_leave_the_services_ports_alone(host: Host) -> None:
    reserved = host.check_output("cat /proc/sys/net/ipv4/ip_local_reserved_ports")
    assert "5432" in reserved
    assert "3000-3001" in reserved


def test_a_restart_of_the_machine_brings_the_same_settings(host: Host) -> None:
    host.check_output("sysctl -w vm.swappiness=60 net.core.somaxconn=128")
    assert host.run("systemctl restart systemd-sysctl").succeeded
    assert host.check_output("cat /proc/sys/vm/swappiness /proc/sys/net/core/somaxconn").split() == ["10", "65535"]
