"""The rules of the drop-in, once more in sshd_config."""

from __future__ import annotations

import pytest

from ansible_collections.somos.infra.plugins.module_utils._sshd_config import ASIDE, BEGIN, END, repeat, rules

DROPIN = """# Ansible managed
Port 2222
PerSourcePenalties authfail:30s
PermitRootLogin no
HostKey /etc/ssh/ssh_host_ed25519_key
AllowUsers deploy
X11Forwarding no
Match User ana
  AllowTcpForwarding local
"""
RULES = ["PermitRootLogin no", "AllowUsers deploy", "X11Forwarding no"]
DEBIAN = """
# The default.
Include /etc/ssh/sshd_config.d/*.conf

#PermitRootLogin prohibit-password
X11Forwarding yes
AllowUsers ana
x11forwarding=yes
Subsystem sftp /usr/lib/openssh/sftp-server

Match User backup
  X11Forwarding yes
"""


def active(text: str) -> list[str]:
    return [line for line in text.splitlines() if line.strip() and not line.startswith("#")]


def test_ports_host_keys_and_what_is_for_some_are_not_repeated() -> None:
    assert rules(DROPIN) == RULES


def test_a_drop_in_that_is_not_final_or_not_there_has_nothing_to_repeat() -> None:
    assert rules("Port 22\nPort 2222\nPerSourcePenalties yes\nPerSourcePenaltyExemptList ::1\n") == rules("") == []


def test_the_rules_stand_after_the_include_and_nothing_for_everybody_contradicts_them() -> None:
    assert active(repeat(DEBIAN, RULES)) == [
        "Include /etc/ssh/sshd_config.d/*.conf",
        *RULES,
        # Names add up.
        "AllowUsers ana",
        "Subsystem sftp /usr/lib/openssh/sftp-server",
        "Match User backup",
        "  X11Forwarding yes",
    ]


def test_a_second_time_changes_nothing_and_the_end_leaves_no_trace() -> None:
    once = repeat(DEBIAN, RULES)
    assert repeat(once, RULES) == once != DEBIAN
    assert repeat(once, []) == repeat(DEBIAN, []) == DEBIAN


def test_other_rules_take_their_place() -> None:
    other = repeat(repeat(DEBIAN, RULES), ["PermitRootLogin no"])
    assert (other.count(BEGIN), other.count(ASIDE), "\nX11Forwarding yes\n" in other) == (1, 0, True)


@pytest.mark.parametrize("text", ["Match User backup\n  X11Forwarding yes\n", "X11Forwarding yes\nMatch all\n", ""])
def test_without_an_include_they_stand_at_the_top_and_never_in_a_match(text: str) -> None:
    assert repeat(text, RULES).splitlines()[:5] == [BEGIN, *RULES, END]
    assert repeat(repeat(text, RULES), []) == text


def test_an_include_within_a_match_is_no_place() -> None:
    assert repeat("Match all\nInclude /x\n", RULES).startswith(BEGIN)


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text.replace(f"{END}\n", ""),
        lambda text: text.replace("X11Forwarding no\n", "X11Forwarding yes\n"),
        lambda text: text.replace(f"{BEGIN}\n", f"{BEGIN}\nPermitRootLogin yes\n"),
        lambda text: text + repeat("", RULES),
        lambda text: text.replace("Subsystem", "PermitRootLogin yes\nSubsystem"),
    ],
)
def test_what_was_changed_by_hand_is_put_right(damage: object) -> None:
    right = repeat(DEBIAN, RULES)
    mended = repeat(damage(right), RULES)  # type: ignore[operator]
    head = mended.partition("Match ")[0]
    assert [line for line in active(head) if line.startswith(("Permit", "X11"))] == [RULES[0], RULES[2]]
    assert (mended.count(BEGIN), mended.count(END)) == (1, 1)
    assert repeat(mended, RULES) == mended
