"""The configuration that the role renders: which jobs there are, and where they go."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .errors import ConfigError


@dataclass(frozen=True)
class Repository:
    """A repository of restic. *ca_file* is empty where the system trusts the endpoint already."""

    name: str
    url: str
    password_file: str
    credentials_file: str = ""
    region: str = ""
    uri_style: str = "path"
    ca_file: str = ""


@dataclass(frozen=True)
class Config:
    """*retry_s*: the pauses before the tries after the first, in seconds. *upload_kib_per_s*: 0 means no limit.

    *check_share*: how much of a repository each clean-up reads again, as `restic check --read-data-subset` has it.
    """

    name: str
    project: Path
    state: Path
    textfile: Path | None
    restic: str
    rclone: str
    retry_s: tuple[float, ...]
    upload_kib_per_s: int
    check_share: str
    repositories: Mapping[str, Repository]
    jobs: tuple[Mapping[str, Any], ...]

    @property
    def staging(self) -> Path:
        return self.state / "staging"

    @property
    def scratch(self) -> Path:
        return self.state / "scratch"

    @property
    def override(self) -> Path:
        return self.state / "scratch.yml"

    def job_names(self) -> list[str]:
        return [str(job["name"]) for job in self.jobs]


def load(path: Path) -> Config:
    """Raises ConfigError for a file that is not there, not JSON, or lacks something."""
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}. Run as root; role backup writes it.") from error
    except ValueError as error:
        raise ConfigError(f"{path} is not JSON: {error}. Run role backup again.") from error
    return parse(values, str(path))


def parse(values: Any, place: str) -> Config:
    """Raises ConfigError that names *place* and what is wrong there."""
    try:
        return Config(
            name=str(values["name"]),
            project=Path(values["project"]),
            state=Path(values["state"]),
            textfile=Path(values["textfile"]) if values.get("textfile") else None,
            restic=values.get("restic", "restic"),
            rclone=values.get("rclone", "rclone"),
            retry_s=tuple(float(pause) for pause in values.get("retry_s", (30, 120, 300))),
            upload_kib_per_s=int(values.get("upload_kib_per_s", 0)),
            check_share=str(values.get("check_share", "5%")),
            repositories={name: Repository(name, **entry) for name, entry in values["repositories"].items()},
            jobs=tuple(values["jobs"]),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        what = f"lacks {error}" if isinstance(error, KeyError) else f"is not as expected: {error}"
        raise ConfigError(f"{place} {what}. Run role backup again.") from error
