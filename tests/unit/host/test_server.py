"""How a test server is created, as far as it can be judged without an engine."""

from __future__ import annotations

import io
import os
import subprocess
import tarfile
from pathlib import Path

import pytest

from tests.host import engine, server
from tests.host.container import Container, tar_of
from tests.host.server import CAPABILITIES, Server, as_container, cgroup_words
from tests.host.shell import wait_until


@pytest.fixture(autouse=True)
def keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "id.pub").write_text("ssh-ed25519 AAAA somos-demo\n")
    (tmp_path / "ca.pem").write_text("authority\n")
    monkeypatch.setattr(server, "SSH_KEY", tmp_path / "id")
    monkeypatch.setattr(server, "CA", tmp_path / "ca.pem")
    return tmp_path


def test_a_server_can_change_neither_the_clock_nor_the_kernel_of_the_machine() -> None:
    assert not {"SYS_TIME", "SYS_MODULE", "SYS_BOOT", "SYS_RAWIO", "SYS_RESOURCE"} & set(CAPABILITIES)
    arguments = as_container(Server("x"), "image", "1").arguments
    assert "--cap-drop=ALL" in arguments
    assert "--privileged" not in arguments
    assert not [argument for argument in arguments if "/sys/fs/cgroup" in argument]
    assert "--cgroupns=private" in arguments


def test_systemd_is_told_to_accept_cgroup_v1_only_where_it_must() -> None:
    assert cgroup_words("1") == ["systemd.unified_cgroup_hierarchy=0", "SYSTEMD_CGROUP_ENABLE_LEGACY_FORCE=1"]
    assert cgroup_words("2") == []


def test_the_demo_server_has_its_address_and_its_sites() -> None:
    arguments = as_container(Server("somos-demo"), "image", "2").arguments
    assert "--ip=10.77.0.10" in arguments
    assert [a for a in arguments if a.startswith("--network-alias")] == [
        "--network-alias=app.somos.test",
        "--network-alias=s3.somos.test",
        "--network-alias=monitor.somos.test",
    ]


def test_servers_side_by_side_share_neither_data_nor_known_hosts() -> None:
    one, two = (as_container(Server(name), "image", "2") for name in ("molecule-a", "molecule-b"))
    assert not one.volumes.keys() & two.volumes.keys()
    assert Server("molecule-a").known_hosts != Server("molecule-b").known_hosts


def test_a_new_key_authority_or_address_makes_a_server_useless(keys: Path) -> None:
    before = Server("x", ip="10.77.0.20").access
    assert Server("x", ip="10.77.0.21").access != before
    assert Server("x", "debian12", ip="10.77.0.20").access != before
    (keys / "ca.pem").write_text("another authority\n")
    after = Server("x", ip="10.77.0.20").access
    assert after != before
    (keys / "id.pub").write_text("ssh-ed25519 BBBB somos-demo\n")
    assert Server("x", ip="10.77.0.20").access not in (before, after)


def test_specification_follows_image_arguments_and_files_but_does_not_show_them() -> None:
    base = Container("x", "image", ["--ip=1"], files={"/password": b"secret"})
    assert base.spec == Container("other name", "image", ["--ip=1"], files={"/password": b"secret"}).spec
    for changed in (
        Container("x", "image2", ["--ip=1"], files={"/password": b"secret"}),
        Container("x", "image", ["--ip=2"], files={"/password": b"secret"}),
        Container("x", "image", ["--ip=1"], files={"/password": b"other"}),
    ):
        assert changed.spec != base.spec
    assert "secret" not in base.spec


def test_secret_files_are_put_into_a_container_for_root_alone() -> None:
    with tarfile.open(fileobj=io.BytesIO(tar_of({"/w/tls.key": b"k", "/w/tls.crt": b"c", "/w/password": b"p"}))) as tar:
        modes = {member.name: member.mode for member in tar}
    assert modes == {"w/tls.key": 0o600, "w/tls.crt": 0o644, "w/password": 0o600}


@pytest.mark.parametrize("content", ["1", "999999999", "not a number"])
def test_pid_files_of_other_or_dead_programs_are_removed(tmp_path: Path, content: str) -> None:
    pid_file = tmp_path / "docker.pid"
    pid_file.write_text(content)
    engine.remove_stale(pid_file, "dockerd")
    assert not pid_file.exists()


def test_the_pid_file_of_a_living_engine_is_kept(tmp_path: Path) -> None:
    name = Path("/proc/self/comm").read_text().strip()
    pid_file = tmp_path / "docker.pid"
    pid_file.write_text(str(os.getpid()))
    engine.remove_stale(pid_file, name)
    assert pid_file.exists()


def test_an_engine_that_has_ended_and_was_not_waited_for_is_not_alive() -> None:
    ended = subprocess.Popen(["true"])
    status = Path(f"/proc/{ended.pid}/status")
    wait_until(lambda: "State:\tZ" in status.read_text(), seconds=5, what="ended")
    assert not engine.is_alive(str(ended.pid), "true")
    ended.wait()
