from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from config_tree_case import Case, F, Tree, actions, snapshot

from ansible_collections.somos.infra.plugins.module_utils import _config_tree_check
from ansible_collections.somos.infra.plugins.module_utils._config_tree import Refusal
from ansible_collections.somos.infra.plugins.module_utils._config_tree_check import mask

OLD: Tree = {"a.conf": "one\n", "sub/b.conf": "two\n", "password": F("hunter22 and more\n", 0o400, secret=True)}
NEW: Tree = {**OLD, "a.conf": "three\n"}


@pytest.fixture
def case(tmp_path: Path) -> Case:
    case = Case(tmp_path)
    case.run(OLD)
    return case


def shell(script: str, **more: Any) -> list[dict[str, Any]]:
    return [{"argv": ["sh", "-c", script], **more}]


@pytest.mark.parametrize("check_mode", [True, False])
def test_a_refused_tree_leaves_the_old_one_byte_for_byte(case: Case, check_mode: bool) -> None:
    before = snapshot(case.tmp / "dest", times=True), snapshot(case.records, times=True)["demo.json"]
    with pytest.raises(Refusal, match="nothing was replaced: no good") as refused:
        case.run(
            {"new": "1"},
            checks=[*shell("true"), *shell("echo seen; echo no good >&2; exit 3")],
            check_mode=check_mode,
        )
    assert (snapshot(case.tmp / "dest", times=True), snapshot(case.records, times=True)["demo.json"]) == before
    assert sorted(path.name for path in case.tmp.rglob("*.stage")) == []
    details = refused.value.details
    assert (details["rc"], details["stdout"], details["stderr"]) == (3, "seen\n", "no good\n")
    assert [check["status"] for check in details["validated"]] == ["passed", "failed"]


def test_a_check_that_says_nothing_is_told_by_its_return_code(case: Case) -> None:
    with pytest.raises(Refusal, match=r"nothing was replaced: it printed nothing and returned 7"):
        case.run(NEW, checks=shell("exit 7"))


def test_a_check_sees_the_whole_tree_as_it_is_going_to_be(case: Case) -> None:
    script = "cd {stage} && find . -printf '%p %m %s %U\\n' | sort > $0; cat a.conf sub/b.conf >> $0"
    seen = case.tmp / "seen"
    case.run(NEW, checks=[{"argv": ["sh", "-c", script, str(seen)]}], directories=[{"path": "d", "mode": "0711"}])
    me = os.getuid()
    listing = [line for line in seen.read_text().splitlines() if not line.startswith((". ", "./d ", "./sub "))]
    assert listing == [f"./a.conf 644 6 {me}", f"./password 400 18 {me}", f"./sub/b.conf 644 4 {me}", "three", "two"]
    assert "./d 711 " in seen.read_text()


def test_the_stage_is_private_from_outside_and_open_to_a_mount_of_it(case: Case) -> None:
    seen = case.tmp / "seen"
    case.run(NEW, checks=shell(f"stat -c %a {{stage}} {{stage}}/.. > {seen}"))
    assert seen.read_text().split() == ["755", "700"]


def test_a_removal_and_a_mode_alone_are_checked_too(case: Case) -> None:
    checks = shell("test -e {stage}/sub/b.conf && test -x {stage}/a.conf")
    with pytest.raises(Refusal):
        case.run({path: item for path, item in OLD.items() if path != "sub/b.conf"}, checks=checks)
    assert (case.dest / "sub/b.conf").exists()
    assert actions(case.run({**OLD, "a.conf": F("one\n", 0o755)}, checks=checks, archive=False)) == {
        "a.conf": "attributes"
    }


def test_nothing_is_checked_where_nothing_differs(case: Case) -> None:
    assert case.run(OLD, checks=shell("false")).validated == []


def test_a_check_runs_in_check_mode_too(case: Case) -> None:
    result = case.check(NEW, checks=shell("grep -q three {stage}/a.conf"))
    assert result.validated == [{"argv": ["sh", "-c", "grep -q three {stage}/a.conf"], "status": "passed"}]
    assert case.check(NEW, checks=shell("true"), archive=False).missing == ["a.conf"]
    assert case.check(NEW, archive=False).missing == []


