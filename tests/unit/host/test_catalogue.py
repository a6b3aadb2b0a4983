"""The table of images: names, order, and what makes a new tag."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.host import catalogue
from tests.host.catalogue import DEBIAN_RELEASES, IMAGES, reference, with_bases
from tests.host.names import IMAGES_DIR
from tests.host.shell import HostError


@pytest.mark.parametrize("name", IMAGES)
def test_every_image_has_a_dockerfile_that_takes_its_base_as_an_argument(name: str) -> None:
    dockerfile = (IMAGES_DIR / IMAGES[name].directory / "Dockerfile").read_text()
    assert "\nARG BASE" in f"\n{dockerfile}"
    assert "FROM ${BASE}" in dockerfile


def test_every_dockerfile_is_in_the_table() -> None:
    found = {path.parent.relative_to(IMAGES_DIR).as_posix() for path in IMAGES_DIR.rglob("Dockerfile")}
    assert found == {image.directory for image in IMAGES.values()}


@pytest.mark.parametrize("name", IMAGES)
def test_every_base_is_known(name: str) -> None:
    assert IMAGES[name].base in {*IMAGES, *DEBIAN_RELEASES}


def test_bases_come_first_and_once() -> None:
    assert with_bases(["host:debian13-docker", "outside", "seaweedfs"]) == [
        "host:debian13",
        "host:debian13-docker",
        "seaweedfs",
        "outside",
    ]


def test_variants_share_a_repository() -> None:
    assert reference("host:debian13").startswith("somos-test/host:debian13-")
    assert reference("redis").startswith("somos-test/redis:")
    assert reference("trixie").startswith("somos-test/debian:trixie-")


def test_a_changed_base_changes_what_stands_upon_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = {name: reference(name) for name in ("trixie", "bookworm", "host:debian13-docker", "host:debian12")}
    (tmp_path / "extra.crt").write_text("an authority that only this machine trusts")
    monkeypatch.setattr(catalogue, "MACHINE_AUTHORITIES", tmp_path)
    assert all(reference(name) != tag for name, tag in before.items())


def test_a_missing_directory_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(catalogue, "IMAGES_DIR", tmp_path)
    with pytest.raises(HostError, match=r"image redis: there is no .*/redis/Dockerfile"):
        reference("redis")
