"""The SSH connection of a process, looked for up the tree of processes."""

from __future__ import annotations

from pathlib import Path

from ansible_collections.somos.infra.plugins.module_utils._ssh_connection import Connection, connection


def process(proc: Path, pid: int, parent: int, environment: bytes = b"", name: str = "sh") -> None:
    (proc / str(pid)).mkdir()
    (proc / str(pid) / "environ").write_bytes(environment)
    (proc / str(pid) / "stat").write_text(f"{pid} ({name}) S {parent} 1 1 0 -1")


def test_sudo_has_dropped_it_and_the_shell_above_has_it(tmp_path: Path) -> None:
    process(tmp_path, 10, 1, b"HOME=/\0SSH_CONNECTION=203.0.113.7 50123 198.51.100.2 2222\0")
    process(tmp_path, 11, 10, name="sudo")
    process(tmp_path, 12, 11, name="odd) S 99 (name")
    assert connection(tmp_path, 12) == Connection("203.0.113.7", "198.51.100.2", 2222)


def test_without_ssh_there_is_none(tmp_path: Path) -> None:
    process(tmp_path, 10, 1)
    process(tmp_path, 11, 10, b"SSH_CONNECTION=\0")
    assert connection(tmp_path, 11) is None
    assert connection(tmp_path, 99) is None
