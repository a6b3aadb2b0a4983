"""The containers of the server's Compose project: commands in running ones, and throw-away ones beside them."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO

from .errors import BackupError
from .process import CommandError, run

SCRATCH = "somos.backup.scratch"


class Compose:
    """The project in *directory*."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def _docker(self, *words: str, what: str, stdin: bytes = b"", stdout: IO[bytes] | None = None) -> str:
        return run(["docker", *words], what=what, cwd=self.directory, stdin=stdin, stdout=stdout)

    def execute(self, service: str, *argv: str, what: str, stdin: bytes = b"", stdout: IO[bytes] | None = None) -> str:
        """Run *argv* in the running container of *service*. Raises CommandError."""
        return self._docker("compose", "exec", "-T", service, *argv, what=what, stdin=stdin, stdout=stdout)

    def refuse_stopped(self, service: str) -> None:
        """Raises BackupError unless *service* runs."""
        if (
            service
            not in self._docker(
                "compose", "ps", "--services", "--status=running", what="Asking for the running services"
            ).splitlines()
        ):
            raise BackupError(
                f"{service} does not run, so it cannot be backed up. Look at `docker compose ps -a` and "
                f"`docker compose logs {service}` in {self.directory}."
            )

    def scratch(self, service: str, *argv: str, what: str, entrypoint: str, mounts: Sequence[str] = ()) -> str:
        """Run *argv* in a container like the one of *service*, with empty volumes and *mounts*, gone afterwards."""
        with self._empty_volumes(service) as volumes:
            command = self._one_off(service, entrypoint, [*volumes, *mounts], "--rm")
            return self._docker(*command, *argv, what=what)

    @contextlib.contextmanager
    def scratch_server(
        self, service: str, *argv: str, entrypoint: str = "", mounts: Sequence[str] = ()
    ) -> Iterator[str]:
        """The same, running meanwhile: its address on the project's network."""
        what = f"Starting a scratch container of {service}"
        with self._empty_volumes(service) as volumes:
            command = self._one_off(service, entrypoint, [*volumes, *mounts], "--detach")
            container = self._docker(*command, *argv, what=what).strip()
            try:
                yield self._address(container)
            except BackupError as error:
                raise BackupError(
                    f"{error}\nThe last words of the container:\n{self._last_words(container)}"
                ) from error
            finally:
                self._docker("rm", "--force", container, what=f"Removing container {container}")

    @contextlib.contextmanager
    def _empty_volumes(self, service: str) -> Iterator[list[str]]:
        """For each volume of the running *service* an empty one in its place, so that nothing reaches its data."""
        what = f"Making scratch volumes for {service}"
        self.refuse_stopped(service)
        container = self._docker("compose", "ps", "--quiet", service, what=what).split()[0]
        mounts = json.loads(self._docker("inspect", "--format={{json .Mounts}}", container, what=what))
        places = [str(mount["Destination"]) for mount in mounts if mount["Type"] == "volume"]
        made: list[str] = []
        try:
            for _ in places:
                made.append(self._docker("volume", "create", f"--label={SCRATCH}=1", what=what).strip())
            yield [f"{volume}:{place}" for volume, place in zip(made, places, strict=True)]
        finally:
            if made:
                self._docker("volume", "rm", "--force", *made, what="Removing scratch volumes")

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
