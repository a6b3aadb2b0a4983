"""Files that say "still working": `celery inspect ping` costs seconds of CPU, a file's age costs nothing.

The worker's file is touched by the timer of its consumer loop, which does not turn while the broker is unreachable;
beat's after a turn of its loop, unless the last task could not be sent. Both grow old when nothing is done any more.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from celery import bootsteps
from celery.beat import PersistentScheduler, SchedulingError

from . import settings

_INTERVAL_S = 10


class WorkerHeartbeat(bootsteps.StartStopStep):
    requires = ("celery.worker.consumer.tasks:Tasks",)

    def __init__(self, parent: Any, **options: Any) -> None:
        super().__init__(parent, **options)
        self._timer: Any = None

    def start(self, parent: Any) -> None:
        touch = Path(settings.WORKER_HEARTBEAT).touch
        touch()
        self._timer = parent.timer.call_repeatedly(_INTERVAL_S, touch)

    def stop(self, parent: Any) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


class BeatScheduler(PersistentScheduler):
    _can_send = True

    def apply_async(self, *args: Any, **kwargs: Any) -> Any:
        try:
            result = super().apply_async(*args, **kwargs)
        except SchedulingError:
            self._can_send = False
            raise
        self._can_send = True
        return result

    def tick(self, *args: Any, **kwargs: Any) -> Any:
        pause = super().tick(*args, **kwargs)
        if self._can_send:
            Path(settings.BEAT_HEARTBEAT).touch()
        return pause
