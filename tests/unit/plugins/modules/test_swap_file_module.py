"""The module against a server whose /proc is a directory, with a mkswap that signs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.somos.infra.plugins.module_utils import _swap_file
from ansible_collections.somos.infra.plugins.modules import swap_file

Run = Callable[..., dict[str, Any]]

MKSWAP = """#!/usr/bin/env python3
import sys
with open(sys.argv[1], "r+b") as stream:
    stream.seek(4086)
    stream.write(b"SWAPSPACE2")
"""


class Server:
    def __init__(self, home: Path) -> None:
        self.home, self.file = home, home / "swapfile"
        (home / "proc").mkdir()
        (home / "proc/mounts").write_text("/dev/vda1 / ext4 rw 0 0\n")
        (home / "proc/meminfo").write_text("MemAvailable: 1000 kB\n")
        (home / "bin").mkdir()
        for name, text in {"mkswap": MKSWAP, "swapoff": '#!/bin/sh\necho "$1" >> "$0.log"\n'}.items():
            (home / "bin" / name).write_text(text)
            (home / "bin" / name).chmod(0o755)
        self.swaps()

    def swaps(self, *lines: str) -> None:
        (self.home / "proc/swaps").write_text("\n".join(["Filename Type Size Used Priority", *lines]) + "\n")


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Server:
    server = Server(tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"), prepend=":")
    monkeypatch.setattr(swap_file.shutil, "disk_usage", lambda path: type("Usage", (), {"free": 10 * 1024**3}))
    return server


def run(run_module: Run, server: Server, size: int, **more: Any) -> dict[str, Any]:
    return run_module(swap_file, path=str(server.file), size_mb=size, root=str(server.home), **more)


def test_it_is_made_once(run_module: Run, server: Server) -> None:
    assert run(run_module, server, 2)["changed"]
    assert server.file.stat().st_size == 2 * 1024 * 1024
    assert not run(run_module, server, 2)["changed"]


def test_check_mode_predicts_and_makes_nothing(run_module: Run, server: Server) -> None:
    assert run(run_module, server, 2, check=True)["changed"]
    assert not server.file.exists()


def test_a_run_that_is_cut_off_leaves_nothing_that_counts(
    run_module: Run, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cut(path: Path, size_mb: int) -> None:
        path.write_bytes(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(swap_file, "fill", cut)
    with pytest.raises(KeyboardInterrupt):
        run(run_module, server, 2)
    assert not server.file.exists()
    monkeypatch.setattr(swap_file, "fill", _swap_file.fill)
    assert run(run_module, server, 2)["changed"]
    assert sorted(path.name for path in server.home.iterdir()) == ["bin", "proc", "swapfile"]


def test_where_the_file_system_does_not_allow_it_there_is_none(run_module: Run, server: Server) -> None:
    (server.home / "proc/mounts").write_text("/dev/vda1 / btrfs rw 0 0\n")
    result = run(run_module, server, 2)
    assert (result["changed"], result["usable"]) == (False, False)
    assert "btrfs" in result["reason"]


def test_swap_that_is_there_is_enough(run_module: Run, server: Server) -> None:
    server.swaps("/dev/vda2 partition 2048 0 -2")
    assert "/dev/vda2" in run(run_module, server, 2)["reason"]


def test_another_size_takes_it_out_of_use_first(run_module: Run, server: Server) -> None:
    run(run_module, server, 2)
    server.swaps(f"{server.file} file 2048 1 -2")
    assert run(run_module, server, 3)["changed"]
    assert (server.home / "bin/swapoff.log").read_text().strip() == str(server.file)
    assert server.file.stat().st_size == 3 * 1024 * 1024


def test_what_does_not_fit_into_memory_stays_in_it(run_module: Run, server: Server) -> None:
    run(run_module, server, 2)
    server.swaps(f"{server.file} file 2048 2000 -2")
    result = run(run_module, server, 3)
    assert result["failed"]
    assert "do not fit into memory" in result["msg"]


def test_a_full_disk_leaves_the_old_one_in_use(
    run_module: Run, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(run_module, server, 2)
    server.swaps(f"{server.file} file 2048 1 -2")
    monkeypatch.setattr(swap_file.shutil, "disk_usage", lambda path: type("Usage", (), {"free": 1024**3}))
    result = run(run_module, server, 3)
    assert result["failed"]
    assert "less than 1 GiB" in result["msg"]
    assert not (server.home / "bin/swapoff.log").exists()
    assert server.file.stat().st_size == 2 * 1024 * 1024


def test_zero_removes_it(run_module: Run, server: Server) -> None:
    run(run_module, server, 2)
    assert run(run_module, server, 0)["changed"]
    assert not server.file.exists()
    assert not run(run_module, server, 0)["changed"]
