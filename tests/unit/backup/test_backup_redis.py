from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from backup_case import Containers, config

from somos_backup.errors import BackupError
from somos_backup.jobs.redis import Redis, keys_read

CHECKED = "[offset 0] Checking RDB file /proc/self/fd/3\n[info] 12 keys read\n[info] 3 expires\n"


def persistence(saves: int, saving: int = 0, status: str = "ok", loading: int = 0) -> str:
    return (
        f"# Persistence\r\nloading:{loading}\r\nrdb_bgsave_in_progress:{saving}\r\nrdb_last_bgsave_status:{status}\r\n"
        f"rdb_saves:{saves}\r\n"
    )


class Server:
    """Redis as its command line shows it: what it says of itself, one answer after another."""

    def __init__(self, *said: str, bgsave: str = "Background saving started\n", fetched: bytes = b"REDIS") -> None:
        self.said = list(said)
        self.slept = 0
        self.fetched = fetched
        self.containers = Containers(
            {
                "INFO persistence": lambda stdout: self.said.pop(0),
                "BGSAVE": lambda stdout: self._save(bgsave),
                "redis-check-rdb": self._fetch,
                "INFO server": "redis_version:7.4.11\r\n",
                "INFO memory": "used_memory:1000\r\n",
            }
        )

    def _save(self, answer: str) -> str:
        self.said_before_saving = len(self.said)
        return answer

    def _fetch(self, stdout: Any) -> str:
        stdout.write(self.fetched)
        return CHECKED

    def sleep(self, seconds: float) -> None:
        self.slept += 1


@pytest.fixture
def job(tmp_path: Path) -> Callable[[Server], Redis]:
    def make(server: Server) -> Redis:
        values = {
            "name": "redis",
            "kind": "redis",
            "services": ["redis"],
            "password_path": "/run/secrets/password",
            "keep_days": 14,
        }
        made = Redis(config(tmp_path), values, sleep=server.sleep)
        made.compose = server.containers  # type: ignore[assignment]
        return made

    return make


def test_a_snapshot_of_this_moment_is_fetched_and_counted(tmp_path: Path, job: Callable[[Server], Redis]) -> None:
    server = Server(persistence(4), persistence(4, saving=1), persistence(5))
    facts = job(server).stage(tmp_path)
    assert facts == {"services": {"redis": {"version": "7.4.11", "keys": 12}}}
    assert (tmp_path / "redis.rdb").read_bytes() == b"REDIS"
    assert server.slept == 1 and server.said == []


def test_a_save_that_is_under_way_is_waited_for_and_is_not_taken_for_this_one(
    tmp_path: Path, job: Callable[[Server], Redis]
) -> None:
    server = Server(persistence(4, saving=1), persistence(5), persistence(5), persistence(6))
    job(server).stage(tmp_path)
    assert server.said == [] and server.slept == 2
    assert sum("BGSAVE" in command for command in server.containers.commands) == 1


def test_a_server_that_loads_is_waited_for(tmp_path: Path, job: Callable[[Server], Redis]) -> None:
    server = Server(persistence(0, loading=1), persistence(0), persistence(1))
    job(server).stage(tmp_path)
    assert server.slept == 1 and server.said_before_saving == 1


def test_a_save_that_fails_is_told(tmp_path: Path, job: Callable[[Server], Redis]) -> None:
    with pytest.raises(BackupError, match=r"redis could not save \(err\)"):
        job(Server(persistence(4), persistence(4, status="err"))).stage(tmp_path)


def test_a_refusal_is_told_in_its_own_words(tmp_path: Path, job: Callable[[Server], Redis]) -> None:
    with pytest.raises(BackupError, match="redis does not save: MISCONF"):
        job(Server(persistence(4), bgsave="MISCONF Errors writing to the AOF file\n")).stage(tmp_path)


def test_one_that_never_ends_is_given_up(tmp_path: Path, job: Callable[[Server], Redis]) -> None:
    server = Server(*[persistence(4, saving=1)] * 7200)
    with pytest.raises(BackupError, match="saving for an hour"):
        job(server).stage(tmp_path)


def test_the_password_is_read_in_the_container(tmp_path: Path, job: Callable[[Server], Redis]) -> None:
    server = Server(persistence(4), persistence(5))
    job(server).stage(tmp_path)
    asked = [command for command in server.containers.commands if "BGSAVE" in command]
    assert asked == [
        (
            "redis",
            "sh",
            "-c",
            'REDISCLI_AUTH="$(cat /run/secrets/password)" exec redis-cli "$@"',
            "sh",
            "BGSAVE",
            "SCHEDULE",
        )
    ]


@pytest.mark.parametrize(("loaded", "expired", "wrong"), [(12, 0, 0), (10, 2, 0), (11, 0, 1), (12, 1, 1)])
def test_what_loads_is_held_against_what_was_counted(
    tmp_path: Path, job: Callable[[Server], Redis], loaded: int, expired: int, wrong: int
) -> None:
    made = job(Server())
    said = f"# Persistence\r\nrdb_last_load_keys_expired:{expired}\r\nrdb_last_load_keys_loaded:{loaded}\r\n"
    made.compose.scratch = lambda *argv, **how: said  # type: ignore[method-assign]
    (tmp_path / "redis.rdb").write_bytes(b"REDIS")
    assert len(made.differences(tmp_path, {"services": {"redis": {"keys": 12}}})) == wrong


def test_a_count_that_was_not_made_is_no_count() -> None:
    assert keys_read(CHECKED) == 12
    with pytest.raises(BackupError, match="did not say"):
        keys_read("--- RDB ERROR DETECTED ---")
