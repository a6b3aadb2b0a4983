from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from fake_docker import FakeDocker

from ansible_collections.somos.infra.plugins.modules import compose_networks

CREATE = (
    "network create --driver bridge --ipv6 --subnet 172.20.1.0/24 --subnet fd73::/64 "
    "--opt com.docker.network.bridge.name=br-edge "
    "--label com.docker.compose.project=somos --label com.docker.compose.network=edge somos_edge"
)
WITHOUT_IPV6 = CREATE.replace(" --ipv6", "").replace(" --subnet fd73::/64", "")
REMADE = [
    "network disconnect somos_edge n1",
    "network disconnect somos_edge b1",
    "network disconnect somos_edge x1",
    "network rm somos_edge",
    CREATE,
    "network connect --alias somos-nginx-1 --alias nginx somos_edge n1",
    "network connect --alias backend --alias api somos_edge b1",
    "network connect somos_edge x1",
]


def model(**edge: Any) -> dict[str, Any]:
    ipv6 = {"enable_ipv6": True, "ipam": {"config": [{"subnet": "fd73::/64"}]}}
    options = {"com.docker.network.bridge.name": "br-edge"}
    return {
        "name": "somos",
        "services": {"nginx": {"networks": {"edge": None}, "environment": {"PASSWORD": "s3cr3t"}}},
        "networks": {
            "edge": {"name": "somos_edge", "driver": "bridge", "driver_opts": options, **(edge or ipv6)},
            "internal": {"name": "somos_internal", "ipam": {}},
        },
    }


def container(identity: str, address: str, *aliases: str) -> dict[str, Any]:
    endpoint = {"Aliases": [*aliases, identity] if aliases else None, "IPAddress": address}
    return {"Id": identity, "NetworkSettings": {"Networks": {"somos_edge": endpoint, "bridge": {}}}}


def network(name: str, *subnets: str, bridge: str = "br-edge") -> dict[str, Any]:
    return {
        "Name": name,
        "EnableIPv6": any(":" in subnet for subnet in subnets),
        "IPAM": {"Config": [{"Subnet": subnet} for subnet in subnets]},
        "Options": {"com.docker.network.bridge.name": bridge, "com.docker.network.enable_ipv4": "true"},
    }


INSIDE = [
    # Somebody else's, by hand.
    container("x1", "172.20.1.10"),
    container("b1", "172.20.1.9", "backend", "api"),
    container("n1", "172.20.1.2", "somos-nginx-1", "nginx"),
]
OLD = network("somos_edge", "172.20.1.0/24")
NEW = network("somos_edge", "172.20.1.0/24", "fd73::/64")
INTERNAL = network("somos_internal", "172.20.2.0/24")


