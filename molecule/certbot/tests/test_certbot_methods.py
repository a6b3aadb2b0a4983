"""By DNS, by HTTP, or brought: each method takes over from the other, and a broken certificate is refused."""

from __future__ import annotations

import ssl
import subprocess
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from visitor import ROOT, SITES, anyone, converge, metrics, names, shown, words

from tests.host.authority import Authority

DEMO = ROOT / "build/demo"
OWN = {"fullchain": (DEMO / "tls/server.crt").read_text(), "privkey": (DEMO / "tls/server.key").read_text()}
TREE = "sha256sum /opt/somos/nginx-certs/certificate.pem /etc/somos/certificate/*"


@pytest.fixture(autouse=True)
def as_it_was() -> Iterator[None]:
    yield
    run = converge()
    assert run.returncode == 0, words(run)[-3000:]


def openssl(*arguments: str) -> None:
    subprocess.run(["openssl", *arguments], capture_output=True, check=True)


def test_a_wildcard_comes_by_dns_and_leaves_nothing_in_the_zone(host: Any) -> None:
    authority, wanted = Authority(), {"certbot_method": "cloudflare", "certbot_extra_names": ["*.somos.test"]}
    run = converge(**wanted)
    assert run.returncode == 0, words(run)[-3000:]
    assert names() == {"*.somos.test"}
    shown()
    zone = authority.call("GET", "/zones?name=somos.test")["result"][0]["id"]
    assert authority.call("GET", f"/zones/{zone}/dns_records?type=TXT")["result"] == []
    assert "changed=0" in converge(**wanted).stdout
    # The token is in one file, which certbot alone can read.
    token, file = authority.tokens["edit"], host.file("/opt/somos/secrets/certbot/cloudflare.ini")
    assert (file.uid, file.mode) == (11080, 0o400)
    assert token in file.content_string
    assert token not in run.stdout + run.stderr
    places = "/etc /var/log /opt/somos /var/lib/somos /run/systemd"
    assert host.run(f"grep --recursive --files-with-matches {token} {places}").stdout.split() == [file.path]
    assert token not in host.check_output("journalctl --no-pager --output cat --since=-1h")
    # Without this method it is gone.
    assert converge().returncode == 0
    assert not host.file("/opt/somos/secrets/certbot/cloudflare.ini").exists


def test_one_s_own_takes_over_and_gives_way_without_the_authority_being_asked(host: Any) -> None:
    before = shown()
    run = converge(certbot_method="own", certbot_certificate=OWN)
    assert run.returncode == 0, words(run)[-3000:]
    assert "PRIVATE KEY" not in run.stdout
    demo = ssl.create_default_context(cafile=str(DEMO / "ca.pem"))
    shown(demo)
    assert host.file("/etc/somos/certificate/own.pem").mode == 0o400
    assert "changed=0" in converge(certbot_method="own", certbot_certificate=OWN).stdout
    host.check_output("systemctl start somos-certificate.service")
    shown(demo)
    # What the authority gave is still good.
    Authority().disconnect()
    try:
        run = converge()
        assert run.returncode == 0, words(run)[-3000:]
        assert shown() == before
        assert metrics(host)["last_renewal_success"] == 1
    finally:
        Authority().connect()
    assert not host.file("/etc/somos/certificate/own.pem").exists


def expired() -> dict[str, str]:
    key = ec.generate_private_key(ec.SECP256R1())
    name, long_ago = x509.Name([]), datetime(2020, 1, 1)
    alternatives = x509.SubjectAlternativeName([x509.DNSName(one) for one in SITES])
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number(), long_ago, long_ago)
    chain = builder.add_extension(alternatives, critical=False).sign(key, hashes.SHA256())
    pem, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    private = key.private_bytes(pem, form, serialization.NoEncryption())
    return {"fullchain": chain.public_bytes(pem).decode(), "privkey": private.decode()}


def make_own(folder: Path, name: str, *options: str) -> dict[str, str]:
    key, chain = folder / "key", folder / "chain"
    subject = ["-subj", "/CN=own", "-addext", f"subjectAltName={name}"]
    curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
    openssl("req", "-x509", *curve, *(options or ("-noenc",)), *subject, "-keyout", str(key), "-out", str(chain))
    return {"fullchain": chain.read_text(), "privkey": key.read_text()}


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        ("another key", "the key is not that of the first certificate"),
        ("no certificate", "no PEM text"),
        ("another name", "it is not for s3.somos.test"),
        ("a passphrase", "has a passphrase"),
        ("expired", "it has expired on"),
        ("one half", "both halves of certbot_certificate"),
    ],
)
def test_a_broken_one_is_refused_before_it_replaces_what_works(
    host: Any, tmp_path: Path, fault: str, told: str
) -> None:
    both = ",".join(f"DNS:{name}" for name in SITES)
    own = {
        "another key": lambda: OWN | {"privkey": make_own(tmp_path, both)["privkey"]},
        "no certificate": lambda: {"fullchain": "nothing", "privkey": "nothing"},
        "another name": lambda: make_own(tmp_path, "DNS:app.somos.test"),
        "a passphrase": lambda: make_own(tmp_path, both, "-passout", "pass:secret"),
        "expired": expired,
        "one half": lambda: {"fullchain": OWN["fullchain"]},
    }[fault]()
    before, tree = shown(), host.check_output(TREE)
    run = converge(certbot_method="own", certbot_certificate=own)
    assert run.returncode != 0
    assert told in words(run), words(run)[-3000:]
    assert "PRIVATE KEY" not in run.stdout
    assert (shown(), host.check_output(TREE)) == (before, tree)


def test_a_check_says_what_would_be_asked_and_asks_nobody(host: Any) -> None:
    before, tree = shown(), host.check_output(TREE)
    Authority().disconnect()
    try:
        run = converge("--check", "--diff", certbot_server="https://acme.outside.test/seconds/dir")
    finally:
        Authority().connect()
    assert run.returncode == 0, words(run)[-3000:]
    assert "ask https://acme.outside.test/seconds/dir for a certificate" not in words(run), (
        "its settings are not written yet"
    )
    assert (shown(), host.check_output(TREE)) == (before, tree)
    assert "changed=0" in converge("--check", "--diff").stdout


def test_nobody_is_left_without_one_when_everything_of_it_is_gone(host: Any) -> None:
    host.check_output(
        "rm -rf /opt/somos/nginx-certs/* /etc/letsencrypt /var/lib/somos/certificate /var/lib/somos/metrics"
    )
    run = converge(certbot_method="self_signed", molecule_certificate_alone=False)
    assert run.returncode == 0, words(run)[-3000:]
    assert metrics(host)["placeholder"] == 1
    shown(anyone())
    assert names() == set(SITES)
