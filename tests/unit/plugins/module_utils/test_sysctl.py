"""Kernel settings against a directory that plays /proc/sys."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from ansible_collections.somos.infra.plugins.module_utils._sysctl import canonical, compare, path_of, write

PORTS = "net.ipv4.ip_local_reserved_ports"


@pytest.fixture
def kernel(tmp_path: Path) -> Path:
    values = {
        "vm/swappiness": "60",
        "net/ipv4/ip_local_port_range": "1024\t65535",
        "net/ipv4/ip_local_reserved_ports": "3000-3001,5432",
        "net/ipv4/conf/eth0.100/rp_filter": "0",
    }
    for name, value in values.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{value}\n")
    return tmp_path


def test_a_setting_that_differs_is_found_and_written(kernel: Path) -> None:
    comparison = compare({"vm.swappiness": 10}, kernel)
    assert (comparison.before, comparison.after) == ({"vm.swappiness": "60"}, {"vm.swappiness": "10"})
    assert write(comparison.after, kernel) == []
    assert not compare({"vm.swappiness": 10}, kernel).after


def test_spaces_and_tabs_are_no_difference(kernel: Path) -> None:
    assert not compare({"net.ipv4.ip_local_port_range": "1024 65535"}, kernel).after


def test_ports_equal_the_ranges_that_the_kernel_makes_of_them(kernel: Path) -> None:
    assert not compare({PORTS: "5432,3001,3000"}, kernel).after
    assert compare({PORTS: "5432,3001"}, kernel).after == {PORTS: "3001,5432"}


@pytest.mark.parametrize(
    ("text", "expected"), [("", ""), ("1", "1"), ("3,1,2", "1-3"), ("1-3,2-5,9", "1-5,9"), ("7\n8", "7-8")]
)
def test_lists_of_ports_have_one_notation(text: str, expected: str) -> None:
    assert canonical(PORTS, text) == expected


def test_a_setting_the_kernel_lacks_is_reported_and_left_out(kernel: Path) -> None:
    comparison = compare({"kernel.no_such_thing": 1}, kernel)
    assert (comparison.absent, comparison.after) == (["kernel.no_such_thing"], {})


def test_names_with_dots_are_written_with_slashes(kernel: Path) -> None:
    assert compare({"net/ipv4/conf/eth0.100/rp_filter": 1}, kernel).after
    assert path_of("net.ipv4.conf.eth0/100.rp_filter", kernel) == kernel / "net/ipv4/conf/eth0.100/rp_filter"


@pytest.mark.parametrize("name", ["", "/etc/passwd", "../../etc/passwd", "vm/../../etc/passwd"])
def test_a_name_that_leaves_proc_sys_is_refused(kernel: Path, name: str) -> None:
    with pytest.raises(ValueError, match="not the name of a kernel setting"):
        path_of(name, kernel)


def _fail_with(number: int) -> object:
    def write_text(*_: object) -> int:
        raise OSError(number, "no")

    return write_text


@pytest.mark.parametrize("number", [errno.EACCES, errno.EPERM, errno.EROFS])
def test_a_machine_that_keeps_a_setting_to_itself_is_reported(
    kernel: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    monkeypatch.setattr(Path, "write_text", _fail_with(number))
    assert write({"vm.swappiness": "10"}, kernel) == ["vm.swappiness"]


def test_a_value_the_kernel_does_not_take_fails_and_is_named(kernel: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "write_text", _fail_with(errno.EINVAL))
    with pytest.raises(ValueError, match=r"vm\.swappiness = many"):
        write({"vm.swappiness": "many"}, kernel)


def test_a_star_is_every_interface_without_a_setting_of_its_own(kernel: Path) -> None:
    for name in ("all", "eth0.100", "eth1"):
        path = kernel / "net/ipv4/conf" / name / "send_redirects"
        path.parent.mkdir(exist_ok=True)
        path.write_text("1\n")
    wanted = {"net.ipv4.conf.all.send_redirects": 1, "net.ipv4.conf.*.send_redirects": 0}
    assert compare(wanted, kernel).after == {
        "net/ipv4/conf/eth0.100/send_redirects": "0",
        "net/ipv4/conf/eth1/send_redirects": "0",
    }
