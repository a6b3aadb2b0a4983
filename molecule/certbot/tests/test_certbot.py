"""What a bare server has after the first run: a certificate by HTTP-01, and somebody who looks after it."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from visitor import SITES, metrics, visit

FILE = "/opt/somos/nginx-certs/certificate.pem"


@pytest.mark.parametrize("name", SITES)
def test_visitors_are_shown_a_certificate_that_they_can_trust(name: str) -> None:
    assert visit(name)[0] == 200


def test_its_key_is_on_a_curve(host: Any) -> None:
    assert "prime256v1" in host.check_output(f"openssl x509 -in {FILE} -noout -text")


def test_keys_can_be_read_by_who_needs_them_alone(host: Any) -> None:
    proxy = host.file(FILE)
    assert (proxy.uid, proxy.mode) == (101, 0o400)
    keys = host.check_output("find /etc/letsencrypt -name 'privkey*' -type f -o -name private_key.json").split()
    assert len(keys) == 2
    for key in keys:
        assert host.file(key).uid == 11080
        assert host.file(key).mode & 0o077 == 0, key
    assert host.file("/etc/letsencrypt").mode == 0o700
    assert "PRIVATE KEY" not in host.check_output("cat /var/log/somos/certbot/*")


def test_the_monitoring_is_told_of_it(host: Any) -> None:
    told = metrics(host)
    assert told["not_after_timestamp_seconds"] - told["not_before_timestamp_seconds"] == pytest.approx(
        90 * 86400, abs=2
    )
    assert told["last_success_timestamp_seconds"] == told["last_attempt_timestamp_seconds"]
    assert abs(told["last_attempt_timestamp_seconds"] - time.time()) < 3600
    assert (told["placeholder"], told["served"], told["last_renewal_success"]) == (0, 1, 1)
    assert host.file("/var/lib/somos/metrics/somos_certificate.prom").mode == 0o644


def test_it_is_looked_after_twice_a_day_also_when_the_server_was_off(host: Any) -> None:
    timer = host.check_output(
        "systemctl show somos-certificate.timer --property=Persistent,RandomizedDelayUSec,UnitFileState"
    )
    assert {"Persistent=yes", "RandomizedDelayUSec=3h", "UnitFileState=enabled"} == set(timer.split())
    schedule = host.check_output("systemctl show somos-certificate.timer --property=TimersCalendar")
    assert "03,15:00:00" in schedule
    host.check_output("systemctl start somos-certificate.service")


def test_nothing_of_it_is_left_running_and_nobody_has_the_engine_s_socket(host: Any) -> None:
    assert host.check_output("docker ps --all --quiet --filter name=somos-certbot") == ""
    mounts = host.check_output("docker inspect --format '{{json .HostConfig.Binds}}' somos-nginx-1")
    assert "docker.sock" not in mounts
    model = json.loads(
        host.check_output("docker compose --project-directory /opt/somos --profile jobs config --format json")
    )
    assert "docker.sock" not in json.dumps(model["services"]["certbot"])


def test_a_look_that_finds_nothing_due_changes_nothing(host: Any) -> None:
    started = "docker inspect --format '{{.State.StartedAt}}' somos-nginx-1"
    workers = "docker top somos-nginx-1 -eo pid,args"
    before = host.check_output(started), host.check_output(workers), host.file(FILE).content_string
    host.check_output("systemctl start somos-certificate.service")
    assert (host.check_output(started), host.check_output(workers), host.file(FILE).content_string) == before
