"""Read by gunicorn from its working directory; workers, bind and timeouts are on the command line."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

# Before the workers import prometheus_client: their metrics are files here, which any of them can add up. Not in the
# image's environment, as Flower has metrics too and only one process.
_METRICS = os.environ.setdefault("PROMETHEUS_MULTIPROC_DIR", "/tmp/prometheus")  # noqa: S108  the only writable place
Path(_METRICS).mkdir(parents=True, exist_ok=True)

control_socket_disable = True  # nobody commands a process in a container but its engine


def child_exit(server: Any, worker: Any) -> None:
    """Forget a dead worker's live gauges, or they would be summed for ever."""
    from prometheus_client import multiprocess

    multiprocess.mark_process_dead(worker.pid)
