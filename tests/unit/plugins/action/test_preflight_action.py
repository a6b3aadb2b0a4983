"""The action plugin in a real play: what it can read, what it says, and what it never says."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

TWICE = "hunter2-hunter2-hunter2"
FACTS = {
    "distribution": "Debian",
    "distribution_version": "13.8",
    "distribution_major_version": "13",
    "architecture": "x86_64",
    "processor_vcpus": 8,
    "memtotal_mb": 32051,
}
HOSTS = {"app": {"hosts": {"one": {}}}, "database": {"hosts": {"two": {}}}}


@pytest.fixture
def preflight(tmp_path: Path) -> Any:
    def run(asked: dict[str, Any], **variables: Any) -> subprocess.CompletedProcess[str]:
        play = {"hosts": "all", "connection": "local", "gather_facts": False}
        task = {"name": "Judge", "somos.infra.preflight": asked}
        (tmp_path / "play.json").write_text(json.dumps([{**play, "vars": variables, "tasks": [task]}]))
        (tmp_path / "hosts.json").write_text(json.dumps(HOSTS))
        (tmp_path / "facts.json").write_text(json.dumps({"ansible_facts": FACTS}))
        program = Path(sys.executable).with_name("ansible-playbook")
        argv = [program, "-vvv", "-i", "hosts.json", "-e", "@facts.json", "play.json"]
        return subprocess.run(argv, cwd=tmp_path, capture_output=True, text=True, check=False)

    return run


def test_everything_wrong_is_in_one_message_and_no_secret_anywhere(preflight: Any) -> None:
    done = preflight(
        {
            "required": ["somos_domain", "nothing", "by_way", "app.password"],
            "secrets": ["vault_one", "vault_two", "vault_gone"],
            "domain": "{{ somos_domain }}",
            "groups": ["app", "storage"],
            "min_cpus": 16,
            "ram": {"profile": "33g"},
        },
        somos_domain="example.com",
        by_way="{{ vault_gone }}",
        app={"password": "<put it here>"},
        vault_one=TWICE,
        vault_two=TWICE,
    )
    assert done.returncode == 2
    said = done.stdout + done.stderr
    for expected in (
        "nothing is not set",
        "by_way refers to vault_gone, which is not set",
        "app.password still holds the placeholder",
        "vault_two is the same secret as vault_one",
        "vault_gone is not set",
        "somos_domain is 'example.com', a domain of the documentation",
        "The group storage has no host",
        "has 8 processors, 16 is the least",
        "somos_ram_profile is '33g'",
    ):
        assert expected in " ".join(said.split())
    assert "hunter2" not in said


def test_what_concerns_all_hosts_is_said_once(preflight: Any) -> None:
    said = preflight({"groups": ["storage"]}).stdout
    assert "one: 1 thing has to be mended first" in said
    assert "two" not in [line.split(":")[0].strip() for line in said.splitlines() if "mended" in line]


def test_a_sound_host_passes_and_changes_nothing(preflight: Any) -> None:
    done = preflight({"required": ["somos_domain"], "domain": "somos.test", "ram": {}}, somos_domain="somos.test")
    assert done.returncode == 0, done.stdout
    assert "changed=0" in done.stdout
