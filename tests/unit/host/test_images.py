"""Which images are removed when others are made."""

from __future__ import annotations

import pytest

from tests.host import images
from tests.host.catalogue import reference

PRESENT = ["somos-test/nginx:old", "somos-test/backend:release-1", "somos-test/gone:1", "elsewhere/nginx:1"]


@pytest.fixture
def removed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    gone: list[str] = []
    present = [*PRESENT, reference("nginx"), "somos-test/nginx:latest"]

    def docker_ok(*words: str) -> bool:
        gone.extend(words[2:] if words[:2] == ("image", "rm") else ())
        return True

    monkeypatch.setattr(images, "docker", lambda *words: "\n".join(present))
    monkeypatch.setattr(images, "docker_ok", docker_ok)
    return gone


def test_who_asks_for_all_images_keeps_no_old_one(removed: list[str]) -> None:
    images.prune(["somos-test/backend:release-1"])
    assert removed == ["somos-test/nginx:old", "somos-test/gone:1"]


def test_who_asks_for_one_leaves_the_others_alone(removed: list[str]) -> None:
    images.prune([], ["nginx"])
    assert removed == ["somos-test/nginx:old"]
