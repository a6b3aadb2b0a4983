"""The reverse proxy: which certificate it serves, and having it serve the one on disk."""

from __future__ import annotations

import hashlib
import socket
import ssl
import subprocess
import time

from .settings import Settings

WAIT_S = 20


class StaleError(Exception):
    """Why the certificate on disk is not the one that visitors are shown."""


def served(settings: Settings) -> str | None:
    """SHA-256 of the certificate that a visitor is shown; nothing while nobody answers."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    proxy = settings.proxy
    try:
        with (
            socket.create_connection((proxy.address, proxy.port), timeout=5) as plain,
            context.wrap_socket(plain, server_hostname=proxy.names[0]) as connection,
        ):
            return hashlib.sha256(connection.getpeercert(binary_form=True) or b"").hexdigest()
    except OSError:
        return None


def execute(settings: Settings, argv: list[str]) -> None:
    compose = ["docker", "compose", "--project-directory", str(settings.project_directory)]
    whole = [*compose, "exec", "--no-TTY", settings.proxy.service, *argv]
    done = subprocess.run(whole, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120, check=False)
    if done.returncode:
        words = (done.stderr.strip() or done.stdout.strip())[-1000:]
        raise StaleError(
            f"`{' '.join(argv)}` in {settings.proxy.service} ended with exit code {done.returncode}: {words}"
        )


def reload(settings: Settings, digest: str) -> None:
    """Have the proxy read its files again and wait until it serves this certificate. Raises StaleError."""
    execute(settings, settings.proxy.test)
    execute(settings, settings.proxy.reload)
    end = time.monotonic() + WAIT_S
    while served(settings) != digest:
        if time.monotonic() > end:
            name = settings.proxy.service
            raise StaleError(f"{name} was told to read the new certificate, and after {WAIT_S} s still shows another")
        time.sleep(0.2)
