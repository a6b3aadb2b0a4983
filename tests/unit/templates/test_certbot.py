"""The files that role certbot writes."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml
from render import render_files, render_role

PROXY = {
    **{"directory": "/opt/somos/proxy", "owner": "101", "webroot": "/var/lib/somos/acme", "service": "proxy"},
    **{"test": ["proxy", "-t"], "reload": ["proxy", "-s", "reload"]},
}
TOKEN = "scenario-cloudflare-dns-token"  # noqa: S105


def files(**overrides: Any) -> dict[str, str]:
    return render_role("certbot", {"certbot_proxy": PROXY, "certbot_cloudflare_token": TOKEN} | overrides)


def container(**overrides: Any) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(files(**overrides)["compose.d/certbot.yml"])["services"]["certbot"]
    return found


def test_the_token_is_in_one_file_that_certbot_alone_reads() -> None:
    found = render_files("certbot", {"certbot_proxy": PROXY, "certbot_cloudflare_token": TOKEN})
    holders = [path for path, file in found.items() if TOKEN in file.text]
    assert holders == ["secrets/certbot/cloudflare.ini"]
    file = found[holders[0]]
    assert (file.owner, file.mode, file.secret) == ("11080", "0400", True)


@pytest.mark.parametrize("method", ["http", "own", "self_signed"])
def test_without_its_method_the_token_is_nowhere(method: str) -> None:
    own = {"fullchain": "CHAIN", "privkey": "KEY"}
    found = files(certbot_method=method, certbot_certificate=own)
    assert not [path for path, text in found.items() if TOKEN in text]
    assert not [
        mount for mount in container(certbot_method=method, certbot_certificate=own)["volumes"] if "secrets" in mount
    ]
    assert ("etc/somos/certificate/own.pem" in found) is (method == "own")


def test_one_s_own_is_a_secret_file_of_chain_and_key() -> None:
    own = {"fullchain": "CHAIN\n", "privkey": "KEY\n"}
    found = render_files("certbot", {"certbot_proxy": PROXY, "certbot_method": "own", "certbot_certificate": own})
    file = found["etc/somos/certificate/own.pem"]
    assert (file.text, file.mode, file.secret) == ("CHAIN\nKEY\n", "0400", True)


@pytest.mark.parametrize(("staging", "host"), [(False, "acme-v02"), (True, "acme-staging-v02")])
def test_staging_is_a_switch(staging: bool, host: str) -> None:
    settings = json.loads(files(certbot_staging=staging)["etc/somos/certificate/settings.json"])
    assert settings["server"] == f"https://{host}.api.letsencrypt.org/directory"


def test_an_authority_of_one_s_own_is_trusted_in_place_of_the_usual_ones() -> None:
    assert "REQUESTS_CA_BUNDLE" not in container()["environment"]
    bundle = container(certbot_authorities="PEM")["environment"]["REQUESTS_CA_BUNDLE"]
    assert bundle == "/etc/certbot/authorities.pem"
    assert "/opt/somos/certbot:/etc/certbot:ro" in container(certbot_authorities="PEM")["volumes"]


def test_the_timer_is_what_the_inventory_says_and_knows_its_service() -> None:
    one, other = files(), files(certbot_schedule="*-*-* 05:00:00", certbot_jitter="9min")
    timer = "etc/systemd/system/somos-certificate.timer"
    assert "OnCalendar=*-*-* 03,15:00:00\n" in one[timer] and "Persistent=true" in one[timer]
    assert "OnCalendar=*-*-* 05:00:00\n" in other[timer] and "RandomizedDelaySec=9min" in other[timer]
    # A changed service changes the timer's file, so that systemd reads both again.
    assert one[timer] != files(certbot_metrics_directory="/var/lib/metrics")[timer]


def test_the_service_may_write_where_it_has_to_and_nowhere_else() -> None:
    service = files(certbot_metrics_directory="/var/lib/metrics")["etc/systemd/system/somos-certificate.service"]
    assert "ReadWritePaths=/opt/somos/proxy /etc/letsencrypt /var/lib/somos/certificate /var/lib/metrics\n" in service
    assert "ProtectSystem=strict" in service
