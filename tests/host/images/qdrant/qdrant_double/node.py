"""All that a running server knows."""

from __future__ import annotations

from .faults import Faults
from .settings import Settings
from .snapshots import Snapshots
from .storage import Storage
from .telemetry import Telemetry


class Node:
    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.storage = Storage(settings)
        self.telemetry = Telemetry()
        self.faults = Faults()
        self.snapshots = Snapshots(self.storage, self.telemetry)
