"""The mirror of the images is the machine's own."""

from __future__ import annotations

import pytest

from tests.host.mirror import first, sources
from tests.host.shell import HostError

KNOWN = ["http://mirror.example/other", "http://mirror.example/debian-security/", "http://mirror.example/debian/"]


def test_an_archive_is_found_by_the_end_of_its_path() -> None:
    assert first(KNOWN, "debian") == "http://mirror.example/debian/"
    assert first(KNOWN, "debian-security") == "http://mirror.example/debian-security/"


def test_a_machine_without_a_mirror_is_told_what_to_set() -> None:
    with pytest.raises(HostError, match="DEBIAN_MIRROR"):
        first(["http://mirror.example/ubuntu/"], "debian")


def test_the_environment_outranks_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEBIAN_MIRROR", "http://near.example/debian/")
    text = sources("trixie")
    assert "URIs: http://near.example/debian/\nSuites: trixie trixie-updates\n" in text
    assert "URIs: http://near.example/debian-security\nSuites: trixie-security\n" in text
