"""`./qdrant --config-path FILE`: runs until it is told to stop, then writes everything to disk.

`--storage-snapshot PATH` and `--snapshot PATH:NAME` put snapshots back before that.
"""

from __future__ import annotations

import argparse
import os
import signal
import threading
from types import FrameType

from . import VERSION
from .full import recover_at_start
from .node import Node
from .server import Server
from .settings import Settings


def main() -> None:
    parser = argparse.ArgumentParser(prog="qdrant")
    parser.add_argument("--config-path", metavar="FILE")
    parser.add_argument("--storage-snapshot", metavar="PATH")
    parser.add_argument("--snapshot", "--collection-snapshot", metavar="PATH:NAME", action="append", default=[])
    parser.add_argument("-f", "--force-snapshot", action="store_true")
    given = parser.parse_args()
    settings = Settings.load(given.config_path, os.environ)
    recover_at_start(settings, given.storage_snapshot, given.snapshot, given.force_snapshot)
    node = Node(settings)
    server = Server(node)

    def stop(number: int, frame: FrameType | None) -> None:
        # shutdown() waits for serve_forever(), which is the very frame that this handler interrupts.
        threading.Thread(target=server.shutdown).start()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    # With port 0 the system chooses one; whoever started the double reads it here.
    print(f"Test double of Qdrant {VERSION} listens on {settings.host}:{server.server_port}", flush=True)
    server.serve_forever(poll_interval=0.1)
    server.server_close()
    node.storage.close()


if __name__ == "__main__":
    main()
