"""The keys of the test world: an SSH key, a certificate authority, and certificates signed by it."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

from .names import ACME_NAME, AUTHORITY_IP, CA, CLOUDFLARE_NAME, OUTSIDE_IP, REGISTRY, S3_ENDPOINT, SITES, SSH_KEY, TLS
from .shell import run

CA_KEY = TLS / "ca.key"
NEW_KEY = ["-new", "-nodes", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
# Renewed a month before the end, so that no test run meets an expired certificate.
MARGIN_SECONDS = 30 * 86400


@dataclass(frozen=True)
class Certificate:
    name: str
    subjects: tuple[str, ...]  # subject alternative names, as openssl writes them

    @property
    def path(self) -> Path:
        return TLS / f"{self.name}.crt"

    @property
    def key(self) -> Path:
        return TLS / f"{self.name}.key"


def dns(*names: str) -> tuple[str, ...]:
    return tuple(f"DNS:{name}" for name in names)


SERVER = Certificate("server", dns(*SITES))
# 127.0.0.1: the machine itself reaches the registry through a published port.
OUTSIDE_WORLD = Certificate(
    "outside",
    (*dns(REGISTRY.partition(":")[0], S3_ENDPOINT.partition(":")[0]), f"IP:{OUTSIDE_IP}", "IP:127.0.0.1"),
)
AUTHORITY = Certificate("authority", (*dns(ACME_NAME, CLOUDFLARE_NAME), f"IP:{AUTHORITY_IP}"))


def ensure_keys() -> None:
    TLS.mkdir(parents=True, exist_ok=True, mode=0o700)
    if not SSH_KEY.exists():
        run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "somos-demo", "-f", str(SSH_KEY)])
    if not usable(CA, CA_KEY):
        make_authority()
    for certificate in (SERVER, OUTSIDE_WORLD, AUTHORITY):
        if not (usable(certificate.path, certificate.key) and signed_by_authority(certificate)):
            sign(certificate)


def usable(certificate: Path, key: Path) -> bool:
    if not (certificate.exists() and key.exists()):
        return False
    argv = ["openssl", "x509", "-in", str(certificate), "-noout", "-checkend", str(MARGIN_SECONDS)]
    return run(argv, check=False).returncode == 0


def signed_by_authority(certificate: Certificate) -> bool:
    """Signed by the present authority, for the present names."""
    argv = ["openssl", "x509", "-in", str(certificate.path), "-noout", "-ext", "subjectAltName"]
    _, _, names = run(argv).stdout.decode().replace("IP Address:", "IP:").partition("\n")
    listed = {name.strip() for name in names.split(",")}
    verified = run(["openssl", "verify", "-CAfile", str(CA), str(certificate.path)], check=False)
    return verified.returncode == 0 and listed == set(certificate.subjects)


def make_authority() -> None:
    certificate = ["-x509", "-days", "3650", "-subj", "/CN=Somos test CA"]
    usage = ["-addext", "keyUsage=critical,keyCertSign,cRLSign"]
    openssl("req", *NEW_KEY, *certificate, *usage, "-keyout", str(CA_KEY), "-out", str(CA))


def sign(certificate: Certificate) -> None:
    extensions = [
        f"subjectAltName={','.join(certificate.subjects)}",
        "basicConstraints=critical,CA:FALSE",
        "keyUsage=critical,digitalSignature",
        "extendedKeyUsage=serverAuth",
        # Python 3.13 and later refuse a certificate without it.
        "authorityKeyIdentifier=keyid",
        "subjectKeyIdentifier=hash",
    ]
    with tempfile.NamedTemporaryFile("w", suffix=".cnf") as file:
        file.write("\n".join(extensions))
        file.flush()
        common_name = certificate.subjects[0].partition(":")[2]
        request = openssl("req", *NEW_KEY, "-subj", f"/CN={common_name}", "-keyout", str(certificate.key))
        authority = ["-CA", str(CA), "-CAkey", str(CA_KEY), "-CAcreateserial", "-days", "825"]
        openssl("x509", "-req", *authority, "-extfile", file.name, "-out", str(certificate.path), stdin=request)


def openssl(*arguments: str, stdin: bytes | None = None) -> bytes:
    return run(["openssl", *arguments], stdin=stdin).stdout
