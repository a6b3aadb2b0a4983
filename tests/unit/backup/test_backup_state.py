from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from somos_backup.errors import BusyError
from somos_backup.state import State, alone, replace

HOLDER = """
import sys, time
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from somos_backup.state import alone
with alone(Path(sys.argv[2]), "run", 0):
    print("held", flush=True)
    time.sleep(float(sys.argv[3]))
"""
PROGRAM = Path(__file__).resolve().parents[3] / "roles" / "backup" / "files"


def hold(directory: Path, seconds: float) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", HOLDER, str(PROGRAM), str(directory), str(seconds)]
    holder = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert holder.stdout and holder.stdout.readline() == "held\n"
    return holder


def test_notes_are_added_to_what_is_known(tmp_path: Path) -> None:
    state = State(tmp_path / "state")
    state.note("runs", "redis", "local", ok=1, last_success=5)
    state.note("runs", "redis", "offsite", ok=1)
    state.note("runs", "redis", "local", ok=0)
    assert state.read() == {"runs": {"redis": {"local": {"ok": 0, "last_success": 5}, "offsite": {"ok": 1}}}}
    assert state.path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("text", ["", "{", "[]"])
def test_a_state_that_cannot_be_read_stops_nothing(tmp_path: Path, text: str) -> None:
    state = State(tmp_path)
    state.path.write_text(text)
    state.note("runs", "redis", "local", ok=1)
    assert state.read() == {"runs": {"redis": {"local": {"ok": 1}}}}


def test_a_state_that_fails_to_change_stays(tmp_path: Path) -> None:
    state = State(tmp_path)
    state.note("runs", "redis", "local", ok=1)
    with pytest.raises(KeyError), state.changed() as values:
        values.clear()
        raise KeyError
    assert state.read() == {"runs": {"redis": {"local": {"ok": 1}}}}


def test_a_file_is_replaced_as_a_whole_with_its_mode(tmp_path: Path) -> None:
    path = tmp_path / "metrics.prom"
    path.write_text("old")
    path.chmod(0o600)
    with path.open() as reader:
        replace(path, "new", 0o644)
        assert reader.read() == "old"
    assert path.read_text() == "new" and path.stat().st_mode & 0o777 == 0o644
    assert list(tmp_path.iterdir()) == [path]


def test_a_second_command_is_told_who_is_at_work(tmp_path: Path) -> None:
    holder = hold(tmp_path, 30)
    try:
        with (
            pytest.raises(BusyError, match=rf"`somos-backup run \(process {holder.pid}\)` is at work"),
            alone(tmp_path, "verify", 0),
        ):
            pass
    finally:
        holder.kill()
        holder.wait()
    with alone(tmp_path, "verify", 0):  # the kernel lets go of what a killed command held
        pass


def test_it_waits_when_it_is_told_to(tmp_path: Path) -> None:
    holder = hold(tmp_path, 0.5)
    began = time.monotonic()
    with alone(tmp_path, "verify", 30):
        assert time.monotonic() - began > 0.2
        assert (tmp_path / "lock").read_text().startswith("verify (process ")
    holder.wait()
