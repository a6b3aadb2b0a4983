"""Which keys stay, and with which one we came in."""

from __future__ import annotations

from pathlib import Path

from ansible_collections.somos.infra.plugins.module_utils._authorized_keys import (
    body,
    connection,
    fingerprint,
    key_in_use,
    wanted_lines,
)

OLD = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBcNYRtwHVXLpMaKl4pK6YCrnYYVFZxg6MSgcqaXHnLJ old"
NEW = "restrict,pty ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIEbSvGGqGQDqxJQbBEbhvFgFJ8xXTyl9hIk2nRkm0v4z new"
OTHER = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ7v1hC5yVZxLqo0a3mJ7m8L1oWZf7m3l8kq8m1rXk2p other"


def print_of(line: str) -> str:
    return fingerprint(body(line) or "")


def test_a_fingerprint_is_what_sshd_writes() -> None:
    assert print_of(OLD).startswith("SHA256:")
    assert len(print_of(OLD)) == len("SHA256:") + 43


def test_a_listed_key_in_use_proves_the_list() -> None:
    assert wanted_lines([OLD, OTHER], [NEW], print_of(NEW)) == ([NEW], [])


def test_the_key_in_use_stays_although_it_is_not_listed() -> None:
    assert wanted_lines([OLD, OTHER], [NEW], print_of(OLD)) == ([NEW, OLD], [OLD])


def test_if_nobody_knows_the_key_in_use_all_stay() -> None:
    assert wanted_lines([OLD, OTHER], [NEW], "") == ([NEW, OLD, OTHER], [OLD, OTHER])


def test_comments_go_and_nothing_stands_twice() -> None:
    assert wanted_lines(["# mine", "", NEW], [NEW, NEW], None) == ([NEW], [])


def test_a_listed_key_with_other_options_is_the_same_key() -> None:
    plain = NEW.removeprefix("restrict,pty ")
    assert wanted_lines([plain], [NEW], "") == ([NEW], [])


def test_a_key_in_a_comment_is_none() -> None:
    assert body(f"# {OLD}") is None


def test_the_log_tells_with_which_key_a_connection_was_opened() -> None:
    journal = "\n".join(
        [
            "Accepted publickey for root from 10.0.0.9 port 40000 ssh2: ED25519 SHA256:aaa",
            "Accepted publickey for deploy from 10.0.0.9 port 40001 ssh2: ED25519 SHA256:bbb",
            "Failed publickey for deploy from 10.0.0.9 port 40001 ssh2: ED25519 SHA256:ccc",
        ]
    )
    assert key_in_use(journal, "10.0.0.9 40001 10.0.0.1 22") == "SHA256:bbb"
    assert key_in_use(journal, "10.0.0.9 4000 10.0.0.1 22") == ""
    assert key_in_use(journal, "") == ""


def test_the_connection_is_found_above_sudo(tmp_path: Path) -> None:
    for process, parent, environment in [(30, 20, b"SUDO_USER=deploy\0"), (20, 10, b"A=1\0SSH_CONNECTION=a 1 b 2\0")]:
        (tmp_path / str(process)).mkdir()
        (tmp_path / str(process) / "environ").write_bytes(environment)
        (tmp_path / str(process) / "status").write_text(f"Name:\tx\nPPid:\t{parent}\n")
    assert connection(tmp_path, 30) == "a 1 b 2"
    assert connection(tmp_path, 99) == ""