@pytest.fixture
def run(run_module: Any, docker: FakeDocker, project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(compose_networks, "ROOT", tmp_path)

    def converge(*networks: dict[str, Any], wanted: dict[str, Any] | None = None, check: bool = False) -> Any:
        docker.answer("config --format json", out=json.dumps(wanted or model()))
        docker.answer("network ls", out="1 2\n" if networks else "")
        docker.answer("network inspect", out=json.dumps(networks))
        docker.answer("ps --quiet --no-trunc --filter network=somos_edge", out="n1 b1 x1\n")
        docker.answer("inspect n1 b1 x1", out=json.dumps(INSIDE))
        return run_module(compose_networks, check=check, project_directory=str(project))

    return converge


def commands(docker: FakeDocker) -> list[str]:
    changing = ("network create", "network connect", "network disconnect", "network rm", "exec")
    return [call for call in docker.calls if call.startswith(changing)]


def test_a_network_without_ipv6_is_made_anew_and_everybody_is_led_back(run: Any, docker: FakeDocker) -> None:
    result = run(OLD, INTERNAL)
    assert (commands(docker), result["remade"]) == (REMADE, ["somos_edge"])


@pytest.mark.parametrize(
    "here",
    [
        network("somos_edge", "172.20.1.0/24", "fd99::/64"),
        network("somos_edge", "172.20.1.0/24", "fd73::/64", bridge="br-other"),
    ],
)
def test_other_subnets_or_options_are_another_network(run: Any, docker: FakeDocker, here: dict[str, Any]) -> None:
    run(here)
    assert commands(docker) == REMADE


def test_an_ipv4_network_that_the_model_names_is_taken(run: Any, docker: FakeDocker) -> None:
    run(OLD, wanted=model(ipam={"config": [{"subnet": "10.9.0.0/24"}]}))
    assert commands(docker)[4] == WITHOUT_IPV6.replace("172.20.1.0/24", "10.9.0.0/24")


def test_the_way_back_is_the_same(run: Any, docker: FakeDocker) -> None:
    run(NEW, wanted=model(ipam={}))
    assert commands(docker)[4] == WITHOUT_IPV6


@pytest.mark.parametrize("networks", [(), (INTERNAL,), (NEW, INTERNAL)])
def test_what_is_right_or_not_there_yet_is_left_alone(run: Any, docker: FakeDocker, networks: Any) -> None:
    assert not run(*networks)["changed"]
    assert commands(docker) == []


def test_subnets_that_docker_chose_are_nobody_s_business(run: Any, docker: FakeDocker) -> None:
    assert not run(OLD, wanted=model(ipam={}))["changed"]


def test_a_network_that_only_compose_can_make_is_left_to_it(run: Any, docker: FakeDocker) -> None:
    assert not run(OLD, wanted=model(enable_ipv6=True, attachable=True))["changed"]


def test_check_mode_says_it_all_and_does_nothing(run: Any, docker: FakeDocker) -> None:
    result = run(OLD, check=True)
    assert (result["changed"], commands(docker)) == (True, [])
    assert result["diff"]["before"]["somos_edge"]["ipv6"] is False
    assert result["diff"]["after"]["somos_edge"]["subnets"] == ["172.20.1.0/24", "fd73::/64"]
    assert "s3cr3t" not in json.dumps(result)


def test_a_virgin_host_has_nothing_to_make_anew_in_check_mode(
    run_module: Any, docker: FakeDocker, tmp_path: Path
) -> None:
    result = run_module(compose_networks, check=True, project_directory=str(tmp_path / "absent"))
    assert (result["changed"], docker.calls) == (False, [])


@pytest.mark.parametrize("networks", [(), (OLD,)])
def test_a_server_that_would_stop_hearing_its_router_is_refused_a_first_network_with_ipv6(
    run: Any, docker: FakeDocker, tmp_path: Path, networks: Any
) -> None:
    route = f"{'0' * 32} 00 {'0' * 32} 00 fe80{'0' * 27}1 00000400 00000001 00000000 00450003 ens3\n"
    for name, text in (("proc/net/ipv6_route", route), ("proc/sys/net/ipv6/conf/ens3/accept_ra", "1\n")):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).write_text(text)
    result = run(*networks)
    assert "net/ipv6/conf/ens3/accept_ra=2" in result["msg"] and "stack_ipv6: false" in result["msg"]
    assert commands(docker) == []
    (tmp_path / "proc/sys/net/ipv6/conf/ens3/accept_ra").write_text("2\n")
    assert "failed" not in run(*networks)


def test_where_docker_refuses_the_new_one_everybody_is_back_in_the_old_one(run: Any, docker: FakeDocker) -> None:
    docker.answer("network create --driver bridge --ipv6", err="Pool overlaps with other one", code=1)
    result = run(OLD)
    assert "Pool overlaps" in result["msg"] and "stack_ipv6_subnet" in result["msg"]
    assert commands(docker) == [*REMADE[:5], WITHOUT_IPV6, *REMADE[5:]]


def test_a_network_without_an_option_comes_back_without_it(run: Any, docker: FakeDocker) -> None:
    docker.answer("network create --driver bridge --ipv6", err="Pool overlaps with other one", code=1)
    bare = {**OLD, "Options": None}
    assert "failed" in run(bare)
    assert WITHOUT_IPV6.replace("--opt com.docker.network.bridge.name=br-edge ", "") in commands(docker)


def test_what_docker_refuses_besides_is_said_in_its_words(run: Any, docker: FakeDocker) -> None:
    docker.answer("network rm", err="has active endpoints", code=1)
    result = run(OLD)
    assert "has active endpoints" in result["msg"] and "network rm somos_edge" in result["msg"]
