"""What roles declare to role firewall, as the inventory makes it."""

from __future__ import annotations

from typing import Any

import pytest
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar
from render import ROOT

from ansible_collections.somos.infra.plugins.module_utils._ufw_docker import block
from ansible_collections.somos.infra.plugins.module_utils._ufw_rules import wanted


def declared(role: str, **variables: Any) -> list[dict[str, Any]]:
    loader = DataLoader()
    known: dict[str, Any] = {}
    for part in ("defaults", "vars"):
        path = ROOT / "roles" / role / part / "main.yml"
        known |= loader.load_from_file(str(path), trusted_as_template=True) or {}
    templar = Templar(loader=loader, variables=known | variables)
    return [dict(rule) for rule in templar.template(known[f"{role}_firewall_rules"])]


def test_nginx_opens_its_two_ports_for_everybody() -> None:
    assert declared("nginx") == [{"name": "HTTP", "port": 80}, {"name": "HTTPS", "port": 443}]


def test_behind_a_cdn_nginx_opens_them_for_its_networks() -> None:
    rules = declared("nginx", nginx_client_networks=["173.245.48.0/20"])
    assert [rule["from"] for rule in rules] == [["173.245.48.0/20"]] * 2


@pytest.mark.parametrize("role", ["nginx", "postgres", "redis", "qdrant", "object_storage", "app"])
def test_what_a_role_declares_is_understood(role: str) -> None:
    rules = declared(role, **{f"{role}_client_networks": ["10.0.0.11/32"], "somos_server_networks": ["10.0.0.11/32"]})
    given = [{"proto": "tcp", **rule} for rule in rules]
    assert given
    ports = {str(rule["port"]) for rule in given}
    assert ports <= {port for found in wanted(given, []) for port in found.port.split(",")}
    for port in ports:
        assert f"--ctorigdstport {port} " in block(given, 4)
