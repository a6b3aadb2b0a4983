"""The program `certificate`: what is due, what is put in service, who is told, and in which words."""

from __future__ import annotations

import dataclasses
import hashlib
import importlib
import json
import os
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from render import ROOT

FOLDER = ROOT / "roles/certbot/host/usr/local/lib/somos"
NAMES = ["app.test", "s3.test"]
SERVER, OTHER = "https://acme.test/dir", "https://staging.test/dir"
DAY = timedelta(days=1)


@pytest.fixture(scope="module", autouse=True)
def importable() -> Iterator[None]:
    sys.path.insert(0, str(FOLDER))
    yield
    sys.path.remove(str(FOLDER))


def part(name: str) -> Any:
    return importlib.import_module(f"somos_certificate.{name}")


def pair(names: list[str], age: timedelta = DAY, life: timedelta = 90 * DAY, subject: str = "") -> tuple[str, str]:
    """A certificate of that age that lives so long, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    attributes = [x509.NameAttribute(x509.NameOID.COMMON_NAME, subject)] if subject else []
    name, start = x509.Name(attributes), datetime.now(timezone.utc) - age
    alternatives = x509.SubjectAlternativeName([x509.DNSName(one) for one in names])
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number(), start, start + life)
    chain = builder.add_extension(alternatives, critical=True).sign(key, hashes.SHA256())
    encoding, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    private = key.private_bytes(encoding, form, serialization.NoEncryption())
    return chain.public_bytes(encoding).decode(), private.decode()


class World:
    """A server in a directory: certbot's files, the proxy's file, and what docker was asked to do."""

    def __init__(self, home: Path) -> None:
        self.home = home
        for name in ("proxy", "state", "metrics", "letsencrypt/renewal"):
            (home / name).mkdir(parents=True)
        self.file = home / "proxy" / "certificate.pem"
        self.shown: str | None = None
        self.asked: list[list[str]] = []
        self.answer: tuple[int, str] = (0, "")
        self.comes: tuple[str, str] | None = None
        self.reloaded = 0
        self.refuses = ""

    def settings(self, **changes: Any) -> Any:
        proxy = {
            "directory": str(self.home / "proxy"),
            "owner": "101",
            "service": "nginx",
            "test": ["t"],
            "reload": ["r"],
        }
        raw = {
            **{
                "method": "cloudflare",
                "lineage": "somos",
                "names": NAMES,
                "extra_names": [],
                "server": SERVER,
                "email": "",
            },
            **{
                "profile": "",
                "propagation_s": "30",
                "project_directory": "/opt/somos",
                "own": str(self.home / "own.pem"),
            },
            **{"letsencrypt": str(self.home / "letsencrypt"), "state": str(self.home / "state")},
            **{"metrics": str(self.home / "metrics"), "proxy": proxy},
        }
        (self.home / "settings.json").write_text(json.dumps(raw | changes))
        return part("settings").load(self.home / "settings.json")

    def has(self, pair_: tuple[str, str], server: str = SERVER) -> None:
        """certbot has got this."""
        live = self.home / "letsencrypt/live/somos"
        live.mkdir(parents=True, exist_ok=True)
        (live / "fullchain.pem").write_text(pair_[0])
        (live / "privkey.pem").write_text(pair_[1])
        renewal = f"version = 5.8.0\n[renewalparams]\nserver = {server}\n"
        (self.home / "letsencrypt/renewal/somos.conf").write_text(renewal)

    def in_service(self, pair_: tuple[str, str]) -> None:
        self.file.write_text("".join(pair_))
        self.shown = self.digest()

    def digest(self) -> str:
        return hashlib.sha256(ssl.PEM_cert_to_DER_cert(part("pem").first(self.file.read_text()))).hexdigest()

    def run(self, verb: str, dry: bool = False, **changes: Any) -> Any:
        return part("keeper").Keeper(self.settings(**changes), dry=dry).run(verb)

    def metrics(self) -> dict[str, float]:
        lines = (self.home / "metrics/somos_certificate.prom").read_text().splitlines()
        return {line.split()[0]: float(line.split()[1]) for line in lines if not line.startswith("#")}


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    made = World(tmp_path)

    def ask(settings: Any, lineage: Any) -> tuple[int, str]:
        made.asked.append(part("authority").command(settings, lineage))
        if made.comes:
            made.has(made.comes, settings.server)
        return made.answer

    def execute(settings: Any, argv: list[str]) -> None:
        if made.refuses == argv[0]:
            raise part("proxy").StaleError("nginx says no")
        if argv == ["r"]:
            made.reloaded += 1
            made.shown = made.digest()

    monkeypatch.setattr(part("authority"), "ask", ask)
    monkeypatch.setattr(part("proxy"), "execute", execute)
    monkeypatch.setattr(part("proxy"), "served", lambda settings: made.shown)
    monkeypatch.setattr(part("proxy"), "WAIT_S", 0)
    monkeypatch.setattr(os, "chown", lambda *given: None)
    return made


# --- what is due ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("have", "changes", "reason"),
    [
        (None, {}, "no certificate yet"),
        ((NAMES, DAY, 90 * DAY), {}, ""),
        ((NAMES, 59 * DAY, 90 * DAY), {}, ""),
        ((NAMES, 61 * DAY, 90 * DAY), {}, "expires on"),
        ((NAMES, 29 * DAY, 45 * DAY), {}, ""),
        ((NAMES, 31 * DAY, 45 * DAY), {}, "expires on"),
        # Six days, as `shortlived` has: half of it.
        ((NAMES, 2.9 * DAY, 6 * DAY), {}, ""),
        ((NAMES, 3.1 * DAY, 6 * DAY), {}, "expires on"),
        ((["app.test"], DAY, 90 * DAY), {}, "to be for app.test, s3.test"),
        ((NAMES, DAY, 90 * DAY), {"server": OTHER}, "to be from https://staging.test/dir"),
        ((["*.test"], DAY, 90 * DAY), {"extra_names": ["*.test"]}, ""),
    ],
)
def test_the_authority_is_asked_when_it_has_to_be(world: World, have: Any, changes: Any, reason: str) -> None:
    if have:
        world.has(pair(*have))
    settings = world.settings(**changes)
    said = part("authority").due(settings, part("authority").Lineage(settings), time.time())
    assert reason in said if reason else said == ""


def test_a_pair_that_was_torn_apart_is_none(world: World) -> None:
    world.has((pair(NAMES)[0], pair(NAMES)[1]))
    settings = world.settings()
    assert (
        part("authority").due(settings, part("authority").Lineage(settings), time.time())
        == "there is no certificate yet"
    )


def test_names_that_a_wildcard_covers_are_not_asked_for_twice() -> None:
    wanted = ["app.test", "s3.test", "a.b.test", "*.test", "test", "app.test"]
    assert part("settings").without_covered(wanted) == ["a.b.test", "*.test", "test"]


@pytest.mark.parametrize(
    "left", [["renewal/somos.conf"], ["live/somos/README"], ["archive/somos/cert1.pem", "live/somos/README"]]
)
def test_what_a_killed_certbot_left_is_put_aside_before_it_is_asked_again(world: World, left: list[str]) -> None:
    home = world.home / "letsencrypt"
    for name in left:
        (home / name).parent.mkdir(parents=True, exist_ok=True)
        (home / name).touch()
    (home / "renewal/other.conf").touch()
    report = world.run("issue")
    assert "put half a certificate aside" in report.did[0]
    assert [path.name for path in home.rglob("*somos*") if "broken-" not in str(path)] == []
    assert len([path for path in home.rglob("*") if path.is_file() and "broken-" in str(path)]) == len(left)
    assert (home / "renewal/other.conf").exists()


def test_a_whole_one_is_never_put_aside(world: World) -> None:
    world.has(pair(NAMES, 9 * DAY, DAY))
    world.run("issue")
    assert not list((world.home / "letsencrypt").glob("broken-*"))


# --- how certbot is asked ---------------------------------------------------------------------------------------------


def test_certbot_is_told_everything_and_no_secret(world: World) -> None:
    world.run("issue", email="ops@app.test", profile="shortlived")
    (argv,) = world.asked
    for word in [
        "certonly",
        "--non-interactive",
        "--cert-name=somos",
        f"--server={SERVER}",
        "--key-type=ecdsa",
        "--email=ops@app.test",
        "--preferred-profile=shortlived",
        "--dns-cloudflare-credentials=/run/secrets/cloudflare.ini",
        "--dns-cloudflare-propagation-seconds=30",
        "--keep-until-expiring",
        "--domain=app.test",
        "--domain=s3.test",
    ]:
        assert word in argv, word


def test_by_http_certbot_writes_where_the_proxy_shows_it(world: World) -> None:
    world.run("issue", method="http")
    assert {"--webroot", "--webroot-path=/var/www/acme", "--register-unsafely-without-email"} <= set(world.asked[0])
    assert not [word for word in world.asked[0] if "cloudflare" in word]


def test_a_certificate_of_another_authority_is_not_kept(world: World) -> None:
    world.has(pair(NAMES), OTHER)
    world.run("issue")
    assert {"--force-renewal", "--break-my-certs"} <= set(world.asked[0])
    assert "--keep-until-expiring" not in world.asked[0]


@pytest.mark.parametrize(("verb", "times"), [("issue", 0), ("renew", 1)])
def test_the_timer_leaves_it_to_certbot_and_a_run_of_the_playbook_asks_nobody(
    world: World, verb: str, times: int
) -> None:
    world.has(pair(NAMES))
    world.in_service(pair(NAMES))
    world.run(verb)
    assert len(world.asked) == times


@pytest.mark.parametrize("method", ["own", "self_signed"])
def test_without_an_authority_none_is_asked(world: World, method: str) -> None:
    (world.home / "own.pem").write_text("".join(pair(NAMES)))
    for verb in ("prepare", "issue", "renew"):
        world.run(verb, method=method)
    assert world.asked == []


# --- what is put in service -------------------------------------------------------------------------------------------


def test_what_has_come_is_put_in_service_and_the_proxy_told_once(world: World) -> None:
    world.comes = pair(NAMES)
    report = world.run("issue")
    assert (report.code, report.as_dict()["changed"]) == (0, True)
    assert world.file.read_text() == "".join(world.comes)
    assert world.file.stat().st_mode & 0o777 == 0o400
    assert world.reloaded == 1
    assert world.run("issue").as_dict() == {"changed": False, "did": [], "error": "", "good": True}
    assert (len(world.asked), world.reloaded) == (1, 1)


def test_a_bare_server_gets_a_placeholder_for_its_names_once(world: World) -> None:
    assert world.run("prepare").did == [f"put a self-signed placeholder into {world.file}"]
    found = part("pem").read(world.file)
    assert (found.placeholder, found.names) == (True, frozenset(NAMES))
    assert world.run("prepare").did == []


def test_a_placeholder_stands_where_it_is_wanted_and_nowhere_else(world: World) -> None:
    world.run("prepare", method="self_signed")
    world.shown = world.digest()
    assert world.run("issue", method="self_signed").code == 0
    report = world.run("issue")
    assert report.code == 2
    assert "self-signed placeholder" in report.error


def test_certbot_s_own_is_taken_again_after_another_method(world: World) -> None:
    world.has(pair(NAMES))
    world.in_service(pair(NAMES))
    assert world.run("issue").code == 0
    assert world.asked == []
    assert world.digest() == world.shown
    assert world.reloaded == 1


@pytest.mark.parametrize("current", ["good", "placeholder", "expired", "none"])
def test_one_that_lacks_a_name_is_better_than_none_and_worse_than_a_good_one(world: World, current: str) -> None:
    """As after a site was added and the authority refused."""
    world.has(pair(["app.test"]))
    world.answer = (1, "Some challenges have failed.")
    before = {
        "good": pair(NAMES),
        "placeholder": pair(NAMES, subject="placeholder"),
        "expired": pair(NAMES, 9 * DAY, DAY),
    }
    if current != "none":
        world.in_service(before[current])
    report = world.run("issue")
    assert report.code == (1 if current == "good" else 2)
    names = part("pem").read(world.file).names
    assert names == frozenset(NAMES if current == "good" else ["app.test"])


def test_one_that_has_expired_replaces_nothing(world: World) -> None:
    world.has(pair(NAMES, 9 * DAY, DAY))
    world.in_service(good := pair(NAMES))
    world.answer = (1, "Max retries exceeded")
    assert world.run("issue").code == 1
    assert world.file.read_text() == "".join(good)


def test_the_file_is_whole_at_every_moment(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.in_service(good := pair(NAMES))
    with pytest.raises(part("pem").UnusableError, match="not that of the first certificate"):
        part("pem").install(pair(NAMES)[0] + pair(NAMES)[1], world.file, 101)
    assert world.file.read_text() == "".join(good)
    assert [path.name for path in world.file.parent.iterdir()] == ["certificate.pem"]


# --- the proxy --------------------------------------------------------------------------------------------------------


def test_a_proxy_that_serves_what_is_on_disk_is_left_alone(world: World) -> None:
    world.has(one := pair(NAMES))
    world.in_service(one)
    world.run("renew")
    assert world.reloaded == 0


@pytest.mark.parametrize("refuses", ["t", "r"])
def test_a_proxy_that_will_not_read_it_is_an_error_that_visitors_meet(world: World, refuses: str) -> None:
    world.has(pair(NAMES))
    world.in_service(pair(NAMES))
    world.refuses = refuses
    report = world.run("renew")
    assert report.code == 2
    assert "nginx says no" in report.error
    assert world.metrics()["somos_certificate_served"] == 0
    assert world.reloaded == 0


# --- failures, and the monitoring -------------------------------------------------------------------------------------


def test_a_failure_is_told_to_the_monitoring_and_so_is_its_end(world: World) -> None:
    world.has(one := pair(NAMES))
    world.in_service(one)
    assert world.run("renew").code == 0
    first = world.metrics()
    world.answer = (1, "requests.exceptions.ConnectionError: Max retries exceeded")
    report = world.run("renew")
    assert (report.code, report.good) == (1, True)
    assert "Visitors notice nothing" in report.error
    told = world.metrics()
    assert (told["somos_certificate_last_renewal_success"], told["somos_certificate_served"]) == (0, 1)
    assert (world.home / "metrics/somos_certificate.prom").stat().st_mode & 0o777 == 0o644
    success = "somos_certificate_last_success_timestamp_seconds"
    assert told[success] == first[success]
    world.answer = (0, "")
    world.run("renew")
    assert world.metrics()["somos_certificate_last_renewal_success"] == 1


def test_also_a_fault_of_the_program_is(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.in_service(pair(NAMES))

    def broken(*given: Any) -> None:
        raise KeyError("notBefore")

    monkeypatch.setattr(part("authority"), "due", broken)
    report = world.run("renew")
    assert (report.code, "KeyError" in report.error) == (1, True)
    assert world.metrics()["somos_certificate_last_renewal_success"] == 0


def test_a_check_asks_nobody_and_writes_nothing(world: World) -> None:
    def tree() -> list[tuple[str, bytes]]:
        return [(str(path), path.read_bytes()) for path in sorted(world.home.rglob("*")) if path.is_file()]

    world.in_service(pair(NAMES, subject="placeholder"))
    world.settings()
    before = tree()
    report = world.run("issue", dry=True)
    assert report.did == [f"ask {SERVER} for a certificate: there is no certificate yet"]
    assert (report.error, world.asked, world.reloaded, tree()) == ("", [], 0, before)


def test_without_a_directory_for_metrics_there_are_none(world: World) -> None:
    world.comes = pair(NAMES)
    world.run("issue", metrics="")
    assert not list((world.home / "metrics").iterdir())


# --- words ------------------------------------------------------------------------------------------------------------

# As certbot 5.8 said it, to pebble 2.6 and to the stand-in of Cloudflare's API.
FRAME = (
    "Saving debug log to /var/log/letsencrypt.log\nRequesting a certificate for app.test\n{}\nAsk for help or search"
)
CHALLENGE = "Certbot failed to authenticate some domains. The Certificate Authority reported these problems:\n"
SAID = {
    "too many certificates (5) already issued for this exact set in the last 168h0m0s, retry after 2026-12-01": (
        ["rate limit", "retry after 2026-12-01", "certbot_staging"]
    ),
    CHALLENGE
    + "  Identifier: app.test\n  Type:   connection\n  Detail: dial tcp 10.77.0.2:80: connect: connection refused": (
        ["challenge failed", "app.test", "10.77.0.2:80", "port 80"]
    ),
    CHALLENGE + '  Identifier: app.test\n  Type:   connection\n  Detail: could not resolve URL "http://app.test:80/"': (
        ["DNS does not say", "A or AAAA record"]
    ),
    CHALLENGE + "  Domain: app.test\n  Type:   dns\n  Detail: DNS problem: NXDOMAIN looking up A for app.test": (
        ["DNS does not say"]
    ),
    CHALLENGE + "  Domain: app.test\n  Type:   caa\n  Detail: CAA record for app.test prevents issuance": (
        ["CAA record forbids"]
    ),
    'Order included an identifier for which issuance is forbidden by policy: "app.test"': (
        ["gives no certificate for such a name"]
    ),
    "acme.messages.Error: about:blank :: The service is down for maintenance or had an internal error.": (
        ["does not answer"]
    ),
    "requests.exceptions.ConnectionError: HTTPSConnectionPool(host='acme.test', port=443): Max retries exceeded": (
        ["does not answer", SERVER]
    ),
    "Error determining zone_id: 9109 Invalid access token. Please confirm that you have Cloudflare credentials.": (
        ["Cloudflare's API refuses", "Zone / DNS / Edit"]
    ),
    "Network error contacting the Cloudflare API while looking up the zone for app.test: Connection error.": (
        ["Cloudflare's API does not answer", "timer tries again"]
    ),
    "something that nobody foresaw": (["certbot failed", "something that nobody foresaw", "/var/log/somos/certbot"]),
}


@pytest.mark.parametrize("said", SAID)
def test_what_certbot_says_becomes_what_to_do(world: World, said: str) -> None:
    told = part("words").explain(FRAME.format(said), world.settings(method="http"))
    for words in SAID[said]:
        assert words in told, told
    assert "Saving debug log" not in told


# --- a certificate of one's own ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (lambda: "".join(pair(NAMES)), ""),
        (lambda: "".join(pair(["*.test"])), ""),
        (lambda: pair(NAMES)[0] + pair(NAMES)[1], "the key is not that of the first certificate"),
        (lambda: "".join(reversed(pair(NAMES))), ""),
        (lambda: pair(NAMES)[0], "no PEM text"),
        (lambda: "nothing", "no PEM text"),
        (lambda: "".join(pair(NAMES, 9 * DAY, DAY)), "it has expired on"),
        (lambda: "".join(pair(["app.test", "*.s3.test"])), "it is not for s3.test"),
    ],
)
def test_one_s_own_is_judged_before_it_is_used(world: World, text: Any, told: str) -> None:
    world.settings()
    file = world.home / "candidate.pem"
    file.write_text(text())
    argv = [
        sys.executable,
        str(FOLDER / "certificate"),
        f"--settings={world.home / 'settings.json'}",
        "check",
        str(file),
    ]
    judged = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert judged.returncode == (1 if told else 0), judged.stderr
    assert told in judged.stderr
    assert ("certbot_certificate is refused" in judged.stderr) is bool(told)


def test_a_chain_that_begins_with_another_certificate_is_refused(world: World) -> None:
    chain, key = pair(NAMES)
    file = world.home / "candidate.pem"
    file.write_text(pair(["authority"])[0] + chain + key)
    assert "has to begin with the server's own" in part("pem").problem_of_file(file, NAMES)


def test_settings_hold_what_the_program_needs(world: World) -> None:
    settings = world.settings(extra_names=["*.test"])
    assert settings.names == ["*.test"]
    assert settings.proxy.names == NAMES, "the proxy is asked by the names that it answers to"
    assert dataclasses.is_dataclass(settings)
