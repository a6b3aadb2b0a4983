"""What the inventory wants, as role certbot wrote it down."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

# The methods that ask a certificate authority.
ACME = ("cloudflare", "http")


@dataclass(frozen=True)
class Proxy:
    """Who serves the certificate: where it reads it, as whom, and how it is told to read it again."""

    directory: Path
    owner: int
    service: str
    test: list[str]
    reload: list[str]
    names: list[str]  # that it answers to
    address: str = "127.0.0.1"
    port: int = 443

    @property
    def file(self) -> Path:
        """Key and chain in one file: a rename replaces both, and nobody ever reads one of each."""
        return self.directory / "certificate.pem"


@dataclass(frozen=True)
class Settings:
    method: str
    lineage: str
    names: list[str]
    server: str
    email: str
    profile: str
    propagation_s: int
    project_directory: Path
    letsencrypt: Path
    own: Path
    state: Path
    metrics: Path | None
    proxy: Proxy

    @property
    def acme(self) -> bool:
        return self.method in ACME


def load(path: Path) -> Settings:
    raw = json.loads(path.read_text())
    proxy = raw.pop("proxy")
    proxy["directory"] = Path(proxy["directory"])
    proxy["owner"] = int(proxy["owner"])
    raw["metrics"] = Path(raw["metrics"]) if raw["metrics"] else None
    for name in ("project_directory", "letsencrypt", "own", "state"):
        raw[name] = Path(raw[name])
    proxy["names"] = list(raw["names"])
    raw["names"] = without_covered([*raw["names"], *raw.pop("extra_names")])
    raw["propagation_s"] = int(raw["propagation_s"])
    return Settings(proxy=Proxy(**proxy), **raw)


def without_covered(names: list[str]) -> list[str]:
    """The names, once each, but for those that a wildcard among them covers: authorities refuse both together."""
    wildcards = {name[1:] for name in names if name.startswith("*.")}
    kept = (name for name in names if name.startswith("*.") or f".{name.partition('.')[2]}" not in wildcards)
    return list(dict.fromkeys(kept))
