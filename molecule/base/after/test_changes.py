"""What was changed by hand is right again, and an operator who has left is out."""

from __future__ import annotations

from testinfra.host import Host


def test_sudo_s_rules_are_the_inventory_s(host: Host) -> None:
    file = host.file("/etc/sudoers.d/somos")
    assert file.mode == 0o440
    lines = [line for line in file.content_string.splitlines() if "NOPASSWD" in line]
    assert lines == ["deploy ALL=(ALL:ALL) NOPASSWD: ALL", "ana ALL=(ALL:ALL) NOPASSWD: ALL"]


def test_the_kernel_has_its_settings_back_on_every_interface(host: Host) -> None:
    assert host.check_output("cat /proc/sys/kernel/kptr_restrict") == "2"
    assert host.check_output("cat /proc/sys/net/ipv4/conf/eth0/send_redirects") == "0"


def test_pam_locks_again_and_takes_no_empty_password(host: Host) -> None:
    stack = host.file("/etc/pam.d/common-auth").content_string
    assert stack.count("pam_faillock.so") == 3
    assert "nullok" not in stack


def test_the_key_that_nobody_listed_is_gone(host: Host) -> None:
    keys = host.file("/home/deploy/.ssh/authorized_keys").content_string
    assert len(keys.splitlines()) == 1
    assert "intruder" not in keys


def test_permissions_and_defaults_are_right_again(host: Host) -> None:
    assert host.file("/root/.bashrc").mode == 0o640
    assert host.file("/etc/sudoers.d").mode == 0o750
    assert "\nUMASK\t027\n" in host.file("/etc/login.defs").content_string


def test_who_has_left_cannot_come_in_and_keeps_his_files(host: Host) -> None:
    assert host.file("/home/bob/.ssh/authorized_keys").content_string == ""
    assert host.check_output("id -nG bob") == "bob"
    assert host.check_output("getent shadow bob | cut -d: -f8") == "0"
    assert host.run("su bob -c true").failed
    assert host.run("su ana -c true").succeeded
