"""The containers' health checks, for an image without curl; imports little, as it runs every few seconds.

python -m app.healthcheck http://127.0.0.1:8000/live
python -m app.healthcheck --heartbeat /tmp/worker-alive 60
"""

from __future__ import annotations

import sys
import time
import urllib.request
from pathlib import Path

_USAGE = "usage: python -m app.healthcheck URL | --heartbeat FILE MAX_AGE_SECONDS"


def check_url(url: str) -> str | None:
    """What is wrong, if anything."""
    if not url.startswith(("http://", "https://")):
        return _USAGE
    # No proxy: the address is this container's own.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(url, timeout=4):
            return None
    except OSError as error:
        return f"{url}: {error}"


def check_heartbeat(file: str, max_age: float) -> str | None:
    try:
        age = time.time() - Path(file).stat().st_mtime
    except OSError as error:
        return f"{file}: {error.strerror}"
    return None if age <= max_age else f"{file}: last touched {age:.0f} s ago, allowed are {max_age:.0f}"


def main(arguments: list[str]) -> str | None:
    match arguments:
        case ["--heartbeat", file, max_age] if max_age.isdecimal():
            return check_heartbeat(file, float(max_age))
        case [url]:
            return check_url(url)
        case _:
            return _USAGE


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
