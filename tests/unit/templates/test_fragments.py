"""What every service of the Compose project owes the others, in the inventories that we ship and the real site.yml."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from functools import cache
from ipaddress import ip_address, ip_network
from pathlib import PurePosixPath
from typing import Any, NamedTuple

import pytest
import yaml
from render import ROOT, File, render_inventory_files, scenario, secrets

from ansible_collections.somos.infra.plugins.module_utils._ram_plan import ram_plan

CASES: dict[str, tuple[str, str, dict[str, Any]]] = {
    "one server": ("production", "somos-1", {}),
    "one server, SeaweedFS": ("production", "somos-1", {"object_storage_backend": "seaweedfs"}),
    "app": ("multi", "somos-app", {}),
    "database": ("multi", "somos-database", {}),
    "workers": ("multi", "somos-workers", {}),
    "storage": ("multi", "somos-storage", {}),
}
NETWORKS = {"edge", "internal", "egress"}
# Silo's image makes its volume root's: the server is root without any capability.
ROOT_WAIVED = {(case, "object-storage") for case in ("one server", "storage")}
OPEN_TO_ALL = {("nginx", "80"), ("nginx", "443")}
WIRING = yaml.safe_load((ROOT / "playbooks" / "vars" / "wiring.yml").read_text())
PLACEMENT: dict[str, str] = WIRING["somos_placement"]
# What each URL of the application leads to, as `name=…address:port`.
MEANT = {
    "DATABASE_URL": "postgres",
    "REDIS_URL": "redis-cache",
    "CELERY_BROKER_URL": "redis",
    "QDRANT_URL": "qdrant",
    "MINIO_ENDPOINT": "object-storage",
}
PEER_URL = re.compile(rf"\b({'|'.join(MEANT)})\b.*?\b(10\.0\.0\.\d+:\d+)")

every_case = pytest.mark.parametrize("case", CASES)


class Service(NamedTuple):
    """A service as the fragment of its role describes it, and the case it was rendered in."""

    case: str
    name: str
    model: dict[str, Any]

    @property
    def is_job(self) -> bool:
        """One-shot services carry a profile, so that `docker compose up` leaves them alone."""
        return "profiles" in self.model


@cache
def groups(inventory: str) -> dict[str, dict[str, dict[str, Any]]]:
    """Group → host → its variables."""
    return {
        group: {host: variables or {} for host, variables in content["hosts"].items()}
        for group, content in yaml.safe_load((ROOT / "inventories" / inventory / "hosts.yml").read_text()).items()
    }


@cache
def trees(case: str) -> dict[str, dict[str, File]]:
    inventory, host, overrides = CASES[case]
    return render_inventory_files(inventory, host, overrides)


@cache
def fragments(case: str) -> dict[str, dict[str, Any]]:
    """Path → content of every fragment."""
    return {
        path: yaml.safe_load(file.text)
        for files in trees(case).values()
        for path, file in files.items()
        if path.startswith("compose.d/")
    }


def services(case: str) -> list[Service]:
    return [
        Service(case, name, model)
        for fragment in fragments(case).values()
        for name, model in (fragment.get("services") or {}).items()
    ]


def placed(case: str) -> set[str]:
    """The services that the inventory puts on this host."""
    inventory, host, _ = CASES[case]
    return {service for service, group in PLACEMENT.items() if host in groups(inventory)[group]}


def private_address(case: str) -> str | None:
    inventory, host, _ = CASES[case]
    found = [hosts[host].get("somos_private_address") for hosts in groups(inventory).values() if host in hosts]
    return next(filter(None, found), None)


@cache
def plan(case: str) -> dict[str, Any]:
    return ram_plan(scenario()["scenario_facts"]["memtotal_mb"], services=sorted(placed(case)))


def every_service(test: Callable[[Service], None]) -> Callable[..., None]:
    """Run a test on every service of every case."""

    @every_case
    def run(case: str) -> None:
        assert services(case)
        for service in services(case):
            test(service)

    run.__doc__ = test.__doc__
    return run


@every_case
def test_the_services_of_a_host_are_those_that_are_placed_there(case: str) -> None:
    # A job is placed if it has memory of its own; `migrate` runs in the surge's.
    named = {service.name for service in services(case) if not service.is_job or service.name in plan(case)["services"]}
    assert named == placed(case)


@every_case
def test_a_name_is_given_once(case: str) -> None:
    assert max(Counter(service.name for service in services(case)).values()) == 1


@every_case
def test_a_fragment_holds_services_and_volumes_only_and_that_of_the_stack_the_networks(case: str) -> None:
    for path, model in fragments(case).items():
        allowed = {"networks"} if path == "compose.d/stack.yml" else {"services", "volumes"}
        assert model.keys() <= allowed, path


@every_case
def test_the_project_is_made_of_all_fragments_and_no_other(case: str) -> None:
    line = next(line for line in trees(case)["stack"][".env"].text.splitlines() if line.startswith("COMPOSE_FILE="))
    named = line.removeprefix("COMPOSE_FILE=").split(":")
    assert sorted(named) == sorted(f"/opt/somos/{path}" for path in fragments(case))


@every_case
def test_networks_and_volumes_that_are_used_are_declared(case: str) -> None:
    for kind in ("networks", "volumes"):
        declared = {name for model in fragments(case).values() for name in model.get(kind) or {}}
        for service in services(case):
            used = [str(item).split(":")[0] for item in service.model.get(kind) or []]
            assert {name for name in used if not name.startswith("/")} <= declared, service.name


@every_case
def test_no_two_services_publish_the_same_port(case: str) -> None:
    ports = Counter(str(port).rpartition(":")[0] for each in services(case) for port in each.model.get("ports", []))
    assert [port for port, times in ports.items() if times > 1] == []


@every_service
def test_image_is_pinned(service: Service) -> None:
    name = service.model["image"].rpartition("/")[2]
    assert "@sha256:" in name or ":" in name, f"{service.name}: {service.model['image']} has neither tag nor digest"
    assert "latest" not in name, f"{service.name}: {service.model['image']}"


@every_service
def test_memory_limit_is_the_plan_s(service: Service) -> None:
    limit = service.model["deploy"]["resources"]["limits"]["memory"]
    if service.name not in plan(service.case)["services"]:
        assert service.is_job, service.name
        surge = plan(service.case)["surge_mb"]
        assert int(limit.removesuffix("M")) <= surge, f"{service.name} does not fit the surge of a deploy"
    else:
        assert limit == f"{plan(service.case)['services'][service.name]['limit_mb']}M", service.name


@every_service
def test_replicas_are_the_plan_s(service: Service) -> None:
    if not service.is_job:
        replicas = plan(service.case)["services"][service.name]["replicas"]
        assert service.model["deploy"].get("replicas", 1) == replicas, service.name


@every_service
def test_swap_does_not_stretch_the_limit(service: Service) -> None:
    assert service.model["memswap_limit"] == service.model["deploy"]["resources"]["limits"]["memory"], service.name


@every_service
def test_health_is_checked(service: Service) -> None:
    if not service.is_job:
        assert service.model["healthcheck"]["test"], service.name


@every_service
def test_comes_back_after_a_reboot(service: Service) -> None:
    assert service.model["restart"] == ("no" if service.is_job else "always"), service.name


@every_service
def test_time_to_stop_is_stated(service: Service) -> None:
    assert service.model["stop_grace_period"], service.name


@every_service
def test_open_files_and_processes_are_limited(service: Service) -> None:
    """Engine 29 would give 1024 files, and no limit of processes."""
    assert service.model["ulimits"]["nofile"] == {"soft": 65536, "hard": 65536}, service.name
    assert service.model["deploy"]["resources"]["limits"]["pids"] > 0, service.name
    assert "pids_limit" not in service.model, f"{service.name}: Compose refuses it beside deploy.resources.limits"


@every_service
def test_privileges_are_dropped(service: Service) -> None:
    assert "no-new-privileges:true" in service.model["security_opt"], service.name
    assert service.model["cap_drop"] == ["ALL"], service.name
    for key in ("privileged", "network_mode", "pid", "ipc", "userns_mode"):
        assert key not in service.model, f"{service.name} sets {key}"


@every_service
def test_its_user_is_stated_and_not_root(service: Service) -> None:
    """Images change their default, and some start as root to become another user later."""
    user = str(service.model["user"]).partition(":")[0]
    assert user.isdigit(), service.name
    assert user != "0" or (service.case, service.name) in ROOT_WAIVED, service.name


@every_service
def test_root_file_system_is_read_only_and_no_program_runs_from_memory(service: Service) -> None:
    assert service.model["read_only"] is True, service.name
    for mount in service.model["tmpfs"]:
        path, _, options = mount.partition(":")
        # Docker adds noexec, nosuid and nodev unless it is told the opposite; without a size it is half the memory.
        assert path.startswith("/") and "size=" in options, f"{service.name} mounts {mount}"
        assert not {"exec", "suid", "dev"} & set(options.split(",")), f"{service.name} mounts {mount}"


@every_service
def test_weight_on_a_busy_processor_is_stated(service: Service) -> None:
    assert 2 <= service.model["cpu_shares"] <= 4096, service.name


@every_service
def test_ports_are_bound_to_loopback_or_the_private_address(service: Service) -> None:
    for port in service.model.get("ports", []):
        outside = str(port).partition("/")[0].rpartition(":")[0]
        address, _, published = outside.rpartition(":")
        allowed = address in ("127.0.0.1", private_address(service.case))
        assert allowed or (service.name, published) in OPEN_TO_ALL, f"{service.name} publishes {port}"


@every_service
def test_names_that_cannot_be_replicated_or_merged_are_not_given(service: Service) -> None:
    for key in ("container_name", "build", "env_file", "extends"):
        assert key not in service.model, f"{service.name} sets {key}"


@every_service
def test_networks_are_the_project_s(service: Service) -> None:
    assert service.model["networks"], service.name
    assert set(service.model["networks"]) <= NETWORKS, service.name


@every_service
def test_mounts_are_named_volumes_or_directories_at_absolute_paths(service: Service) -> None:
    written = {PurePosixPath("/opt/somos") / path for files in trees(service.case).values() for path in files}
    for mount in service.model.get("volumes", []):
        assert isinstance(mount, str), f"{service.name}: use the short form, source:target[:ro]"
        source = mount.split(":")[0]
        assert ".." not in source and not source.startswith(("~", "./", "${")), f"{service.name} mounts {mount}"
        # A file that is replaced leaves the container on the old one.
        assert PurePosixPath(source) not in written, f"{service.name} mounts the single file {source}"
        if source.startswith("/opt/somos"):
            assert mount.endswith(":ro"), f"{service.name} can write to {source}"


@every_service
def test_waits_only_for_services_of_the_same_host(service: Service) -> None:
    """Compose refuses a model in which a dependency does not exist."""
    here = {each.name for each in services(service.case)}
    assert set(service.model.get("depends_on", {})) <= here, service.name


@every_service
def test_what_is_read_at_start_only_is_in_the_label(service: Service) -> None:
    """Else a run that is cut off after the files leaves the service on the old ones for ever."""
    if any(mount.startswith("/opt/somos/secrets/") for mount in service.model.get("volumes", [])):
        assert len(service.model["labels"]["somos.config-hash"]) == 64, service.name


@every_case
def test_secret_values_stand_only_in_files_marked_secret(case: str) -> None:
    for files in trees(case).values():
        for path, file in files.items():
            shown = [name for name, value in secrets().items() if value in file.text]
            if shown:
                assert file.secret, f"{path} holds {shown} and is not marked secret"
                assert int(file.mode, 8) & 0o077 == 0, f"{path} holds {shown} and has mode {file.mode}"


def test_the_database_lets_in_the_servers_of_its_clients() -> None:
    rules = trees("database")["postgres"]["postgres/pg_hba.conf"].text.splitlines()
    networks = [ip_network(rule.split()[3]) for rule in rules if rule.startswith("host") and "/" in rule]
    for case in ("app", "workers"):
        address = ip_address(private_address(case) or "")
        assert any(address in network for network in networks), f"{address} ({case}) is in none of {networks}"


@every_case
def test_a_port_of_another_server_that_a_file_names_is_published_there(case: str) -> None:
    """And by the service that is meant: broker and cache are two ports of one server."""
    published = {
        str(port).rpartition(":")[0]: service.name
        for other in CASES
        for service in services(other)
        for port in service.model.get("ports", [])
    }
    for files in trees(case).values():
        for path, file in files.items():
            for url, peer in PEER_URL.findall(file.text):
                assert published.get(peer) == MEANT[url], f"{path}: {url} leads to {published.get(peer)}"
