# Copyright (c) 2026, Somos Infra maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the modules that drive one Compose project share. Private to this collection."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

PROJECT_LABEL = "com.docker.compose.project"
NETWORK_LABEL = "com.docker.compose.network"
SERVICE_LABEL = "com.docker.compose.service"
_RUNNING = "{{.Id}} {{.State.StartedAt}}{{range .NetworkSettings.Networks}} {{.NetworkID}}{{end}}"

if TYPE_CHECKING:
    from ansible.module_utils.basic import AnsibleModule


class Project:
    """The Compose project of a directory, driven by the Docker CLI as a person in that directory would."""

    def __init__(self, module: AnsibleModule, directory: str) -> None:
        self.module = module
        self.directory = Path(directory)
        self._here = ("--project-directory", str(self.directory))

    @property
    def exists(self) -> bool:
        """False on a server where no earlier task has written the project yet (a virgin host in check mode)."""
        return (self.directory / ".env").is_file()

    def compose(self, *arguments: str) -> tuple[int, str, str]:
        """Run ``docker compose``; returns the exit code and both outputs. Raises nothing."""
        return self.docker("compose", *self._here, *arguments)

    def containers(self, service: str) -> dict[str, str]:
        """Ids of the running containers of *service*, each with its start (RFC 3339, UTC) and its networks."""
        code, out, err = self.compose("ps", "--quiet", service)
        if code:
            self.module.fail_json(msg=f"Listing the containers of {service} in {self.directory} failed: {err.strip()}")
        ids = out.split()
        if not ids:
            return {}
        code, out, err = self.docker("inspect", "--format", _RUNNING, *ids)
        if code:
            self.module.fail_json(msg=f"Inspecting the containers of {service} failed: {err.strip()}")
        return dict(line.split(maxsplit=1) for line in out.splitlines() if line.strip())

    def model(self) -> dict[str, Any]:
        """The merged model, as Compose understands it. It holds secrets."""
        model: dict[str, Any] = json.loads(self.said("compose", *self._here, "config", "--format", "json"))
        return model

    def running(self) -> list[dict[str, Any]]:
        """What Docker knows of every running container of the project."""
        ids = self.said("compose", *self._here, "ps", "--quiet").split()
        found: list[dict[str, Any]] = json.loads(self.said("inspect", *ids)) if ids else []
        return found

    def networks(self, project: str) -> list[dict[str, Any]]:
        """What Docker knows of every network that Compose has made for the project of that name."""
        ids = self.said("network", "ls", "--quiet", "--filter", f"label={PROJECT_LABEL}={project}").split()
        found: list[dict[str, Any]] = json.loads(self.said("network", "inspect", *ids)) if ids else []
        return found

    def members(self, network: str) -> list[dict[str, Any]]:
        """What Docker knows of every running container in the network of that name, whoever started it."""
        ids = self.said("ps", "--quiet", "--no-trunc", "--filter", f"network={network}").split()
        found: list[dict[str, Any]] = json.loads(self.said("inspect", *ids)) if ids else []
        return found

    def said(self, *arguments: str) -> str:
        """What ``docker`` prints; the module fails, with Docker's words, when it ends with an error."""
        code, out, err = self.docker(*arguments)
        if code:
            words = (err.strip() or out.strip())[-1000:]
            self.module.fail_json(msg=f"`docker {' '.join(arguments)}` failed in {self.directory}: {words}")
        return out

    def execute(self, container: str, command: list[str]) -> tuple[int, str, str]:
        """Run *command* inside the container with that id."""
        return self.docker("exec", container, *command)

    def docker(self, *arguments: str) -> tuple[int, str, str]:
        """Run ``docker`` in the project's directory, as :meth:`compose` does."""
        docker = self.module.get_bin_path("docker")
        if docker is None:
            return 127, "", "the docker command is not installed"
        cwd = str(self.directory) if self.directory.is_dir() else None
        code, out, err = self.module.run_command([docker, *arguments], cwd=cwd)
        return int(code), str(out), str(err)


class Record:
    """A small JSON object on the server that says what was done, written only after it was done.

    Losing it costs a repetition and nothing else, so a damaged file counts as an empty one.
    """

    def __init__(self, path: str) -> None:
        self.path = Path(path)

    def read(self) -> dict[str, Any]:
        """The recorded object, or an empty one."""
        try:
            value = json.loads(self.path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return value if isinstance(value, dict) else {}

    def write(self, value: dict[str, Any]) -> None:
        """Replace the record atomically (mode 0600). Raises OSError."""
        self.path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=self.path.parent, prefix=f".{self.path.name}.")
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            json.dump(value, stream, indent=2, sort_keys=True)
            stream.write("\n")
            stream.flush()
            os.fsync(stream.fileno())
        Path(temporary).replace(self.path)
