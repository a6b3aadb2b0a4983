from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[3]
COMPOSE = "cd /opt/somos && docker compose"


def test_the_project_works_for_a_person_in_its_directory(host: Any) -> None:
    assert host.check_output(f"{COMPOSE} ps --format '{{{{.Service}}}} {{{{.Health}}}}' | sort").splitlines() == [
        "inner healthy",
        "outer healthy",
    ]


def test_a_fragment_that_is_not_wanted_is_gone(host: Any) -> None:
    assert not host.file("/opt/somos/compose.d/unwanted.yml").exists


def test_a_job_ran_once_in_two_runs(host: Any) -> None:
    assert host.check_output(f"{COMPOSE} exec -T inner cat /data/job.log") == "ran"


def test_a_reload_ran_once_in_two_runs_and_again_for_another_hash(host: Any) -> None:
    assert host.check_output(f"{COMPOSE} exec -T inner redis-cli get reloads") == "1"
    run = converge("stub_hash=two")
    assert run.returncode == 0, run.stdout[-3000:]
    assert host.check_output(f"{COMPOSE} exec -T inner redis-cli get reloads") == "2"


def test_the_internal_network_has_no_way_out_and_the_egress_network_has(host: Any) -> None:
    ask = "timeout 3 bash -c '</dev/tcp/10.77.0.2/5000'"
    assert host.run(f"{COMPOSE} exec -T outer {ask}").rc == 0
    assert host.run(f"{COMPOSE} exec -T inner {ask}").rc != 0


def test_a_port_of_the_internal_network_answers_on_loopback_only(host: Any) -> None:
    assert host.check_output("ss -Hltn sport = :7001").split()[3] == "127.0.0.1:7001"
    assert host.run("timeout 3 bash -c '</dev/tcp/127.0.0.1/7001'").rc == 0


def test_bridges_carry_the_names_that_firewall_rules_rely_on(host: Any) -> None:
    assert host.interface("br-somos-int").exists
    assert host.interface("br-somos-egress").exists


def test_what_was_changed_by_hand_is_put_right_and_shown(host: Any) -> None:
    before = inner(host)
    host.check_output("echo '# by hand' >> /opt/somos/compose.d/stack.yml && chmod 0666 /opt/somos/.env")
    host.check_output("docker update --memory 96m --memory-swap 192m somos-inner-1")
    host.check_output("docker network connect somos_egress somos-inner-1")
    foreseen, done, again = (converge("{}", *words) for words in (["--check", "--diff"], ["--diff"], ["--diff"]))
    for run in (foreseen, done):
        assert run.returncode == 0, run.stdout[-3000:]
        for shown in ("-# by hand", "0666", str(96 << 20), str(64 << 20), "-        - somos_egress"):
            assert shown in run.stdout, shown
    assert "changed=0" in again.stdout, again.stdout[-3000:]
    assert "by hand" not in host.file("/opt/somos/compose.d/stack.yml").content_string
    assert host.file("/opt/somos/.env").mode == 0o644
    # Without a restart: what was put back is not worth an outage.
    assert inner(host) == before


def test_what_memory_does_not_carry_is_refused_before_it_starts(host: Any) -> None:
    run = converge('{"stub_fragments": ["stub", "greedy"]}')
    assert run.returncode != 0
    assert "greedy" in run.stdout
    assert "greedy" not in host.check_output("docker ps --all --format '{{.Names}}'")


def test_a_service_that_does_not_come_up_is_named(host: Any) -> None:
    run = converge('{"stub_fragments": ["stub", "sickly"]}')
    assert run.returncode != 0
    assert "sickly" in run.stdout
    assert "docker compose logs" in run.stdout
    assert converge("{}").returncode == 0, "the stack must come back when the service is gone"
    assert "sickly" not in host.check_output("docker ps --all --format '{{.Names}}'")


def inner(host: Any) -> str:
    """When it was started, and what of it can be changed while it runs."""
    form = (
        "{{.State.StartedAt}} {{.HostConfig.Memory}} {{range $name, $_ := .NetworkSettings.Networks}}{{$name}} {{end}}"
    )
    return str(host.check_output("docker inspect --format %s somos-inner-1", form))


def converge(extra: str, *words: str) -> subprocess.CompletedProcess[str]:
    command = ["ansible-playbook", "-i", "molecule/inventory.yml", "molecule/stack/converge.yml", "-e", extra, *words]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
