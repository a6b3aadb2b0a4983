"""Role base: the files it writes."""

from __future__ import annotations

from typing import Any

import pytest
from render import render_files, render_role, scenario

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBcNYRtwHVXLpMaKl4pK6YCrnYYVFZxg6MSgcqaXHnLJ"
KEYS = {"base_deploy_authorized_keys": [KEY]}
SYSCTL = "etc/sysctl.d/99-somos.conf"
SUDOERS = "etc/sudoers.d/somos"
APT = "etc/apt/apt.conf.d/60-somos"


def files(**overrides: Any) -> dict[str, str]:
    return render_role("base", {**KEYS, **overrides})


def facts(**more: Any) -> dict[str, Any]:
    return {"ansible_facts": {**scenario()["scenario_facts"], **more}}


def active(text: str, comment: str = "#") -> list[str]:
    return [line for line in text.splitlines() if line and not line.startswith(comment)]


def sysctl(**overrides: Any) -> dict[str, str]:
    return dict(line.split(" = ") for line in active(files(**overrides)[SYSCTL]))


def test_outgoing_ports_leave_the_services_alone() -> None:
    settings = sysctl(base_reserved_ports=[5432, 9000])
    assert settings["net.ipv4.ip_local_port_range"] == "1024 65535"
    assert settings["net.ipv4.ip_local_reserved_ports"] == "5432,9000"


def test_redis_and_postgresql_get_the_memory_model_they_want() -> None:
    assert sysctl()["vm.overcommit_memory"] == "1"


def test_hardening_leaves_docker_its_forwarding_and_its_second_way() -> None:
    settings = sysctl()
    assert not [key for key in settings if "forward" in key]
    assert settings["net.ipv4.conf.all.rp_filter"] == "2"
    assert settings["kernel.kptr_restrict"] == "2"
    assert "kernel.modules_disabled" not in settings


def test_without_hardening_only_the_seeds_settings_remain() -> None:
    assert set(sysctl(base_kernel_hardening=False)) == {
        "net.core.somaxconn",
        "net.ipv4.tcp_max_syn_backlog",
        "net.ipv4.ip_local_port_range",
        "net.ipv4.ip_local_reserved_ports",
        "net.ipv4.tcp_tw_reuse",
        "vm.overcommit_memory",
        "vm.swappiness",
    }


def test_overrides_win_and_null_leaves_a_setting_alone() -> None:
    settings = sysctl(base_sysctl_overrides={"vm.swappiness": 1, "kernel.pid_max": None, "kernel.sysrq": 4})
    assert (settings["vm.swappiness"], settings["kernel.sysrq"]) == ("1", "4")
    assert "kernel.pid_max" not in settings


def test_a_server_that_needs_its_router_keeps_listening_to_it() -> None:
    assert sysctl()["net.ipv6.conf.all.accept_ra"] == "0"
    learned = sysctl(__base_state={"router_interfaces": ["ens3", "eth0.100"]})
    assert not [key for key in learned if ".accept_ra" in key or "autoconf" in key or "router_solicitations" in key]


def test_it_goes_on_listening_when_docker_forwards_packets_whatever_else_is_hardened() -> None:
    for hardened in (True, False):
        settings = sysctl(base_kernel_hardening=hardened, __base_state={"router_interfaces": ["ens3", "eth0.100"]})
        assert settings["net/ipv6/conf/ens3/accept_ra"] == settings["net/ipv6/conf/eth0.100/accept_ra"] == "2"


def test_sudo_asks_nothing_and_its_file_is_closed() -> None:
    file = render_files("base", {**KEYS, "base_deploy_user": "ops"})[SUDOERS]
    assert "ops ALL=(ALL:ALL) NOPASSWD: ALL\n" in file.text
    assert file.mode == "0440"


def test_an_operator_may_do_what_is_listed_and_nothing_else() -> None:
    people = [
        {"name": "ana", "authorized_keys": [KEY], "sudo": ["ALL"]},
        {"name": "bob", "authorized_keys": [KEY], "sudo": ["/usr/bin/systemctl restart docker", "/usr/bin/less"]},
        {"name": "eva", "authorized_keys": [KEY]},
    ]
    lines = active(files(base_operators=people)[SUDOERS])
    assert "ana ALL=(ALL:ALL) NOPASSWD: ALL" in lines
    assert "bob ALL=(root) NOPASSWD: /usr/bin/systemctl restart docker, /usr/bin/less" in lines
    assert not [line for line in lines if "eva" in line]


