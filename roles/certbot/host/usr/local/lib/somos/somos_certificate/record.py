"""What is remembered from one run to the next, and told to the monitoring."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from typing import Any

FILE = "somos_certificate.prom"
# name → what it means; the order is that of the file.
METRICS = {
    "somos_certificate_not_before_timestamp_seconds": "Since when the certificate in service is valid.",
    "somos_certificate_not_after_timestamp_seconds": "Until when the certificate in service is valid.",
    "somos_certificate_placeholder": "Whether the certificate in service is the self-signed placeholder.",
    "somos_certificate_served": "Whether visitors are shown the certificate that lies on disk.",
    "somos_certificate_last_renewal_success": "Whether the last look after the certificate ended well.",
    "somos_certificate_last_attempt_timestamp_seconds": "When somebody last looked after the certificate.",
    "somos_certificate_last_success_timestamp_seconds": "When that last ended well.",
}


def replace(path: Path, text: str, mode: int) -> None:
    """Renamed into place, because a reader may come at any moment."""
    handle, draft = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    with os.fdopen(handle, "w") as file:
        file.write(text)
    Path(draft).chmod(mode)
    Path(draft).replace(path)


def read(state: Path) -> dict[str, Any]:
    try:
        found = json.loads((state / "state.json").read_text())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def write(state: Path, values: dict[str, Any]) -> None:
    replace(state / "state.json", json.dumps(values, indent=2) + "\n", 0o600)


def metrics(values: dict[str, float]) -> str:
    """In the format of node-exporter's textfile collector; what is not known is left out."""
    lines = []
    for name, meaning in METRICS.items():
        if name in values:
            lines += [f"# HELP {name} {meaning}", f"# TYPE {name} gauge", f"{name} {values[name]:.0f}"]
    return "\n".join(lines) + "\n"
