"""The filter refused_ssh_keys, on keys that ssh-keygen makes."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from ansible.errors import AnsibleFilterError

from ansible_collections.somos.infra.plugins.filter.refused_ssh_keys import FilterModule

refused = FilterModule().filters()["refused_ssh_keys"]
ACCEPTED = ["ssh-ed25519", "rsa-sha2-512"]


@pytest.fixture
def key(tmp_path: Path) -> Callable[..., str]:
    def make(kind: str, bits: int = 0, comment: str = "ana@laptop") -> str:
        path = tmp_path / str(len(list(tmp_path.iterdir())))
        size = ["-b", str(bits)] if bits else []
        subprocess.run(["ssh-keygen", "-q", "-t", kind, *size, "-N", "", "-C", comment, "-f", path], check=True)
        return Path(f"{path}.pub").read_text().strip()

    return make


def test_keys_of_the_accepted_kinds_and_sizes_go_on_working(key: Callable[..., str]) -> None:
    assert refused([key("ed25519"), key("rsa", 3072)], ACCEPTED, 3072) == []


def test_an_elliptic_curve_that_is_not_accepted_is_named(key: Callable[..., str]) -> None:
    assert refused([key("ecdsa")], ACCEPTED, 3072) == ["ana@laptop (ecdsa-sha2-nistp256)"]
    assert refused([key("ecdsa")], [*ACCEPTED, "ecdsa-sha2-nistp256"], 3072) == []


def test_a_short_rsa_key_is_named_with_its_length(key: Callable[..., str]) -> None:
    assert refused([key("rsa", 2048)], ACCEPTED, 3072) == ["ana@laptop (RSA of 2048 bits)"]
    assert refused([key("rsa", 2048)], ACCEPTED, 2048) == []


def test_options_before_the_key_do_not_hide_it(key: Callable[..., str]) -> None:
    restricted = 'restrict,command="/usr/local/sbin/deploy now" ' + key("ecdsa", comment="ci")
    assert refused([restricted], ACCEPTED, 3072) == ["ci (ecdsa-sha2-nistp256)"]


def test_a_key_without_a_comment_is_named_by_its_ends(key: Callable[..., str]) -> None:
    line = key("ecdsa", comment="")
    blob = line.split()[1]
    assert refused([line], ACCEPTED, 3072) == [f"{blob[:12]}…{blob[-8:]} (ecdsa-sha2-nistp256)"]


def test_a_key_that_is_not_whole_is_an_error(key: Callable[..., str]) -> None:
    kind, blob, comment = key("rsa", 2048).split()
    with pytest.raises(AnsibleFilterError, match="ana@laptop is not whole"):
        refused([f"{kind} {blob[:-5]} {comment}"], ACCEPTED, 3072)
    with pytest.raises(AnsibleFilterError, match="ana@laptop is not whole"):
        refused([f"{kind} {blob[:80]} {comment}"], ACCEPTED, 3072)


def test_a_line_without_a_key_is_left_alone() -> None:
    assert refused(["", "# nobody", "ssh-ed25519 CHANGE_ME"], ACCEPTED, 3072) == []
