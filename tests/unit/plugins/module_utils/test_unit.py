"""Which systemctl commands are missing, by what systemd says."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.somos.infra.plugins.module_utils._unit import Unit, plan


def unit(name: str = "ssh.service", **state: Any) -> Unit:
    return Unit(**{"name": name, "installed": True, "active": True, "enabled": True, "stale": False, **state})


SOCKET = unit("ssh.socket")
AWAY = unit("ssh.socket", active=False, enabled=False)


@pytest.mark.parametrize(
    ("state", "read", "expected"),
    [
        ({}, "new", []),
        ({}, "old", [["reload", "ssh.service"]]),
        ({"active": False}, "new", [["start", "ssh.service"]]),
        ({"active": False}, "old", [["start", "ssh.service"]]),
        ({"enabled": False}, "new", [["enable", "ssh.service"]]),
        ({"stale": True}, "new", [["daemon-reload"]]),
    ],
)
def test_only_what_is_missing_is_run(state: dict[str, Any], read: str, expected: list[list[str]]) -> None:
    assert plan(unit(**state), [AWAY], "reload", read, "new") == expected


def test_the_first_time_the_unit_is_restarted_whatever_it_may_have_read() -> None:
    assert plan(unit(), [], "reload", None, "new") == [["restart", "ssh.service"]]


def test_a_socket_gives_way_only_after_the_service_is_there_for_the_next_start() -> None:
    assert plan(unit(enabled=False), [SOCKET], "reload", "new", "new") == [
        ["enable", "ssh.service"],
        ["disable", "--now", "ssh.socket"],
        ["restart", "ssh.service"],
    ]


def test_cut_off_after_the_socket_went_the_next_run_still_restarts() -> None:
    assert plan(unit(), [AWAY], "reload", None, "new") == [["restart", "ssh.service"]]


def test_a_rival_that_is_not_installed_is_no_rival() -> None:
    absent = Unit.parse("ssh.socket", "LoadState=not-found\nActiveState=inactive\nUnitFileState=\n")
    assert plan(unit(), [absent], "reload", "new", "new") == []


def test_systemds_answer_is_understood() -> None:
    answer = "LoadState=loaded\nActiveState=active\nUnitFileState=enabled\nNeedDaemonReload=yes\n"
    assert Unit.parse("ssh.service", answer) == unit(stale=True)
    assert not Unit.parse("docker.service", "").installed


def test_a_drop_in_that_systemd_has_not_seen_is_stale() -> None:
    answer = "LoadState=loaded\nActiveState=active\nNeedDaemonReload=no\nDropInPaths=/a.conf /b.conf\n"
    assert not Unit.parse("ssh.service", answer, ["/a.conf"]).stale
    assert Unit.parse("ssh.service", answer, ["/a.conf", "/c.conf"]).stale


@pytest.mark.parametrize("state", ["static", "generated", "alias", "indirect", "enabled-runtime"])
def test_a_unit_that_starts_by_other_means_is_not_enabled(state: str) -> None:
    assert Unit.parse("x.service", f"LoadState=loaded\nUnitFileState={state}\n").enabled
