"""The merged Compose model that templates make of a RAM plan, in the form of `docker compose config --format json`."""

from __future__ import annotations

from typing import Any

MIB = 1024**2


def compose_model(plan: dict[str, Any]) -> dict[str, Any]:
    """Every service of the plan, told its settings on its command line or in its environment, and the job `migrate`."""
    services = {name: _service(name, service) for name, service in plan["services"].items()}
    if plan["surge_mb"]:
        services["migrate"] = {"profiles": ["jobs"], **limited(plan["surge_mb"])}
    return {"name": "somos", "services": services}


def limited(limit_mb: int, replicas: int = 1) -> dict[str, Any]:
    """A service with that limit and nothing else."""
    return {"deploy": {"replicas": replicas, "resources": {"limits": {"memory": str(limit_mb * MIB)}}}}


def _service(name: str, service: dict[str, Any]) -> dict[str, Any]:
    model = limited(service["limit_mb"], service["replicas"])
    settings = service["settings"]
    match name:
        case "postgres":
            model["shm_size"] = str(settings["shm_size_mb"] * MIB)
            told = {key.removesuffix("_mb"): value for key, value in settings.items() if key != "shm_size_mb"}
            values = [f"{key}={value}" + ("" if key == "max_connections" else "MB") for key, value in told.items()]
            model["command"] = ["postgres", *(word for value in values for word in ("-c", value))]
        case "redis" | "redis-cache":
            model["command"] = ["redis-server", "--maxmemory", f"{settings['maxmemory_mb']}mb"]
        case "backend":
            model["command"] = ["gunicorn", "app.main:app", "--workers", str(settings["workers"])]
        case "celery-worker":
            child = f"--max-memory-per-child={settings['max_memory_per_child_mb'] * 1024}"
            model["command"] = ["celery", "-A", "app", "worker", f"--concurrency={settings['concurrency']}", child]
        case "frontend":
            model["environment"] = {"NODE_OPTIONS": f"--max-old-space-size={settings['max_old_space_mb']}"}
        case "object-storage":
            model["environment"] = {"GOMEMLIMIT": f"{settings['gomemlimit_mb']}MiB"}
    return model
