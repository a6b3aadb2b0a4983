"""The authority or the DNS fails: the site stays up, the message says what to do, and the monitoring knows."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from visitor import ADDRESS, SECONDS, SITES, anyone, converge, metrics, shown, words

from tests.host.authority import Authority

LOOK = "systemctl start somos-certificate.service"
WIPE = "rm -rf /etc/letsencrypt/* /opt/somos/nginx-certs/*"
ELSEWHERE = "10.77.0.2"


@pytest.fixture(autouse=True)
def as_it_was() -> Iterator[None]:
    yield
    mend()
    run = converge()
    assert run.returncode == 0, words(run)[-3000:]


def mend() -> None:
    if not Authority().connected:
        Authority().connect()
    Authority().fail_with()
    for name in SITES:
        Authority().point(name, ADDRESS)


def point_app(*addresses: str) -> Callable[[], None]:
    return lambda: Authority().point(SITES[0], *addresses)


BREAKS: dict[str, tuple[Callable[[], None], dict[str, Any], list[str]]] = {
    "the authority cannot be reached": (Authority().disconnect, {}, ["does not answer"]),
    "the authority is busy": (lambda: Authority().fail_with(directory="busy"), {}, ["does not answer"]),
    "too many orders": (
        lambda: Authority().fail_with(new_order="limited"),
        {},
        ["rate limit", "retry after", "certbot_staging"],
    ),
    "the name leads to another server": (point_app(ELSEWHERE), {}, ["The challenge failed", SITES[0], "port 80"]),
    "the name leads nowhere": (point_app(), {}, ["DNS does not say", SITES[0], "needs an A or AAAA record"]),
    "a token that may only read": (
        lambda: None,
        {"certbot_method": "cloudflare", "certbot_cloudflare_token": Authority().tokens["read"]},
        ["Cloudflare's API refuses", "Zone / DNS / Edit"],
    ),
    "a token of nobody": (
        lambda: None,
        {"certbot_method": "cloudflare", "certbot_cloudflare_token": "x" * 40},
        ["Cloudflare's API refuses", "Zone / DNS / Edit"],
    ),
    "a name of another zone": (
        lambda: None,
        {"certbot_method": "cloudflare", "certbot_extra_names": ["app.example.org"]},
        ["Cloudflare's API refuses", "in a zone that it is for"],
    ),
    "a name that the authority refuses": (
        lambda: None,
        {"certbot_extra_names": ["app.refused.test"]},
        ["gives no certificate for such a name", "certbot_extra_names"],
    ),
}


@pytest.mark.parametrize("fault", BREAKS)
def test_without_a_certificate_the_run_fails_and_the_site_is_up_on_a_placeholder(host: Any, fault: str) -> None:
    make, variables, told = BREAKS[fault]
    host.check_output(WIPE)
    make()
    run = converge(**variables)
    assert run.returncode != 0, "the run passed"
    for part in [
        *told,
        "warned by their browsers",
        "self-signed placeholder",
        "systemctl start somos-certificate.service",
    ]:
        assert part in words(run), f"{part}\n{words(run)[-3000:]}"
    assert Authority().tokens["edit"] not in run.stdout + run.stderr
    shown(anyone())
    state = metrics(host)
    assert (state["last_renewal_success"], state["placeholder"]) == (0, 1)
    assert state["last_success_timestamp_seconds"] < state["last_attempt_timestamp_seconds"]
    # The next look after it, without the fault and without a person, mends it.
    mend()
    if not variables:
        host.check_output(LOOK)
        shown()
        assert metrics(host)["last_renewal_success"] == 1


@pytest.mark.parametrize("fault", ["the authority cannot be reached", "too many orders", "the name leads nowhere"])
def test_with_a_certificate_in_service_the_run_warns_and_visitors_notice_nothing(host: Any, fault: str) -> None:
    make, _, told = BREAKS[fault]
    before = shown()
    make()
    run = converge(certbot_server=SECONDS)
    assert run.returncode == 0, words(run)[-3000:]
    for part in [*told, "[WARNING]", "Visitors notice nothing"]:
        assert part in words(run), f"{part}\n{words(run)[-3000:]}"
    assert shown() == before
    assert metrics(host)["last_renewal_success"] == 0
    assert host.run(LOOK).rc != 0
    assert host.check_output("systemctl is-failed somos-certificate.service || true") == "failed"
    assert told[0] in " ".join(host.check_output("journalctl --unit somos-certificate --lines 5 --output cat").split())
