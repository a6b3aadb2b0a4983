"""certbot, which talks to the certificate authority: what it has got so far, when it is asked, and how."""

from __future__ import annotations

import re
import subprocess
import time
from pathlib import Path

from . import pem
from .settings import Settings

CONTAINER = "somos-certbot"
TIMEOUT_S = 900
# A run of certbot may have been killed with its client, and the container lives on with certbot's lock.
REMOVE = ["docker", "rm", "--force", CONTAINER]


class Lineage:
    """certbot's own files of one certificate, below live/ and renewal/."""

    def __init__(self, settings: Settings) -> None:
        self.home, self.name = settings.letsencrypt, settings.lineage
        folder = settings.letsencrypt / "live" / settings.lineage
        self.chain, self.key = folder / "fullchain.pem", folder / "privkey.pem"
        self.renewal = settings.letsencrypt / "renewal" / f"{settings.lineage}.conf"

    def read(self) -> pem.Certificate | None:
        """Nothing also when it is broken: certbot mends it or says why it cannot."""
        try:
            return pem.read(self.chain, self.key)
        except pem.UnusableError:
            return None

    def put_aside(self) -> list[Path]:
        """Move away what a certbot that was killed has left of a certificate, and return where to.

        With half a certificate of that name certbot refuses, or goes on under another name, with a new order each time.
        """
        if self.read():
            return []
        left = [self.renewal, self.home / "live" / self.name, self.home / "archive" / self.name]
        aside = self.home / f"broken-{self.name}-{time.time_ns()}"
        moved = []
        for path in filter(Path.exists, left):
            aside.mkdir(mode=0o700, exist_ok=True)
            moved.append(path.rename(aside / f"{path.parent.name}-{path.name}"))
        return moved

    def text(self) -> str:
        return self.chain.read_text().rstrip() + "\n" + self.key.read_text()

    @property
    def server(self) -> str:
        """The directory of the authority that it is from."""
        try:
            found = re.search(r"^server = (\S+)$", self.renewal.read_text(), re.MULTILINE)
        except OSError:
            return ""
        return found[1] if found else ""


def due(settings: Settings, lineage: Lineage, now: float) -> str:
    """Why the authority has to be asked, by what lies here; nothing while it need not be."""
    certificate = lineage.read()
    if certificate is None:
        return "there is no certificate yet"
    if set(settings.names) != certificate.names:
        return f"it is to be for {', '.join(settings.names)}, and is for {', '.join(sorted(certificate.names))}"
    if lineage.server != settings.server:
        return f"it is to be from {settings.server}, and is from {lineage.server or 'nobody knows whom'}"
    if now >= certificate.renewal_time:
        return f"it expires on {pem.moment(certificate.not_after)}"
    return ""


def command(settings: Settings, lineage: Lineage) -> list[str]:
    """certbot's command line. It holds everything, so that nothing of an earlier configuration is left in force."""
    argv = ["certonly", "--non-interactive", "--agree-tos", "--max-log-backups=20", f"--cert-name={settings.lineage}"]
    argv += [
        f"--server={settings.server}",
        "--key-type=ecdsa",
        "--elliptic-curve=secp256r1",
        "--renew-with-new-domains",
    ]
    argv += [f"--email={settings.email}"] if settings.email else ["--register-unsafely-without-email"]
    argv += [f"--preferred-profile={settings.profile}"] if settings.profile else []
    if lineage.read() and lineage.server != settings.server:
        # Elsewhere the one that there is counts for nothing; between staging and production certbot wants to hear it.
        argv += ["--force-renewal", "--break-my-certs"]
    else:
        argv += ["--keep-until-expiring"]
    if settings.method == "cloudflare":
        argv += ["--dns-cloudflare", "--dns-cloudflare-credentials=/run/secrets/cloudflare.ini"]
        argv += [f"--dns-cloudflare-propagation-seconds={settings.propagation_s}"]
    else:
        argv += ["--webroot", "--webroot-path=/var/www/acme"]
    return argv + [f"--domain={name}" for name in settings.names]


def ask(settings: Settings, lineage: Lineage) -> tuple[int, str]:
    """Exit code and words of certbot, run as the one-shot service of the Compose project."""
    compose = ["docker", "compose", "--project-directory", str(settings.project_directory)]
    run = ["run", "--rm", "--no-deps", "--no-TTY", "--quiet-pull", f"--name={CONTAINER}", "certbot"]
    subprocess.run(REMOVE, capture_output=True, check=False)
    try:
        done = subprocess.run(
            [*compose, *run, *command(settings, lineage)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=TIMEOUT_S,
            text=True,
            errors="replace",
            check=False,
        )
    except subprocess.TimeoutExpired:
        subprocess.run(REMOVE, capture_output=True, check=False)
        return 124, f"certbot did not end within {TIMEOUT_S} s"
    return done.returncode, done.stdout
