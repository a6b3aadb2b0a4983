"""The server's configuration: defaults, then the file of `--config-path`, then `QDRANT__SECTION__KEY` variables."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

PREFIX = "QDRANT__"


@dataclass(frozen=True)
class Settings:
    host: str = "0.0.0.0"  # noqa: S104 - the server's own default: what is reachable is decided by what is published
    http_port: int = 6333
    api_key: str | None = None
    alt_api_key: str | None = None
    read_only_api_key: str | None = None
    enable_snapshot_url_recovery: bool = True
    storage_path: Path = Path("./storage")
    snapshots_path: Path = Path("./snapshots")
    temp_path: Path | None = None
    # Of the double alone: whether faults may be switched on.
    faults: bool = False

    @classmethod
    def load(cls, config_path: str | None, environ: Mapping[str, str]) -> Settings:
        merged = _merge(_from_file(config_path), _from_environment(environ))
        service, storage = merged.get("service", {}), merged.get("storage", {})
        temp_path = storage.get("temp_path")
        return cls(
            host=service.get("host", cls.host),
            http_port=int(service.get("http_port", cls.http_port)),
            api_key=service.get("api_key"),
            alt_api_key=service.get("alt_api_key"),
            read_only_api_key=service.get("read_only_api_key"),
            # A value of the environment is text, one of the file is a boolean.
            enable_snapshot_url_recovery=str(service.get("enable_snapshot_url_recovery", True)).lower() == "true",
            storage_path=Path(storage.get("storage_path", cls.storage_path)),
            snapshots_path=Path(storage.get("snapshots_path", cls.snapshots_path)),
            temp_path=Path(temp_path) if temp_path else None,
            faults=environ.get("QDRANT_DOUBLE_FAULTS") == "1",
        )

    @property
    def collections_path(self) -> Path:
        return self.storage_path / "collections"

    @property
    def aliases_path(self) -> Path:
        return self.storage_path / "aliases" / "data.json"

    @property
    def work_path(self) -> Path:
        """Where archives are made and unpacked."""
        return (self.temp_path or self.storage_path) / "tmp"

    @property
    def upload_path(self) -> Path:
        """Where the bodies of uploads are kept until they are whole."""
        return (self.temp_path or self.snapshots_path) / "tmp" / "upload"


def _from_file(config_path: str | None) -> dict[str, Any]:
    if config_path is None:
        return {}
    if not Path(config_path).exists():
        # Like the server, which then runs without any API key: a health check has to notice, so the double must not.
        print(f"Config file via --config-path is not found: {config_path}", file=sys.stderr)
        return {}
    loaded = yaml.safe_load(Path(config_path).read_text(encoding="utf-8"))
    return loaded if isinstance(loaded, dict) else {}


def _from_environment(environ: Mapping[str, str]) -> dict[str, Any]:
    tree: dict[str, Any] = {}
    for name, value in environ.items():
        if name.startswith(PREFIX):
            section, _, key = name.removeprefix(PREFIX).lower().partition("__")
            tree.setdefault(section, {})[key] = value
    return tree


def _merge(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    merged = dict(below)
    for section, values in above.items():
        merged[section] = {**(merged.get(section) or {}), **values}
    return merged
