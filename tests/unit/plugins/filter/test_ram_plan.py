"""The filter ram_plan as a template uses it."""

from __future__ import annotations

from typing import Any

import pytest
from ansible.errors import AnsibleError
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar, trust_as_template


def render(template: str, **variables: Any) -> Any:
    return Templar(loader=DataLoader(), variables=variables).template(trust_as_template("{{ " + template + " }}"))


def test_a_template_reads_the_plan() -> None:
    plan = render("total | somos.infra.ram_plan", total=32000)
    assert plan["services"]["postgres"]["limit_mb"] == 7400
    assert plan["services"]["redis-cache"]["settings"]["maxmemory_mb"] == 556
    assert sorted(plan) == ["reserve_mb", "services", "surge_mb", "total_mb"]


def test_profile_services_and_overrides_are_passed_on() -> None:
    plan = render(
        "total | somos.infra.ram_plan('16g', services=here, overrides=own)",
        total=99,
        here=["nginx", "redis"],
        own={"redis": {"limit_mb": "512", "settings": {"maxmemory_mb": 256}}},
    )
    assert plan["total_mb"] == 15600
    assert list(plan["services"]) == ["redis", "nginx"]
    assert plan["services"]["redis"] == {"limit_mb": 512, "replicas": 1, "settings": {"maxmemory_mb": 256}}


def test_an_unknown_profile_fails_with_variable_value_and_choices() -> None:
    with pytest.raises(AnsibleError, match="somos_ram_profile is '17g'; it must be one of: auto, 16g, 32g, 64g"):
        render("32000 | somos.infra.ram_plan('17g')")
