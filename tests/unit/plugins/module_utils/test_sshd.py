"""What an sshd is told of the audited algorithms, and when keys and groups are long enough."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from sshd_releases import RELEASES

from ansible_collections.somos.infra.plugins.module_utils._sshd import (
    SshdError,
    choose,
    host_key,
    keywords,
    pins_host_keys,
    strong_moduli,
)

ROLE = Path(__file__).resolve().parents[4] / "roles" / "ssh"
VARIABLES = yaml.safe_load((ROLE / "vars" / "main.yml").read_text())
AUDITED = {
    keyword: names if isinstance(names, list) else VARIABLES["__ssh_key_algorithms"]
    for keyword, names in VARIABLES["__ssh_audited"].items()
}
CURVE = ["curve25519-sha256", "curve25519-sha256@libssh.org"]
FINITE = [
    *("diffie-hellman-group16-sha512", "diffie-hellman-group18-sha512", "diffie-hellman-group-exchange-sha256"),
]
WEAK = ("sha1", "md5", "cbc", "nistp", "umac-64", "ssh-rsa", "dss", "group1-", "group14-")

every_release = pytest.mark.parametrize("release", RELEASES)


def of(release: str) -> dict[str, list[str]]:
    known, offered = RELEASES[release]
    return choose(AUDITED, known, offered)


@pytest.mark.parametrize(
    ("release", "quantum_safe"),
    [
        ("Ubuntu 22.04, OpenSSH 8.9", ["sntrup761x25519-sha512@openssh.com"]),
        ("Debian 12, OpenSSH 9.2", ["sntrup761x25519-sha512", "sntrup761x25519-sha512@openssh.com"]),
        ("Ubuntu 24.04, OpenSSH 9.6", ["sntrup761x25519-sha512@openssh.com"]),
        (
            "Debian 13, OpenSSH 10.0",
            ["sntrup761x25519-sha512", "sntrup761x25519-sha512@openssh.com", "mlkem768x25519-sha256"],
        ),
    ],
)
def test_what_a_quantum_computer_cannot_undo_comes_first(release: str, quantum_safe: list[str]) -> None:
    assert of(release)["KexAlgorithms"] == [*quantum_safe, *CURVE, *FINITE]


@every_release
def test_nothing_is_named_that_the_release_lacks_and_nothing_weak_is_left(release: str) -> None:
    known, offered = RELEASES[release]
    available = {name for names in offered.values() for name in names}
    for keyword, names in of(release).items():
        assert keyword.lower() in known
        assert set(names) <= available, keyword
        assert not [name for name in names for weak in WEAK if weak in name], keyword


@every_release
def test_every_list_keeps_the_audited_order(release: str) -> None:
    for keyword, names in of(release).items():
        assert names == [name for name in AUDITED[keyword] if name in names]
        assert names


def test_a_keyword_that_the_release_does_not_know_is_left_out() -> None:
    known, offered = RELEASES["Debian 13, OpenSSH 10.0"]
    assert "GSSAPIKexAlgorithms" not in choose(AUDITED, set(known) - {"gssapikexalgorithms"}, offered)


def test_a_list_of_which_nothing_is_left_is_refused_with_what_there_is() -> None:
    known, offered = RELEASES["Ubuntu 22.04, OpenSSH 8.9"]
    with pytest.raises(SshdError, match=r"KexAlgorithms: this sshd has none of mlkem.*It has: .*curve25519-sha256"):
        choose({"KexAlgorithms": ["mlkem768x25519-sha256"]}, known, offered)


def test_a_keyword_that_is_no_list_of_algorithms_is_refused() -> None:
    with pytest.raises(SshdError, match="PermitRootLogin is not a list of algorithms"):
        choose({"PermitRootLogin": ["no"]}, [], {})


def test_keywords_are_read_from_what_sshd_prints() -> None:
    assert keywords("port 22\nhostkey /a\nhostkey /b\n\nRequiredRSASize 1024\n") == [
        "hostkey",
        "port",
        "requiredrsasize",
    ]


def test_a_host_key_is_read_whatever_its_comment_is() -> None:
    key = host_key("3072 SHA256:yIo1kSw root@a (b) server (RSA)\n")
    assert (key.bits, key.fingerprint, key.kind) == (3072, "SHA256:yIo1kSw", "RSA")
    with pytest.raises(SshdError, match="not understood"):
        host_key("error")


@pytest.mark.parametrize(
    ("text", "pinned"),
    [
        ("HostKey /etc/ssh/a\n", True),
        ("Port 22\n  hostkey /a", True),
        ("# HostKey /a\n", False),
        ("HostKeyAgent x", False),
    ],
)
def test_settled_keys_are_those_that_the_configuration_names(text: str, pinned: bool) -> None:
    assert pins_host_keys(text) is pinned


MODULI = "# Time Type Tests Tries Size Generator Modulus\n" + "".join(
    f"20250101000000 2 6 100 {size} 2 F{size}\n" for size in (2047, 3070, 3071, 4095)
)


def test_small_groups_go_and_the_rest_stays_as_it_is() -> None:
    strong = strong_moduli(MODULI, 3072)
    assert strong.splitlines() == [MODULI.splitlines()[0], *MODULI.splitlines()[3:]]
    assert strong_moduli(strong, 3072) == strong


def test_a_file_is_never_emptied() -> None:
    with pytest.raises(SshdError, match="not one group has 9000 bits"):
        strong_moduli(MODULI, 9000)
