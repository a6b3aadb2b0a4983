"""Role qdrant: what Compose and the server are told."""

from __future__ import annotations

from typing import Any

import yaml
from render import render_files, render_role, secrets

FRAGMENT = "compose.d/qdrant.yml"
CONFIG = "secrets/qdrant/config.yaml"


def service(**options: Any) -> dict[str, Any]:
    return dict(yaml.safe_load(render_role("qdrant", **options)[FRAGMENT])["services"]["qdrant"])


def config(**options: Any) -> dict[str, Any]:
    return dict(yaml.safe_load(render_role("qdrant", **options)[CONFIG]))


def test_the_fragment_holds_one_service_and_its_volumes() -> None:
    fragment = yaml.safe_load(render_role("qdrant")[FRAGMENT])
    assert fragment.keys() == {"services", "volumes"}
    assert fragment["services"].keys() == {"qdrant"}
    assert fragment["volumes"].keys() == {"qdrant_data", "qdrant_snapshots"}


def test_the_image_is_pinned_by_tag_and_digest() -> None:
    name, _, digest = service()["image"].partition("@sha256:")
    assert name.partition(":")[2].startswith("v")
    assert len(digest) == 64


def test_the_limit_is_the_plans_and_swap_does_not_widen_it() -> None:
    rendered = service(overrides={"qdrant_memory": {"qdrant": {"limit_mb": 1234}}})
    assert rendered["deploy"]["resources"]["limits"]["memory"] == "1234M"
    assert rendered["memswap_limit"] == "1234M"


def test_the_port_is_on_loopback_only() -> None:
    assert service()["ports"] == ["127.0.0.1:6333:6333"]


def test_placed_on_its_own_server_the_port_is_also_on_the_private_address() -> None:
    peers = {"qdrant": {"address": "10.0.0.2", "local": True, "publish": ["127.0.0.1", "10.0.0.2"]}}
    rendered = service(inventory="multi", host="database-1", overrides={"qdrant_peers": peers})
    assert rendered["ports"] == ["127.0.0.1:6333:6333", "10.0.0.2:6333:6333"]


def test_it_is_watched_and_has_no_privileges() -> None:
    rendered = service()
    assert rendered["healthcheck"]["test"] == ["CMD", "bash", "/etc/somos/healthcheck.sh"]
    assert rendered["user"] == "1000:1000"
    assert rendered["cap_drop"] == ["ALL"]
    assert rendered["ulimits"]["nofile"] == {"soft": 65536, "hard": 65536}
    assert rendered["networks"] == ["internal"]


def test_data_and_snapshots_are_on_volumes_where_the_server_looks_for_them() -> None:
    mounts = dict(each.split(":")[:2] for each in service()["volumes"])
    storage = config()["storage"]
    assert mounts["qdrant_data"] == storage["storage_path"]
    assert mounts["qdrant_snapshots"] == storage["snapshots_path"]


def test_the_keys_reach_the_server_whatever_they_consist_of() -> None:
    strange = 'a"b: c # {{ d }} \\ 1234567890'
    rendered = config(overrides={"qdrant_api_key": strange})
    assert rendered["service"]["api_key"] == strange
    assert rendered["service"]["read_only_api_key"] == secrets()["vault_qdrant_read_only_api_key"]


def test_the_keys_stand_in_the_secret_file_only_and_only_the_server_reads_it() -> None:
    files = render_files("qdrant")
    holders = {path for path, file in files.items() for secret in secrets().values() if secret in file.text}
    assert holders == {CONFIG, "secrets/qdrant/api_key"}
    assert {(files[path].owner, files[path].mode, files[path].secret) for path in holders} == {("1000", "0400", True)}


def test_a_changed_key_recreates_the_container() -> None:
    labels = [service(overrides={"qdrant_api_key": key})["labels"] for key in ("a" * 16, "b" * 16)]
    assert labels[0] != labels[1]


def test_other_ways_in_are_closed() -> None:
    rendered = config()
    assert rendered["telemetry_disabled"] is True
    assert rendered["service"]["grpc_port"] is None
    assert rendered["service"]["jwt_rbac"] is False
    assert rendered["service"]["enable_snapshot_url_recovery"] is False