@pytest.mark.parametrize(
    ("distribution", "major", "path"),
    [
        ("Debian", "13", "etc/locale.conf"),
        ("Debian", "12", "etc/default/locale"),
        ("Ubuntu", "22", "etc/default/locale"),
        ("Ubuntu", "24", "etc/default/locale"),
    ],
)
def test_the_locale_goes_where_the_distribution_looks_and_root_speaks_c(
    distribution: str, major: str, path: str
) -> None:
    found = files(**facts(distribution=distribution, distribution_major_version=major))
    assert [name for name in found if "locale" in name] == [path]
    assert active(found[path]) == ["LANG=C.UTF-8"]
    assert "  export LANG=pt_BR.UTF-8\n" in found["etc/profile.d/50-somos.sh"]


@pytest.mark.parametrize(
    ("distribution", "origin"),
    [
        ("Debian", '"origin=Debian,codename=${distro_codename}-security,label=Debian-Security";'),
        ("Ubuntu", '"origin=Ubuntu,archive=${distro_codename}-security";'),
    ],
)
def test_only_security_updates_come_by_themselves(distribution: str, origin: str) -> None:
    lines = [line.strip() for line in files(**facts(distribution=distribution))[APT].splitlines()]
    assert origin in lines
    assert all("security" in line.lower() for line in lines if line.startswith('"origin='))
    assert lines.index("#clear Unattended-Upgrade::Origins-Pattern;") < lines.index(origin)
    assert '"docker";' in lines
    assert 'Unattended-Upgrade::Automatic-Reboot "false";' in lines


def test_a_restart_has_its_hour() -> None:
    text = files(base_reboot_time="04:30")[APT]
    assert 'Unattended-Upgrade::Automatic-Reboot "true";' in text
    assert 'Unattended-Upgrade::Automatic-Reboot-Time "04:30";' in text


def test_a_module_is_blocked_for_the_kernel_and_for_people() -> None:
    lines = active(files(base_blocked_modules=["dccp"])["etc/modprobe.d/60-somos.conf"])
    assert lines == ["install dccp /bin/false", "blacklist dccp"]


def test_docker_s_file_system_is_not_blocked() -> None:
    assert "overlay" not in files()["etc/modprobe.d/60-somos.conf"]


def test_no_metric_without_a_directory_for_it() -> None:
    assert "etc/systemd/system/somos-reboot-metric.timer" in files()
    assert not [path for path in files(base_metrics_directory="") if "reboot-metric" in path]


def test_a_container_gets_no_swap_unit_and_no_audit() -> None:
    in_container = files(**facts(virtualization_tech_guest=["docker", "container"]))
    assert not [path for path in in_container if "swapfile" in path or "audit" in path]


def audit_rules(architecture: str) -> list[str]:
    server = facts(virtualization_tech_guest=["kvm"], architecture=architecture)
    return active(files(**server)["etc/audit/rules.d/60-somos.rules"])


def test_a_server_is_audited_on_both_sides_of_its_processor() -> None:
    rules = audit_rules("x86_64")
    assert sum("arch=b64" in rule for rule in rules) == sum("arch=b32" in rule for rule in rules) > 10
    assert "-w /etc/sudoers -p wa -k scope" in rules
    assert not [rule for rule in audit_rules("aarch64") if "b32" in rule]


def test_a_processor_is_asked_about_no_call_that_it_lacks() -> None:
    """One unknown name costs the whole rule; these are not in the table of asm-generic/unistd.h."""
    lacking = {"chmod", "chown", "lchown", "unlink", "rename", "creat", "open"}
    asked = [set(rule.split(" -S ")[1].split()[0].split(",")) for rule in audit_rules("aarch64") if " -S " in rule]
    assert len(asked) > 10
    assert not lacking & set().union(*asked)


def test_swap_is_a_unit_where_the_file_can_be_used() -> None:
    unit = "etc/systemd/system/swapfile.swap"
    assert unit not in files(__base_swap={"usable": False})
    assert "What=/swapfile\n" in files(__base_swap={"usable": True})[unit]


def test_an_idle_shell_ends_unless_it_is_told_otherwise() -> None:
    assert "TMOUT=600\n" in files()["etc/profile.d/50-somos.sh"]
    assert "TMOUT" not in files(base_shell_timeout_minutes=0)["etc/profile.d/50-somos.sh"]
