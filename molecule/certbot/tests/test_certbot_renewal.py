"""A certificate is renewed, by its age and when the authority asks for it; visitors notice nothing."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest
from visitor import SECONDS, converge, crowd, metrics, shown, words

from tests.host.authority import Authority

FORGET = "sed -i '/acme_renewal_info/,$d' /etc/letsencrypt/renewal/somos.conf"
LOOK = "systemctl start somos-certificate.service"


@pytest.fixture(autouse=True)
def as_it_was() -> Iterator[None]:
    yield
    Authority().fail_with()
    run = converge()
    assert run.returncode == 0, words(run)[-3000:]


def test_one_that_grows_old_is_renewed_and_not_one_request_fails(host: Any) -> None:
    # certbot goes by age: half of a life this short.
    Authority().fail_with(renewal_info="absent")
    run = converge(certbot_server=SECONDS)
    assert run.returncode == 0, words(run)[-3000:]
    told = metrics(host)
    first, half = shown(), (told["not_before_timestamp_seconds"] + told["not_after_timestamp_seconds"]) / 2
    host.check_output(LOOK)
    assert shown() == first, "it was renewed before its time"
    time.sleep(max(0, half + 1 - time.time()))
    with crowd() as seen:
        time.sleep(1)
        host.check_output(LOOK)
        second = shown()
        time.sleep(1)
    assert second != first
    assert set(seen) == {first, second}, [one for one in seen if one not in (first, second)][:5]
    assert seen.count(first) > 50 and seen.count(second) > 5
    print(f"{len(seen)} requests, none failed: {seen.count(first)} saw the old one, {seen.count(second)} the new one")
    assert metrics(host)["last_renewal_success"] == 1


def test_one_that_is_young_is_renewed_when_the_authority_wants_it(host: Any) -> None:
    before = shown()
    Authority().fail_with(renewal_info="now")
    # certbot asks for that at most every few hours.
    host.check_output(FORGET)
    host.check_output(LOOK)
    assert shown() != before
    assert metrics(host)["last_renewal_success"] == 1


def test_one_that_no_longer_lies_where_the_proxy_reads_it_is_put_back(host: Any) -> None:
    before = shown()
    host.check_output("rm /opt/somos/nginx-certs/certificate.pem")
    host.check_output(LOOK)
    assert shown() == before
    assert host.file("/opt/somos/nginx-certs/certificate.pem").exists


def test_a_proxy_that_missed_a_new_one_is_told_again(host: Any) -> None:
    """As after a run that was cut off between the file and the reload."""
    host.check_output("cp -p /opt/somos/nginx-certs/certificate.pem /root/kept.pem")
    try:
        host.check_output("sed -i 's/self_signed/x/' /dev/null; rm /opt/somos/nginx-certs/certificate.pem")
        host.check_output(
            'cd /etc/somos/certificate && sed \'s/"http"/"self_signed"/\' settings.json > /root/other.json'
        )
        host.check_output("/usr/local/lib/somos/certificate --settings /root/other.json prepare")
        assert metrics(host)["served"] == 1
        right = shown()
        host.check_output("/usr/local/lib/somos/certificate --settings /root/other.json issue")
        assert metrics(host)["placeholder"] == 1
    finally:
        host.check_output("mv /root/kept.pem /opt/somos/nginx-certs/certificate.pem; rm -f /root/other.json")
    host.check_output("/usr/local/lib/somos/certificate issue")
    assert shown() == right


def test_what_a_killed_certbot_has_left_is_put_aside(host: Any) -> None:
    """certbot itself would refuse, or go on as somos-0001 with a new order each time."""
    before = shown()
    host.check_output("cd /etc/letsencrypt && rm -r live/somos/privkey.pem && : > renewal/somos.conf")
    host.check_output(LOOK)
    assert shown() != before
    assert host.check_output("ls /etc/letsencrypt/live /etc/letsencrypt/renewal").split() == (
        ["/etc/letsencrypt/live:", "README", "somos", "/etc/letsencrypt/renewal:", "somos.conf"]
    )
    host.check_output("rm -r /etc/letsencrypt/broken-somos-*")


def test_a_look_that_was_killed_stands_in_nobody_s_way(host: Any) -> None:
    Authority().fail_with(renewal_info="now")
    host.check_output(FORGET)
    before = shown()
    host.check_output(f"{LOOK} --no-block")
    running = "docker ps --quiet --filter name=somos-certbot"
    host.check_output(f'for i in $(seq 300); do [ -n "$({running})" ] && break; sleep 0.02; done; {running} | grep .')
    host.check_output("systemctl kill --signal=KILL somos-certificate.service")
    assert shown() == before
    host.run("systemctl reset-failed somos-certificate.service")
    host.check_output(LOOK)
    assert shown() != before
    assert host.check_output("docker ps --all --quiet --filter name=somos-certbot") == ""
