"""The world around a test server: its network, keys and secrets, and the container that plays everything outside."""

from __future__ import annotations

import json
import secrets
import socket
import ssl
import string
from pathlib import Path
from typing import Any

from . import pki
from .container import Container, ensure_running
from .images import ensure_images
from .names import (
    CA,
    NETWORK,
    OUTSIDE,
    OUTSIDE_IP,
    OUTSIDE_JSON,
    OWNER_LABEL,
    REGISTRY,
    S3_ENDPOINT,
    SECRETS,
    SUBNET,
)
from .registry import PORT, Registry
from .shell import HostError, docker, run, say, wait_until

# The secrets of the demo's vault, without their prefix `vault_`, and how many characters each has.
SECRET_LENGTHS = {
    "postgres_password": 32,
    "postgres_backup_passphrase": 48,
    "postgres_backup_s3_passphrase": 48,
    "backup_local_passphrase": 48,
    "backup_s3_passphrase": 48,
    "backup_media_passphrase": 48,
    "redis_password": 32,
    "redis_cache_password": 32,
    "qdrant_api_key": 40,
    "qdrant_read_only_api_key": 40,
    "object_storage_access_key": 20,
    "object_storage_secret_key": 40,
    "app_secret_key": 64,
    "app_flower_password": 24,
    "registry_password": 32,
    # Of the demo application's user; no role knows it.
    "demo_password": 20,
}
OUTSIDE_LENGTHS = {"access_key": 20, "secret_key": 40}
# Addresses that nobody asked for by number come from here, away from the fixed ones.
AUTOMATIC_ADDRESSES = "10.77.0.128/25"


def ensure_world() -> Registry:
    """Everything a server needs to exist, and the registry it will pull from."""
    pki.ensure_keys()
    values = ensure_secrets(SECRETS, SECRET_LENGTHS)
    ensure_network()
    image = ensure_images(["outside"])["outside"]
    ensure_running(outside(image, values["registry_password"]))
    registry = Registry(values["registry_password"])
    wait_until(registry.answers, seconds=60, what=f"the registry in {OUTSIDE} answers (see `docker logs {OUTSIDE}`)")
    wait_until(storage_answers, seconds=60, what=f"the S3 endpoint in {OUTSIDE} answers (see `docker logs {OUTSIDE}`)")
    return registry


def storage_answers() -> bool:
    """By TLS, and with whatever answer it has for a stranger."""
    try:
        with socket.create_connection((OUTSIDE_IP, int(S3_ENDPOINT.partition(":")[2])), timeout=2) as connection:
            trust = ssl.create_default_context(cafile=str(CA))
            with trust.wrap_socket(connection, server_hostname=S3_ENDPOINT.partition(":")[0]):
                return True
    except OSError:
        return False


def ensure_network() -> None:
    subnet_of = "{{range .IPAM.Config}}{{.Subnet}}{{end}}"
    found = run(["docker", "network", "inspect", "--format", subnet_of, NETWORK], check=False)
    if found.returncode == 0:
        subnet = found.stdout.decode().strip()
        if subnet != SUBNET:
            raise HostError(f"the Docker network {NETWORK} has the addresses {subnet}, not {SUBNET}: remove it")
        return
    addresses = [f"--subnet={SUBNET}", f"--ip-range={AUTOMATIC_ADDRESSES}"]
    docker("network", "create", *addresses, f"--label={OWNER_LABEL}=network", NETWORK)
    say(f"created network {NETWORK} ({SUBNET})")


def outside(image: str, registry_password: str) -> Container:
    """Its address and names are what a server outside would have; images and objects outlive it in volumes."""
    s3 = ensure_secrets(OUTSIDE_JSON, OUTSIDE_LENGTHS)
    identity = {
        "name": "somos",
        "credentials": [{"accessKey": s3["access_key"], "secretKey": s3["secret_key"]}],
        "actions": ["Admin", "Read", "List", "Tagging", "Write"],
    }
    folder = "/etc/somos-outside"
    names = [address.partition(":")[0] for address in (REGISTRY, S3_ENDPOINT)]
    return Container(
        name=OUTSIDE,
        image=image,
        arguments=[
            f"--hostname={OUTSIDE}",
            f"--network={NETWORK}",
            f"--ip={OUTSIDE_IP}",
            *(f"--network-alias={name}" for name in names),
            f"--publish=127.0.0.1::{PORT}",
            "--restart=unless-stopped",
        ],
        files={
            f"{folder}/tls.crt": pki.OUTSIDE_WORLD.path.read_bytes(),
            f"{folder}/tls.key": pki.OUTSIDE_WORLD.key.read_bytes(),
            f"{folder}/registry_password": registry_password.encode(),
            f"{folder}/s3.json": json.dumps({"identities": [identity]}).encode(),
        },
        volumes={f"{OUTSIDE}-registry": "/var/lib/registry", f"{OUTSIDE}-s3": "/data"},
    )


def ensure_secrets(path: Path, lengths: dict[str, int]) -> dict[str, str]:
    """Random values, made once; a file of an earlier version gains what it lacks."""
    values: dict[str, str] = json.loads(path.read_text()) if path.exists() else {}
    missing = {name: random_text(length) for name, length in lengths.items() if name not in values}
    if missing:
        values |= missing
        write_private(path, values)
    return values


def random_text(length: int) -> str:
    return "".join(secrets.choice(string.ascii_letters + string.digits) for _ in range(length))


def write_private(path: Path, data: Any) -> None:
    path.touch(mode=0o600)
    path.write_text(json.dumps(data, indent=2) + "\n")
