"""Certificates as files: what is in them, whether they can be used, and a placeholder where there is none."""

from __future__ import annotations

import hashlib
import os
import re
import ssl
import subprocess
import tempfile
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

PLACEHOLDER = "placeholder"
SHORT = 10 * 86400  # certbot renews certificates that live shorter after half their life, others after two thirds
BEGIN = "-----BEGIN CERTIFICATE-----"
MISMATCH = "KEY_VALUES_MISMATCH"


class UnusableError(Exception):
    """Why a file is no certificate with its key."""


@dataclass(frozen=True)
class Certificate:
    """The first certificate of a file. Times are seconds since 1970, `digest` is the SHA-256 of its DER form."""

    names: frozenset[str]
    not_before: float
    not_after: float
    digest: str
    placeholder: bool

    def missing(self, names: Iterable[str]) -> list[str]:
        return [name for name in names if not {name, f"*.{name.partition('.')[2]}"} & self.names]

    @property
    def renewal_time(self) -> float:
        """When certbot renews it if the authority says nothing else."""
        life = self.not_after - self.not_before
        return self.not_before + (life / 2 if life < SHORT else life * 2 / 3)


def read(chain: Path, key: Path | None = None) -> Certificate:
    """The certificate of a file that a server could use; without `key` that is in the same file.

    Raises UnusableError with words for the operator.
    """
    try:
        text = chain.read_text()
        # An empty passphrase, or OpenSSL would ask for one at the terminal.
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(chain, key, password=lambda: "")
    except (OSError, UnicodeDecodeError) as error:
        raise UnusableError(explain(error, key or chain)) from error
    shown = ["-noout", "-subject", "-dates", "-ext", "subjectAltName"]
    asked = subprocess.run(["openssl", "x509", "-in", str(chain), *shown], capture_output=True, text=True, check=False)
    if asked.returncode:
        raise UnusableError(f"openssl cannot read its first certificate: {asked.stderr.strip()[-300:]}")
    found = dict(re.findall(r"^(subject|notBefore|notAfter)= *(.*)$", asked.stdout, re.MULTILINE))
    return Certificate(
        names=frozenset(re.findall(r"DNS:([^\s,]+)", asked.stdout)),
        not_before=ssl.cert_time_to_seconds(found["notBefore"]),
        not_after=ssl.cert_time_to_seconds(found["notAfter"]),
        digest=hashlib.sha256(ssl.PEM_cert_to_DER_cert(first(text))).hexdigest(),
        placeholder=re.sub(r"\s", "", found["subject"]) == f"CN={PLACEHOLDER}",
    )


def first(text: str) -> str:
    """The first certificate of a text; whatever stands around it is left out."""
    end = "-----END CERTIFICATE-----"
    return f"{BEGIN}{text.partition(BEGIN)[2].partition(end)[0]}{end}\n"


def explain(error: Exception, key: Path) -> str:
    words = str(error)
    if MISMATCH in words:
        return "the key is not that of the first certificate; the chain has to begin with the server's own certificate"
    if isinstance(error, ssl.SSLError) and "ENCRYPTED" in key.read_text():
        return "its key has a passphrase, which nobody types at the start of a server"
    if isinstance(error, FileNotFoundError):
        return f"{error.filename or 'it'} is not there"
    if isinstance(error, ssl.SSLError):
        return f"it is no PEM text of a certificate chain and a key ({words})"
    return words


def problem_of(certificate: Certificate, names: Iterable[str], now: float) -> str:
    """Why a visitor would not accept it, or nothing."""
    if certificate.placeholder:
        return "it is the self-signed placeholder"
    if certificate.not_after <= now:
        return f"it has expired on {moment(certificate.not_after)}"
    missing = certificate.missing(names)
    return f"it is not for {', '.join(missing)}" if missing else ""


def problem_of_file(path: Path, names: Iterable[str]) -> str:
    try:
        return problem_of(read(path), names, time.time())
    except UnusableError as problem:
        return str(problem)


def moment(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(seconds))


def install(text: str, file: Path, owner: int) -> None:
    """In one step, and only what can be used: whoever reads the file meets the old pair or the new one."""
    handle, draft = tempfile.mkstemp(dir=file.parent, prefix=".certificate.")
    try:
        with os.fdopen(handle, "w") as opened:
            opened.write(text)
            opened.flush()
            os.fsync(opened.fileno())
        read(Path(draft))
        Path(draft).chmod(0o400)
        if os.geteuid() == 0:
            os.chown(draft, owner, owner)
        Path(draft).replace(file)
    finally:
        Path(draft).unlink(missing_ok=True)


def make_placeholder(names: Iterable[str], scratch: Path) -> str:
    """A self-signed certificate with its key, for servers that start before they have a real one."""
    alternatives = ",".join(f"DNS:{name}" for name in names) or "DNS:localhost"
    with tempfile.TemporaryDirectory(dir=scratch) as folder:
        key, chain = Path(folder) / "key", Path(folder) / "chain"
        curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-noenc"]
        subject = ["-subj", f"/CN={PLACEHOLDER}", "-addext", f"subjectAltName={alternatives}", "-days", "3650"]
        argv = ["openssl", "req", "-x509", *curve, *subject, "-keyout", str(key), "-out", str(chain)]
        subprocess.run(argv, capture_output=True, text=True, check=True)
        return chain.read_text() + key.read_text()
