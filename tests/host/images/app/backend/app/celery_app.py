"""The Celery application of worker, beat and Flower: `celery -A app.celery_app …`."""

from __future__ import annotations

from celery import Celery
from kombu import Queue

from . import settings
from .heartbeat import WorkerHeartbeat

_HEARTBEAT_S = 60

app = Celery("somos", broker=settings.require("CELERY_BROKER_URL"), include=["app.tasks"])
app.conf.update(
    # Each with its own routing key: without one all four are bound to the default's, and every task arrives four times.
    task_queues=[Queue(name, routing_key=name) for name in ("default", "agents", "notifications", "reports")],
    task_default_queue="default",
    task_routes={"app.tasks.announce_project": {"queue": "notifications"}},
    # No task has a result to keep: what one did is in the database, and an unread result would only fill the broker.
    task_ignore_result=True,
    # Every task may run twice, so a killed worker's tasks go back to the queue; at the latest after visibility_timeout,
    # which has to be longer than any task may take.
    task_acks_late=True,
    task_reject_on_worker_lost=True,
    task_time_limit=240,
    broker_transport_options={"visibility_timeout": 300, "socket_connect_timeout": 2, "socket_timeout": 5},
    broker_connection_retry_on_startup=True,
    broker_connection_max_retries=None,
    task_publish_retry_policy={"max_retries": 1, "interval_start": 0.1},
    worker_send_task_events=True,
    task_send_sent_event=True,
    beat_scheduler="app.heartbeat:BeatScheduler",
    beat_max_loop_interval=10,
    beat_schedule={
        "heartbeat": {
            "task": "app.tasks.heartbeat",
            "schedule": _HEARTBEAT_S,
            "options": {"expires": _HEARTBEAT_S},  # after an outage one heartbeat, not one for every minute of it
        }
    },
)
app.steps["consumer"].add(WorkerHeartbeat)
