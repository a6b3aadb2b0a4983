"""The module on a directory of host keys that OpenSSH's own programs made."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.somos.infra.plugins.modules import sshd_host

Run = Callable[..., dict[str, Any]]

# OpenSSH's server need not be installed where the tests run; its answers are Debian 13's.
SSHD = "#!/bin/sh\nprintf '%s\\n' 'port 22' 'kexalgorithms x' 'requiredrsasize 1024'\n"
MODULI = "# comment\n20250101000000 2 6 100 2047 2 F1\n20250101000000 2 6 100 3071 2 F2\n"


class Server:
    """A directory like /etc/ssh, with keys that are as short as ssh-keygen lets them be."""

    def __init__(self, home: Path) -> None:
        self.etc, self.programs = home / "ssh", home / "bin"
        self.dropin = self.etc / "sshd_config.d" / "00-somos.conf"
        self.dropin.parent.mkdir(parents=True)
        self.programs.mkdir()
        (self.programs / "sshd").write_text(SSHD)
        (self.programs / "sshd").chmod(0o755)
        (self.etc / "moduli").write_text(MODULI)
        (self.etc / "sshd_config").write_text("Include /etc/ssh/sshd_config.d/*.conf\n")
        self.keygen("rsa", "-b", "1024")
        self.keygen("ed25519")

    def keygen(self, kind: str, *size: str) -> None:
        argv = ["ssh-keygen", "-q", "-t", kind, *size, "-N", "", "-f", str(self.key(kind))]
        subprocess.run(argv, check=True)

    def key(self, kind: str) -> Path:
        return self.etc / f"ssh_host_{kind}_key"

    def settle(self) -> None:
        self.dropin.write_text(f"HostKey {self.key('rsa')}\n")

    def files(self) -> dict[str, tuple[bytes, int]]:
        return {
            str(path.relative_to(self.etc)): (path.read_bytes(), path.stat().st_mode)
            for path in sorted(self.etc.rglob("*"))
            if path.is_file()
        }


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Server:
    made = Server(tmp_path)
    monkeypatch.setenv("PATH", str(made.programs), prepend=":")
    return made


def run(run_module: Run, server: Server, **more: Any) -> dict[str, Any]:
    arguments: dict[str, Any] = {
        "algorithms": {"KexAlgorithms": ["mlkem999", "curve25519-sha256"], "Ciphers": ["aes256-ctr"]},
        # Keys of a size that is made in no time.
        "rsa_bits": 2048,
        "rsa_bits_min": 1536,
        "dropin": str(server.dropin),
        "directory": str(server.etc),
    }
    return run_module(sshd_host, **arguments | more)


def test_it_says_what_this_sshd_can_do(run_module: Run, server: Server) -> None:
    result = run(run_module, server)
    assert result["algorithms"] == {"KexAlgorithms": ["curve25519-sha256"]}, "the fake sshd knows no keyword Ciphers"
    assert result["keywords"] == ["kexalgorithms", "port", "requiredrsasize"]
    assert result["host_keys"] == [str(server.key("rsa")), str(server.key("ed25519"))]


def test_a_key_that_clients_may_know_stays_until_another_one_is_proven(run_module: Run, server: Server) -> None:
    before = server.key("rsa").read_bytes()
    run(run_module, server)
    assert server.key("rsa").read_bytes() == before


def test_during_the_move_a_short_key_becomes_a_long_one(run_module: Run, server: Server) -> None:
    ed25519 = server.key("ed25519").read_bytes()
    result = run(run_module, server, replace_rsa=True)
    assert f"{server.key('rsa')}: 1024 bits, SHA256:" in result["diff"]["before"]
    listed = subprocess.run(
        ["ssh-keygen", "-l", "-f", str(server.key("rsa"))], check=True, capture_output=True, text=True
    ).stdout
    assert listed.startswith(f"2048 {result['fingerprints'][0]} ")
    assert server.key("ed25519").read_bytes() == ed25519
    assert not run(run_module, server, replace_rsa=True)["changed"]


@pytest.mark.parametrize(("bits", "stays"), [("1024", False), ("1664", True)])
def test_a_settled_key_is_replaced_only_when_it_is_weak(
    run_module: Run, server: Server, bits: str, stays: bool
) -> None:
    server.key("rsa").unlink()
    server.keygen("rsa", "-b", bits)
    server.settle()
    before = server.key("rsa").read_bytes()
    run(run_module, server, replace_rsa=True)
    assert (server.key("rsa").read_bytes() == before) is stays


def test_a_missing_key_is_made(run_module: Run, server: Server) -> None:
    server.key("ed25519").unlink()
    result = run(run_module, server)
    assert server.key("ed25519").stat().st_mode & 0o7777 == 0o600
    assert f"{server.key('ed25519')}: none" in result["diff"]["before"]
    assert result["fingerprints"][1].startswith("SHA256:")


def test_cut_off_between_the_halves_of_a_key_the_next_run_writes_the_other(run_module: Run, server: Server) -> None:
    public = server.key("ed25519").with_name("ssh_host_ed25519_key.pub")
    right = public.read_text().split()[:2]
    fingerprints = run(run_module, server)["fingerprints"]
    for broken in (None, server.key("rsa").with_name("ssh_host_rsa_key.pub").read_text()):
        if broken:
            public.write_text(broken)
        else:
            public.unlink()
        result = run(run_module, server)
        assert result["changed"]
        assert result["fingerprints"] == fingerprints, "a strange public half must not pass for the key"
        assert public.read_text().split()[:2] == right
        assert not run(run_module, server)["changed"]


def test_modes_are_put_right(run_module: Run, server: Server) -> None:
    run(run_module, server)
    (server.etc / "sshd_config").chmod(0o644)
    server.key("ed25519").chmod(0o640)
    for check in (True, False):
        result = run(run_module, server, check=check)
        assert f"{server.key('ed25519')}: " in result["diff"]["before"]
        assert "0640" in result["diff"]["before"]
    assert (server.etc / "sshd_config").stat().st_mode & 0o7777 == 0o600
    assert server.key("ed25519").stat().st_mode & 0o7777 == 0o600


def test_small_groups_leave_the_moduli(run_module: Run, server: Server) -> None:
    result = run(run_module, server)
    assert f"{server.etc / 'moduli'}: 1 groups of less than 3072 bits" in result["diff"]["before"]
    assert (server.etc / "moduli").read_text() == "# comment\n20250101000000 2 6 100 3071 2 F2\n"
    assert not run(run_module, server)["changed"]


def test_check_mode_tells_all_of_it_and_leaves_all_of_it(run_module: Run, server: Server) -> None:
    server.key("ed25519").unlink()
    before = server.files()
    result = run(run_module, server, check=True, replace_rsa=True)
    assert server.files() == before
    assert result["changed"]
    assert len(result["diff"]["after"].splitlines()) >= 3
    assert result["fingerprints"] == ["", ""]


def test_a_server_without_sshd_is_refused_and_predicted(
    run_module: Run, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.rmtree(server.programs)
    monkeypatch.setattr(sshd_host.AnsibleModule, "get_bin_path", lambda *_, **__: None)
    assert "install openssh-server" in run(run_module, server)["msg"]
    predicted = run(run_module, server, check=True)
    assert predicted["changed"]
    assert predicted["keywords"] == []


def test_nothing_is_changed_when_an_algorithm_list_comes_to_nothing(run_module: Run, server: Server) -> None:
    before = server.files()
    result = run(run_module, server, algorithms={"KexAlgorithms": ["mlkem999"]}, replace_rsa=True)
    assert "KexAlgorithms: this sshd has none of mlkem999" in result["msg"]
    assert server.files() == before
