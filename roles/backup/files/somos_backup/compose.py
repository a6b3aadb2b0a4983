"""The containers of the server's Compose project: commands in running ones, and throw-away ones beside them."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO

from . import staging
from .errors import BackupError, PassingError
from .process import CommandError, run

SCRATCH = "somos.backup.scratch"


class Compose:
    """The project in *directory*. *override*: a file of its own, for what scratch containers have besides."""

    def __init__(self, directory: Path, override: Path) -> None:
        self.directory = directory
        self.override = override

    def _docker(
        self,
        *words: str,
        what: str,
        stdin: bytes = b"",
        stdout: IO[bytes] | None = None,
        env: Mapping[str, str] | None = None,
    ) -> str:
        return run(["docker", *words], what=what, cwd=self.directory, stdin=stdin, stdout=stdout, env=env)

    def execute(self, service: str, *argv: str, what: str, stdin: bytes = b"", stdout: IO[bytes] | None = None) -> str:
        """Run *argv* in the running container of *service*. Raises CommandError."""
        return self._docker("compose", "exec", "-T", service, *argv, what=what, stdin=stdin, stdout=stdout)

    def refuse_stopped(self, service: str) -> None:
        """Raises PassingError unless *service* runs: after a start of the server it may come yet."""
        if (
            service
            not in self._docker(
                "compose", "ps", "--services", "--status=running", what="Asking for the running services"
            ).splitlines()
        ):
            raise PassingError(
                f"{service} does not run, so it cannot be backed up. Look at `docker compose ps -a` and "
                f"`docker compose logs {service}` in {self.directory}."
            )

    def scratch(
        self, service: str, *argv: str, what: str, entrypoint: str, need: int, mounts: Sequence[str] = ()
    ) -> str:
        """Run *argv* in a container like the one of *service*, with empty volumes and *mounts*, gone afterwards.

        *need*: bytes that it writes to its volumes at most. Raises BackupError unless there is room.
        """
        with self._empty_volumes(service, need) as volumes:
            command = self._one_off(service, entrypoint, [*volumes, *mounts], "--rm")
            return self._docker(*command, *argv, what=what, env=self._aside(service))

    @contextlib.contextmanager
    def scratch_server(
        self, service: str, *argv: str, need: int, entrypoint: str = "", mounts: Sequence[str] = ()
    ) -> Iterator[str]:
        """The same, running meanwhile: its address on the project's network."""
        what = f"Starting a scratch container of {service}"
        with self._empty_volumes(service, need) as volumes:
            command = self._one_off(service, entrypoint, [*volumes, *mounts], "--detach")
            container = self._docker(*command, *argv, what=what, env=self._aside(service)).strip()
            try:
                yield self._address(container)
            except BackupError as error:
                raise BackupError(
                    f"{error}\nThe last words of the container:\n{self._last_words(container)}"
                ) from error
            finally:
                self._docker("rm", "--force", container, what=f"Removing container {container}")

    @contextlib.contextmanager
    def _empty_volumes(self, service: str, need: int) -> Iterator[list[str]]:
        """For each volume of the running *service* an empty one in its place, so that nothing reaches its data."""
        what = f"Making scratch volumes for {service}"
        self.refuse_stopped(service)
        container = next(iter(self._docker("compose", "ps", "--quiet", service, what=what).split()), "")
        mounts = json.loads(self._docker("inspect", "--format={{json .Mounts}}", container, what=what))
        places = [str(mount["Destination"]) for mount in mounts if mount["Type"] == "volume"]
        made: list[str] = []
        try:
            for _ in places:
                made.append(self._docker("volume", "create", f"--label={SCRATCH}=1", what=what).strip())
            for volume in made[:1]:
                place = self._docker("volume", "inspect", "--format={{.Mountpoint}}", volume, what=what).strip()
                staging.refuse_without_room(Path(place), need)
            yield [f"{volume}:{place}" for volume, place in zip(made, places, strict=True)]
        finally:
            self._remove(made)

    def _remove(self, volumes: Sequence[str]) -> None:
        """With what still runs on them: a client that was killed leaves its container behind."""
        what = "Removing scratch volumes"
        for volume in volumes:
            left = self._docker("ps", "--all", "--quiet", f"--filter=volume={volume}", what=what).split()
            if left:
                self._docker("rm", "--force", *left, what=what)
            self._docker("volume", "rm", "--force", volume, what=what)

    def _aside(self, service: str) -> dict[str, str]:
        """The project's list of files with one more behind it.

        A scratch container goes first where memory runs out, and waits for a core that nobody else wants.
        """
        override = {"services": {service: {"oom_score_adj": 1000, "cpu_shares": 2}}}
        self.override.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.override.write_text(json.dumps(override), encoding="utf-8")
        settings = self._settings()
        if not settings.keys() >= {"COMPOSE_PROJECT_NAME", "COMPOSE_FILE"}:
            raise BackupError(f"{self.directory}/.env names no project and its files. Run role stack again.")
        # All of it: where the list comes by the environment, Compose does not look for the name beside it.
        return {**settings, "COMPOSE_FILE": f"{settings['COMPOSE_FILE']}:{self.override}"}

    def _settings(self) -> dict[str, str]:
        """What role stack has written for whoever says `docker compose`."""
        try:
            text = (self.directory / ".env").read_text(encoding="utf-8")
            return dict(re.findall(r"^(COMPOSE_\w+)=[\"']?(.*?)[\"']?$", text, re.MULTILINE))
        except OSError as error:
            words = f"{self.directory}/.env cannot be read: {error.strerror}. Run role stack again."
            raise BackupError(words) from error

    def _address(self, container: str) -> str:
        said = self._docker(
            "inspect", "--format={{json .NetworkSettings.Networks}}", container, what="Finding its address"
        )
        return next(str(network["IPAddress"]) for network in json.loads(said).values())

    def _last_words(self, container: str) -> str:
        try:
            return self._docker("logs", "--tail=20", container, what="Reading its log")
        except CommandError as error:
            return str(error)

    def remove_leftovers(self) -> None:
        """Scratch containers and volumes of a run that was killed."""
        what = "Removing what a killed run left"
        found = self._docker("ps", "--all", "--quiet", f"--filter=label={SCRATCH}", what=what).split()
        if found:
            self._docker("rm", "--force", *found, what=what)
        found = self._docker("volume", "ls", "--quiet", f"--filter=label={SCRATCH}", what=what).split()
        if found:
            self._docker("volume", "rm", "--force", *found, what=what)

    @staticmethod
    def _one_off(service: str, entrypoint: str, volumes: Sequence[str], how: str) -> list[str]:
        mounts = [f"--volume={volume}" for volume in volumes]
        entry = [f"--entrypoint={entrypoint}"] if entrypoint else []
        return ["compose", "run", how, "-T", "--no-deps", f"--label={SCRATCH}=1", *mounts, *entry, service]
