"""Role base on a server that was bare a minute ago."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import testinfra
from testinfra.host import Host

BUILD = Path(__file__).resolve().parents[3] / "build"


@pytest.mark.parametrize("tool", ["curl", "wget", "git", "htop", "iotop", "ncdu", "debsums", "aide"])
def test_the_tools_of_the_seed_are_there(host: Host, tool: str) -> None:
    assert host.exists(tool)


def test_people_speak_portuguese_and_programs_do_not(host: Host) -> None:
    assert host.run("su -l deploy -c 'locale -k LC_TIME | grep ^mon='").stdout.startswith('mon="janeiro')
    assert host.run("su -l deploy -c 'sudo -n locale -k LC_TIME | grep ^mon='").stdout.startswith('mon="January')
    assert host.run("bash -lc 'locale -k LC_TIME | grep ^mon='").stdout.startswith('mon="January')
    assert host.check_output("systemctl show-environment | grep ^LANG=") in ("LANG=C.UTF-8", "LANG=")


def test_it_is_brasilias_time(host: Host) -> None:
    assert host.check_output("date +%Z") == "-03"
    assert host.check_output("readlink -f /etc/localtime").endswith("America/Sao_Paulo")


def test_deploy_becomes_root_without_a_password_and_with_root_s_umask(host: Host) -> None:
    assert host.check_output("su -l deploy -c 'sudo -n id -u'") == "0"
    assert host.check_output("su -l deploy -c 'umask; sudo -n sh -c umask'").split() == ["0027", "0022"]
    assert host.file("/etc/sudoers.d/somos").mode == 0o440


def test_an_operator_may_do_what_is_listed_and_nothing_else(host: Host) -> None:
    assert host.check_output("su -l ana -c 'sudo -n id -u'") == "0"
    assert host.run("su -l bob -c 'sudo -n /usr/bin/systemctl status ssh'").rc in (0, 3)
    assert host.run("su -l bob -c 'sudo -n id -u'").failed
    assert "bob" in host.file("/var/log/sudo.log").content_string


@pytest.mark.parametrize("name", ["deploy", "ana", "bob"])
def test_accounts_have_no_password_that_could_expire(host: Host, name: str) -> None:
    fields = host.check_output("getent shadow %s", name).split(":")
    # No password, not locked, never too old, never unused for too long, no last day.
    assert (fields[1], fields[4], fields[6], fields[7]) in [("*", "99999", "", ""), ("*", "99999", "45", "")]


def test_only_the_inventorys_key_lets_deploy_in(host: Host) -> None:
    keys = host.file("/home/deploy/.ssh/authorized_keys")
    assert (keys.user, keys.mode) == ("deploy", 0o600)
    assert len(keys.content_string.splitlines()) == 1


def test_nobody_but_root_becomes_another_by_su(host: Host) -> None:
    assert host.run("su ana -c true").succeeded
    refused = host.run("su -l deploy -c 'echo x | su ana -c true'")
    assert refused.failed
    assert "denied" in refused.stderr.lower()


def test_wrong_passwords_lock_an_account_for_passwords_and_not_for_keys(host: Host, address: str) -> None:
    for _ in range(4):
        host.run("echo wrong | runuser -u nobody -- su deploy -c true")
    assert host.check_output("faillock --user deploy").count(" V") >= 3
    name = "molecule-" + os.environ["MOLECULE_SCENARIO_NAME"].replace("_", "-")
    known_hosts = BUILD / "hosts" / name / "known_hosts"
    deploy = testinfra.get_host(
        f"ssh://deploy@{address}",
        ssh_identity_file=str(BUILD / "demo" / "id_ed25519"),
        ssh_extra_args=f"-o IdentitiesOnly=yes -o UserKnownHostsFile={known_hosts}",
    )
    assert deploy.check_output("sudo -n id -u") == "0"


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("vm.overcommit_memory", "1"),
        ("vm.swappiness", "10"),
        ("net.core.somaxconn", "65535"),
        ("kernel.kptr_restrict", "2"),
        ("kernel.core_pattern", "|/bin/false"),
        ("net.ipv4.conf.all.rp_filter", "2"),
        ("net.ipv4.conf.all.send_redirects", "0"),
        ("net.ipv4.conf.eth0.send_redirects", "0"),
        ("net.ipv6.conf.all.accept_ra", "0"),
    ],
)
def test_the_running_kernel_has_the_settings(host: Host, key: str, value: str) -> None:
    assert host.check_output("cat /proc/sys/%s", key.replace(".", "/")) == value


def test_outgoing_connections_leave_the_services_ports_alone(host: Host) -> None:
    reserved = host.check_output("cat /proc/sys/net/ipv4/ip_local_reserved_ports")
    assert "5432" in reserved
    assert "3000-3001" in reserved


def test_a_restart_of_the_machine_brings_the_same_settings(host: Host) -> None:
    host.check_output("sysctl -w vm.swappiness=60 net.core.somaxconn=128 net.ipv4.conf.eth0.send_redirects=1")
    assert host.run("systemctl restart systemd-sysctl").succeeded
    assert host.check_output("cat /proc/sys/vm/swappiness /proc/sys/net/core/somaxconn").split() == ["10", "65535"]
    assert host.check_output("cat /proc/sys/net/ipv4/conf/eth0/send_redirects") == "0"


def test_security_updates_and_only_they_come_by_themselves(host: Host) -> None:
    said = host.run("unattended-upgrade --dry-run --debug")
    assert said.rc == 0
    text = said.stdout + said.stderr
    release = host.check_output("lsb_release -sc")
    assert f"origin=Debian,codename={release}-security,label=Debian-Security" in text
    refused = [line for line in text.splitlines() if "Marking not allowed" in line]
    assert not [line for line in refused if "Debian-Security" in line]
    assert [line for line in refused if release in line]


def test_the_engine_waits_for_a_person(host: Host) -> None:
    assert '"docker";' in host.check_output("apt-config dump Unattended-Upgrade::Package-Blacklist")


def test_the_journal_is_kept_and_capped(host: Host) -> None:
    assert host.file("/var/log/journal").is_directory
    assert "SystemMaxUse=1024M" in host.check_output("systemd-analyze cat-config systemd/journald.conf")


def test_log_files_are_rotated_by_size_too(host: Host) -> None:
    said = host.run("logrotate --debug /etc/logrotate.conf")
    assert said.rc == 0
    assert "/var/log/sudo.log" in said.stdout + said.stderr


@pytest.mark.parametrize("name", ["alternatives", "dpkg"])
def test_logs_of_packages_stay_closed_when_they_are_rotated(host: Host, name: str) -> None:
    host.check_output(f"echo a line >> /var/log/{name}.log && logrotate --force /etc/logrotate.d/{name}")
    log = host.file(f"/var/log/{name}.log")
    assert (log.mode, log.group) == (0o640, "adm")


def test_a_restart_that_is_due_becomes_a_metric(host: Host) -> None:
    metric = host.file("/var/lib/somos/metrics/somos_reboot.prom")
    assert host.service("somos-reboot-metric.timer").is_enabled
    host.check_output("systemctl start somos-reboot-metric.service")
    assert "\nsomos_reboot_required 0\n" in metric.content_string
    assert metric.mode == 0o644
    host.check_output("touch /run/reboot-required && systemctl start somos-reboot-metric.service")
    assert "\nsomos_reboot_required 1\n" in metric.content_string
    host.check_output("rm /run/reboot-required && systemctl start somos-reboot-metric.service")


def test_a_changed_program_is_found_and_told_once(host: Host) -> None:
    metric = host.file("/var/lib/somos/metrics/somos_integrity.prom")
    host.check_output("systemctl start aidecheck.service")
    host.check_output("echo '#' > /usr/local/bin/intruder && systemctl start aidecheck.service")
    assert "\nsomos_integrity_differs 1\n" in metric.content_string
    assert "/usr/local/bin/intruder" in host.check_output("journalctl -u aidecheck --no-pager -o cat")
    host.check_output("systemctl start aidecheck.service")
    assert "\nsomos_integrity_differs 0\n" in metric.content_string
    host.check_output("rm /usr/local/bin/intruder && systemctl start aidecheck.service")


def test_nothing_is_broken(host: Host) -> None:
    assert host.check_output("systemctl --failed --no-legend --plain") == ""
    assert host.run("apt-get update").succeeded
    assert host.run("su -l deploy -c 'sudo -n apt-get update'").succeeded
