"""A container that is there, as specified, and running: kept, started or replaced, whichever it takes."""

from __future__ import annotations

import io
import json
import tarfile
import time
from dataclasses import dataclass, field
from typing import Any

from .content import short_hash
from .names import OWNER_LABEL
from .shell import docker, docker_ok, run, say, wait_until

# Ends of the names of files that only root may read.
SECRET = (".key", "password", "authorized_keys", "s3.json", "tokens.json")
SPEC_LABEL = f"{OWNER_LABEL}.spec"


@dataclass(frozen=True)
class Container:
    name: str
    image: str
    arguments: list[str]  # of `docker create`
    command: list[str] = field(default_factory=list)
    files: dict[str, bytes] = field(default_factory=dict)  # put into it before its first process starts
    volumes: dict[str, str] = field(default_factory=dict)  # volume name -> where it is mounted

    @property
    def spec(self) -> str:
        parts = (self.image, self.arguments, self.command, self.volumes, sorted(self.files.items()))
        return short_hash(repr(parts))

    def state(self) -> dict[str, Any] | None:
        found = run(["docker", "container", "inspect", self.name], check=False)
        return json.loads(found.stdout)[0] if found.returncode == 0 else None

    def usable_state(self, label: str, value: str) -> dict[str, Any] | None:
        """Its state if it carries that label. One that never ran may lack its files, and counts for nothing."""
        state = self.state()
        if state is None or state["State"]["Status"] == "created" or state["Config"]["Labels"].get(label) != value:
            return None
        return state

    def create(self) -> None:
        for volume in self.volumes:
            docker("volume", "create", "--label", f"{OWNER_LABEL}=volume", volume)
        mounts = [f"--volume={volume}:{path}" for volume, path in self.volumes.items()]
        labels = [f"--label={OWNER_LABEL}=container", f"--label={SPEC_LABEL}={self.spec}"]
        docker("create", "--name", self.name, *labels, *mounts, *self.arguments, self.image, *self.command)
        docker("cp", "-", f"{self.name}:/", stdin=tar_of(self.files))
        docker("start", self.name)

    def remove(self, *, with_volumes: bool) -> None:
        """Also what a machine that was cut off has left half removed."""

        def gone() -> bool:
            docker_ok("rm", "--force", "--volumes", self.name)
            return self.state() is None

        wait_until(gone, seconds=60, what=f"container {self.name} is removed")
        if with_volumes:
            for volume in self.volumes:
                docker_ok("volume", "rm", "--force", volume)


def tar_of(files: dict[str, bytes]) -> bytes:
    buffer, now = io.BytesIO(), int(time.time())
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for path, content in sorted(files.items()):
            entry = tarfile.TarInfo(path.lstrip("/"))
            entry.size = len(content)
            entry.mode = 0o600 if path.endswith(SECRET) else 0o644
            entry.mtime = now
            tar.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


def ensure_running(container: Container) -> bool:
    """For containers whose state is in volumes: a changed specification replaces. True when anything was done."""
    state = container.usable_state(SPEC_LABEL, container.spec)
    if state:
        if state["State"]["Running"]:
            return False
        if docker_ok("start", container.name):
            say(f"started {container.name}")
            return True
    container.remove(with_volumes=False)
    container.create()
    say(f"created {container.name}")
    return True
