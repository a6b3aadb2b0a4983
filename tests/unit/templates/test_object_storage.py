"""Role object_storage: what Compose, the two backends and the reverse proxy are told."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml
from render import render_files, render_role, secrets

FRAGMENT = "compose.d/object_storage.yml"
BACKENDS = ("minio", "seaweedfs")

each_backend = pytest.mark.parametrize("backend", BACKENDS)


def fragment(backend: str, **overrides: Any) -> dict[str, Any]:
    rendered = render_role("object_storage", {"object_storage_backend": backend} | overrides)
    return dict(yaml.safe_load(rendered[FRAGMENT]))


def service(backend: str, **overrides: Any) -> dict[str, Any]:
    return dict(fragment(backend, **overrides)["services"]["object-storage"])


@each_backend
def test_the_image_is_pinned_by_tag_and_digest(backend: str) -> None:
    name, _, digest = service(backend)["image"].partition("@sha256:")
    assert name.partition(":")[2] not in ("", "latest")
    assert len(digest) == 64


def test_the_backends_share_no_image_and_no_volume() -> None:
    assert service("minio")["image"] != service("seaweedfs")["image"]
    assert not fragment("minio")["volumes"].keys() & fragment("seaweedfs")["volumes"].keys()


@each_backend
def test_the_data_is_on_a_declared_volume(backend: str) -> None:
    mounts = dict(each.split(":")[:2] for each in service(backend)["volumes"])
    (volume,) = fragment(backend)["volumes"]
    assert mounts[volume] == "/data"


@each_backend
def test_limit_and_go_runtime_follow_the_plan(backend: str) -> None:
    plan = {"object-storage": {"limit_mb": 1234, "settings": {"gomemlimit_mb": 1000}}}
    rendered = service(backend, object_storage_memory=plan)
    assert rendered["deploy"]["resources"]["limits"]["memory"] == rendered["memswap_limit"] == "1234M"
    assert rendered["environment"]["GOMEMLIMIT"] == "1000MiB"


@each_backend
def test_nothing_is_published_beyond_loopback(backend: str) -> None:
    assert {port.partition(":")[0] for port in service(backend)["ports"]} == {"127.0.0.1"}


@each_backend
def test_placed_on_its_own_server_s3_is_also_on_the_private_address_and_the_console_is_not(backend: str) -> None:
    peers = {"object-storage": {"address": "10.0.0.4", "local": True, "publish": ["127.0.0.1", "10.0.0.4"]}}
    ports = service(backend, object_storage_peers=peers)["ports"]
    assert [port for port in ports if port.startswith("10.0.0.4:")] == ["10.0.0.4:9000:9000"]


@each_backend
def test_it_is_watched_and_has_no_capability(backend: str) -> None:
    rendered = service(backend)
    assert rendered["healthcheck"]["test"][:2] == ["CMD", "curl"]
    assert rendered["cap_drop"] == ["ALL"]
    assert rendered["security_opt"] == ["no-new-privileges:true"]
    assert rendered["ulimits"]["nofile"] == {"soft": 65536, "hard": 65536}


@each_backend
def test_the_name_of_the_seed_still_finds_it(backend: str) -> None:
    assert service(backend)["networks"] == {"edge": {"aliases": ["minio"]}, "internal": {"aliases": ["minio"]}}


@each_backend
def test_credentials_stand_in_this_backends_secret_files_only(backend: str) -> None:
    files = render_files("object_storage", {"object_storage_backend": backend})
    holders = {path for path, file in files.items() for secret in secrets().values() if secret in file.text}
    expected = {"minio": {"access_key", "secret_key"}, "seaweedfs": {"access_key", "s3.json", "secret_key"}}[backend]
    assert holders == {f"secrets/object-storage/{name}" for name in expected}
    assert files.keys() == holders | {FRAGMENT}
    uid = service(backend)["user"].partition(":")[0]
    assert {(files[path].owner, files[path].mode, files[path].secret) for path in holders} == {(uid, "0400", True)}


def test_minio_reads_the_files_that_are_there() -> None:
    rendered = render_role("object_storage", {"object_storage_backend": "minio"})
    environment = service("minio")["environment"]
    for variable, key in (("MINIO_ROOT_USER_FILE", "access_key"), ("MINIO_ROOT_PASSWORD_FILE", "secret_key")):
        path = environment[variable].replace("/run/secrets", "secrets/object-storage")
        assert rendered[path].strip() == secrets()[f"vault_object_storage_{key}"]


def test_seaweedfs_knows_one_identity_whatever_its_secret_consists_of() -> None:
    strange = 'a"b\\ {{ c }} 1234567890'
    overrides = {"object_storage_backend": "seaweedfs", "object_storage_secret_key": strange}
    config = json.loads(render_role("object_storage", overrides)["secrets/object-storage/s3.json"])
    (identity,) = config["identities"]
    access_key = secrets()["vault_object_storage_access_key"]
    assert identity["credentials"] == [{"accessKey": access_key, "secretKey": strange}]


def test_seaweedfs_opens_nothing_but_s3() -> None:
    rendered = service("seaweedfs")
    assert "-ip.bind=127.0.0.1" in rendered["command"]
    assert "-s3.ip.bind=0.0.0.0" in rendered["command"]
    assert rendered["environment"].keys() >= {"WEED_GRPC_CA", "WEED_GRPC_S3_CERT", "WEED_GRPC_S3_KEY"}


@each_backend
def test_only_the_named_origins_may_use_presigned_urls(backend: str) -> None:
    rendered = service(backend, object_storage_cors_origins=["https://a.test", "https://b.test"])
    told = {
        "minio": rendered["environment"].get("MINIO_API_CORS_ALLOW_ORIGIN"),
        "seaweedfs": next((x.partition("=")[2] for x in rendered["command"] if "allowedOrigins" in x), None),
    }
    assert told[backend] == "https://a.test,https://b.test"


@each_backend
def test_a_changed_credential_recreates_the_container(backend: str) -> None:
    labels = [service(backend, object_storage_secret_key=key * 16)["labels"] for key in "ab"]
    assert labels[0] != labels[1]
