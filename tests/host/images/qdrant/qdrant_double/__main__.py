"""`./qdrant --config-path FILE`: runs until it is told to stop, then writes everything to disk."""

from __future__ import annotations

import argparse
import os
import signal
import threading
from types import FrameType

from . import VERSION
from .node import Node
from .server import Server
from .settings import Settings


def main() -> None:
    parser = argparse.ArgumentParser(prog="qdrant")
    parser.add_argument("--config-path", metavar="FILE")
    node = Node(Settings.load(parser.parse_args().config_path, os.environ))
    server = Server(node)

    def stop(number: int, frame: FrameType | None) -> None:
        # shutdown() waits for serve_forever(), which is the very frame that this handler interrupts.
        threading.Thread(target=server.shutdown).start()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    # With port 0 the system chooses one; whoever started the double reads it here.
    print(f"Test double of Qdrant {VERSION} listens on {node.settings.host}:{server.server_port}", flush=True)
    server.serve_forever(poll_interval=0.1)
    node.storage.close()


if __name__ == "__main__":
    main()