@pytest.mark.parametrize(
    ("check", "lack"),
    [
        ({"argv": ["no-such-program"]}, "the command no-such-program is not installed here"),
        ({"argv": ["sh", "-c", "true"], "requires": "no-such-program"}, "no-such-program is not installed here"),
    ],
)
def test_what_a_check_lacks_fails_a_run_but_not_its_prediction(case: Case, check: dict[str, Any], lack: str) -> None:
    (validated,) = case.check(NEW, checks=[check]).validated
    assert validated["status"] == "not validated"
    assert lack in validated["reason"]
    with pytest.raises(Refusal, match=lack):
        case.run(NEW, checks=[check])
    assert (case.dest / "a.conf").read_text() == "one\n"


def test_an_image_is_asked_of_the_engine_that_the_check_names(case: Case) -> None:
    engine = fake_engine(case, '[ "$1 $2 $5" = "image inspect nginx:1" ] || [ "$1" = run ]')
    (validated,) = case.run(NEW, checks=[{"argv": [engine, "run"], "requires_image": "nginx:1"}]).validated
    assert validated["status"] == "passed"


def test_a_missing_image_is_pulled_but_not_for_a_prediction(case: Case) -> None:
    pulled = case.tmp / "pulled"
    engine = fake_engine(case, f'case $1 in image) test -e {pulled};; pull) echo "$3" > {pulled};; esac')
    checks = [{"argv": [engine, "run"], "requires_image": "nginx:1"}]
    (predicted,) = case.check(NEW, checks=checks).validated
    assert (predicted["status"], pulled.exists()) == ("not validated", False)
    (validated,) = case.run(NEW, checks=checks).validated
    assert (validated["status"], pulled.read_text()) == ("passed", "nginx:1\n")


def test_an_image_that_cannot_be_pulled_is_a_refusal(case: Case) -> None:
    engine = fake_engine(case, "echo no such registry >&2; exit 1")
    with pytest.raises(Refusal, match="cannot pull the image nginx:1: no such registry"):
        case.run(NEW, checks=[{"argv": [engine, "run"], "requires_image": "nginx:1"}])
    assert (case.dest / "a.conf").read_text() == "one\n"


def fake_engine(case: Case, script: str) -> str:
    engine = case.tmp / "engine"
    engine.write_text(f"#!/bin/sh\n{script}\n")
    engine.chmod(0o755)
    return str(engine)


def test_a_check_that_does_not_end_is_a_refusal(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_config_tree_check, "_SECONDS", 0.1)
    with pytest.raises(Refusal, match=r"has not ended within 0\.1 s"):
        case.run(NEW, checks=shell("sleep 5"))


def test_a_secret_that_a_check_quotes_is_masked(case: Case) -> None:
    with pytest.raises(Refusal) as refused:
        case.run(NEW, checks=shell("cd {stage}; cat pass*; read word rest < password; echo bad $word, bye >&2; exit 1"))
    assert "hunter22" not in repr((str(refused.value), refused.value.details))
    assert refused.value.details["stdout"] == "********\n"
    assert str(refused.value).endswith("bad ********, bye")


@pytest.mark.parametrize(
    "secret",
    ["s3cr3tvalue\n", "KEY=s3cr3tvalue\n", 'key: "s3cr3tvalue"\n', '{"key": "s3cr3tvalue"}', "user:s3cr3tvalue\r\n"],
)
def test_a_secret_is_masked_however_its_file_is_written(secret: str) -> None:
    assert mask("bad value s3cr3tvalue here", [secret]) == "bad value ******** here"


@pytest.mark.parametrize("kind", ["write", "remove", "create", "no longer secret"])
def test_a_secret_is_in_no_result(case: Case, kind: str) -> None:
    tree: dict[str, Any] = dict(OLD)
    if kind == "write":
        tree["password"] = F("other-secret\n", 0o400, secret=True)
    elif kind == "create":
        tree["second"] = F("other-secret\n", 0o400, secret=True)
    elif kind == "no longer secret":
        tree["password"] = "public now\n"  # noqa: S105
    else:
        del tree["password"]
    result = case.check(tree)
    assert result.changes == case.run(tree).changes
    assert result.changes
    assert "hunter22" not in repr(result)
    assert "other-secret" not in repr(result)
