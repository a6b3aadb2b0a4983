"""What becomes of the running proxy when its configuration changes, for good or ill."""

from __future__ import annotations

import copy
import json
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from client import OWN_ADDRESS, ROOT, ask, eventually

SITES = yaml.safe_load((ROOT / "molecule/host_vars/nginx.yml").read_text())["nginx_sites"]
TREE = "cd /opt/somos && find nginx compose.d nginx-certs -type f -exec sha256sum {} + | sort"
RUNNING = "docker inspect somos-nginx-1 --format '{{.Id}} {{.State.StartedAt}}'"


def converge(**variables: Any) -> subprocess.CompletedProcess[str]:
    command = ["ansible-playbook", "-i", "molecule/inventory.yml", "molecule/nginx/converge.yml"]
    extra = ["-e", json.dumps(variables)]
    return subprocess.run([*command, *extra], cwd=ROOT, capture_output=True, text=True, check=False)


def with_location(**location: Any) -> list[dict[str, Any]]:
    sites = copy.deepcopy(SITES)
    sites[0]["locations"].append(location)
    return sites


@pytest.fixture
def as_it_was() -> Iterator[None]:
    yield
    assert converge().returncode == 0


def test_a_site_that_nginx_does_not_understand_is_refused_and_the_old_tree_stays(host: Any) -> None:
    before = host.check_output(TREE), host.check_output(RUNNING)
    run = converge(nginx_sites=with_location(path="~ (", upstream="told"))
    assert run.returncode != 0
    assert "sites.conf" in run.stdout, run.stdout[-3000:]
    assert (host.check_output(TREE), host.check_output(RUNNING)) == before
    assert ask("https://app.somos.test/api/x").status == 200


def test_a_site_that_refers_to_what_is_not_there_is_named(host: Any) -> None:
    before = host.check_output(TREE)
    run = converge(nginx_sites=with_location(path="/x/", upstream="nobody"))
    assert run.returncode != 0
    assert "Site app of nginx_sites" in run.stdout, run.stdout[-3000:]
    assert host.check_output(TREE) == before


def test_a_changed_site_is_read_without_a_restart(host: Any, as_it_was: None) -> None:
    before = host.check_output(RUNNING)
    assert ask("https://app.somos.test/new/x").status == 404
    sites = with_location(path="/new/", upstream="told")
    run = converge(nginx_sites=sites)
    assert run.returncode == 0, run.stdout[-3000:]
    assert eventually(lambda: ask("https://app.somos.test/new/x").status == 200)
    assert host.check_output(RUNNING) == before
    assert "changed=0" in converge(nginx_sites=sites).stdout


def test_who_the_visitor_is_is_believed_from_the_cdn_and_from_nobody_else(as_it_was: None) -> None:
    def seen() -> str:
        answer = ask("https://app.somos.test/api/x", CF_Connecting_IP="203.0.113.9").json()
        return str(answer["headers"]["X-Real-IP"])

    for networks, visitor in (([f"{OWN_ADDRESS}/32"], "203.0.113.9"), (["192.0.2.0/24"], OWN_ADDRESS)):
        run = converge(nginx_real_ip_header="CF-Connecting-IP", nginx_client_networks=networks)
        assert run.returncode == 0, run.stdout[-3000:]
        assert eventually(lambda visitor=visitor: seen() == visitor)
    assert "nginx_client_networks is empty" in converge(nginx_real_ip_header="CF-Connecting-IP").stdout.replace(
        "\n", " "
    )
