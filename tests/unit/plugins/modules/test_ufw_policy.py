"""The module ufw_policy where there is no UFW; with one, its scenario in molecule tries it on a server."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from ansible.module_utils.basic import AnsibleModule

from ansible_collections.somos.infra.plugins.modules import ufw_policy

Run = Callable[..., dict[str, Any]]
RULES = [{"name": "SSH", "port": 2222}]


@pytest.fixture(autouse=True)
def without_ufw(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(AnsibleModule, "get_bin_path", lambda *_, **__: None)
    monkeypatch.setattr(ufw_policy, "connection", lambda: None)


def test_check_mode_predicts_the_whole_policy(run_module: Run) -> None:
    told = run_module(ufw_policy, check=True, rules=RULES, connection_port=2222)
    assert told["changed"] and told["commands"] == ["ufw --force enable"]
    (shown,) = told["diff"]
    assert "incoming: deny\n" in shown["after"]
    assert "allow proto tcp from any to any port 2222  # somos: SSH\n" in shown["after"]


def test_a_run_says_what_is_missing(run_module: Run) -> None:
    assert "install its package first" in run_module(ufw_policy, rules=RULES)["msg"]


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"rules": [{"name": "web", "port": 80, "from": []}]}, "'web' is empty"),
        ({"docker_rules": ["DROP"]}, "no rule for the chain DOCKER-USER"),
        ({"isolated_bridges": ["a bridge"]}, "no name of a network interface"),
    ],
)
def test_nonsense_is_refused_before_anything_is_looked_at(run_module: Run, wrong: dict[str, Any], says: str) -> None:
    assert says in run_module(ufw_policy, check=True, **wrong)["msg"]
