"""Role base: the files it writes."""

from __future__ import annotations

import pytest
from render import render_files, render_role, scenario

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBcNYRtwHVXLpMaKl4pK6YCrnYYVFZxg6MSgcqaXHnLJ"
KEYS = {"base_deploy_authorized_keys": [KEY]}
SYSCTL = "etc/sysctl.d/60-somos.conf"


def sysctl(**overrides: object) -> dict[str, str]:
    lines = render_role("base", {**KEYS, **overrides})[SYSCTL].splitlines()
    pairs = (line.split(" = ") for line in lines if line and not line.startswith("#"))
    return dict(pairs)


def test_every_setting_is_one_that_a_kernel_may_lack() -> None:
    assert all(key.startswith("-") for key in sysctl())


def test_outgoing_ports_leave_the_services_alone() -> None:
    settings = sysctl(base_reserved_ports=[5432, 9000])
    assert settings["-net.ipv4.ip_local_port_range"] == "1024 65535"
    assert settings["-net.ipv4.ip_local_reserved_ports"] == "5432,9000"


def test_redis_and_postgresql_get_the_memory_model_they_want() -> None:
    assert sysctl()["-vm.overcommit_memory"] == "1"


def test_sudo_asks_nothing_and_its_file_is_closed() -> None:
    file = render_files("base", {**KEYS, "base_deploy_user": "ops"})["etc/sudoers.d/somos"]
    assert "ops ALL=(ALL:ALL) NOPASSWD: ALL\n" in file.text
    assert file.mode == "0440"


@pytest.mark.parametrize(
    ("distribution", "major", "path"),
    [
        ("Debian", "13", "etc/locale.conf"),
        ("Debian", "12", "etc/default/locale"),
        ("Ubuntu", "22", "etc/default/locale"),
        ("Ubuntu", "24", "etc/default/locale"),
    ],
)
def test_the_locale_goes_where_the_distribution_looks(distribution: str, major: str, path: str) -> None:
    facts = {**scenario()["scenario_facts"], "distribution": distribution, "distribution_major_version": major}
    files = render_role("base", {**KEYS, "ansible_facts": facts})
    assert [name for name in files if "locale" in name] == [path]
    assert "LANG=pt_BR.UTF-8\n" in files[path]
