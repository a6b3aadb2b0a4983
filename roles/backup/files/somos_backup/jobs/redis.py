"""Job of kind `redis`: a snapshot (RDB) of each instance, of this moment, checked by Redis's own program."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ..errors import BackupError
from .base import StagedJob

RDB = "/data/dump.rdb"
# The file is opened once: the one that is checked is the one that is copied, whatever replaces it meanwhile.
FETCH = f"exec 3<{RDB} && redis-check-rdb /proc/self/fd/3 >&2 && cat <&3"
# A server beside it loads the file, without a port for anybody to come in by.
LOAD = """
set -eu
cp "/restored/$1.rdb" /data/dump.rdb
redis-server --port 0 --unixsocket /tmp/scratch.sock --dir /data --dbfilename dump.rdb --appendonly no --save '' >&2 &
until said=$(redis-cli -s /tmp/scratch.sock INFO persistence 2>&1) && printf '%s' "$said" | grep -q '^loading:0'; do
  kill -0 $! || exit 1
  sleep 0.2
done
printf '%s\\n' "$said"
"""
SAVE_LIMIT_S = 3600


class Redis(StagedJob):
    """*services*; the password is read where it lies in their containers, at *password_path*."""

    proof = "each loaded by a server of its own, key by key counted"

    def __init__(self, *arguments: Any, sleep: Callable[[float], None] = time.sleep) -> None:
        super().__init__(*arguments)
        self.sleep = sleep

    def room(self) -> int:
        for service in self.value("services"):
            self.compose.refuse_stopped(service)
        return sum(int(self._info(service, "memory")["used_memory"]) for service in self.value("services"))

    def stage(self, directory: Path) -> dict[str, Any]:
        return {"services": {service: self._save(service, directory) for service in self.value("services")}}

    def _save(self, service: str, directory: Path) -> dict[str, Any]:
        self._snapshot(service)
        with (directory / f"{service}.rdb").open("wb") as stream:
            said = self.compose.execute(service, "sh", "-c", FETCH, what=f"Fetching {RDB} of {service}", stdout=stream)
        info = self._info(service, "server")
        return {"version": info.get("valkey_version") or info["redis_version"], "keys": keys_read(said)}

    def differences(self, directory: Path, facts: Mapping[str, Any]) -> list[str]:
        wrong = []
        for service, saved in facts["services"].items():
            loaded = self._loaded(service, directory)
            # A key whose time has come is thrown away as it is loaded.
            keys = int(loaded["rdb_last_load_keys_loaded"]) + int(loaded["rdb_last_load_keys_expired"])
            if keys != saved["keys"]:
                wrong.append(f"{service} loads {keys} keys, {saved['keys']} were saved")
        return wrong

    def _loaded(self, service: str, directory: Path) -> dict[str, str]:
        what = f"Loading the snapshot of {service} into a scratch server"
        mounts, need = [f"{directory}:/restored:ro"], (directory / f"{service}.rdb").stat().st_size
        return _fields(
            self.compose.scratch(
                service, "-c", LOAD, "sh", service, what=what, entrypoint="sh", need=need, mounts=mounts
            )
        )

    def _snapshot(self, service: str) -> None:
        """Have *service* save now, after a save that is under way."""
        before = self._idle(service)
        answer = self._cli(service, "BGSAVE", "SCHEDULE")
        if "Background saving" not in answer:
            raise BackupError(f"{service} does not save: {answer.strip()}")
        after = self._idle(service, saves=int(before["rdb_saves"]) + 1)
        if after["rdb_last_bgsave_status"] != "ok":
            raise BackupError(
                f"{service} could not save ({after['rdb_last_bgsave_status']}): `docker compose logs {service}`."
            )

    def _idle(self, service: str, saves: int = 0) -> Mapping[str, str]:
        """What it says of its persistence once it does not save and has saved *saves* times."""
        for _ in range(int(SAVE_LIMIT_S / 0.5)):
            info = self._info(service, "persistence")
            done = int(info["rdb_saves"]) >= saves or info["rdb_last_bgsave_status"] != "ok"
            if info["rdb_bgsave_in_progress"] == "0" and info["loading"] == "0" and done:
                return info
            self.sleep(0.5)
        raise BackupError(f"{service} has been saving for an hour: `docker compose logs {service}`.")

    def _info(self, service: str, section: str) -> dict[str, str]:
        return _fields(self._cli(service, "INFO", section))

    def _cli(self, service: str, *words: str) -> str:
        script = f'REDISCLI_AUTH="$(cat {self.value("password_path")})" exec redis-cli "$@"'
        return self.compose.execute(service, "sh", "-c", script, "sh", *words, what=f"{words[0]} in {service}")


def keys_read(said: str) -> int:
    """The number of keys that redis-check-rdb counted. Raises BackupError where it counted none at all."""
    found = re.search(r"^\[info\] (\d+) keys read", said, re.MULTILINE)
    if not found:
        raise BackupError(f"redis-check-rdb did not say how many keys the snapshot has: {said[-500:]}")
    return int(found[1])


def _fields(said: str) -> dict[str, str]:
    found = dict(line.strip().split(":", 1) for line in said.splitlines() if ":" in line)
    if not found:
        raise BackupError(f"Redis does not say how it is: {said.strip()}")
    return found
