"""What the instruments print, as captured from them and cut short, and what is read out of it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.audit import lynis, openscap, ports, ssh_audit
from tests.audit.__main__ import measured
from tests.audit.report import Measured
from tests.audit.servers import Audited
from tests.host.shell import HostError

LYNIS = """\
# Lynis Report
lynis_version=3.1.4
warning[]=MAIL-8818|Found some information disclosure in SMTP banner (OS or software name)|-|-|
suggestion[]=SSH-7408|Consider hardening SSH configuration|LogLevel (set INFO to VERBOSE)|-|
suggestion[]=LOGG-2154|Enable logging to an external logging host for archiving purposes and additional protection|-|-|
lynis_tests_done=258
hardening_index=66
"""

ALGORITHMS = {
    "kex": [
        {"algorithm": "mlkem768x25519-sha256", "notes": {"info": ["available since OpenSSH 9.9"]}},
        {"algorithm": "ecdh-sha2-nistp256", "notes": {"fail": ["using elliptic curves that are suspected"]}},
    ],
    "key": [{"algorithm": "ecdsa-sha2-nistp256", "notes": {"fail": ["using elliptic curves"], "warn": ["using weak"]}}],
    "enc": [{"algorithm": "aes256-ctr", "notes": {"info": ["available since OpenSSH 3.7"]}}],
    "mac": [{"algorithm": "umac-64@openssh.com", "notes": {"warn": ["using encrypt-and-MAC mode", "using small"]}}],
}
POLICIES = """
  * "Hardened OpenSSH Server v9.2 (version 3)"
  * "Hardened OpenSSH Server v9.9 (version 1)"
"""

OPENSCAP = """\
<rule-result idref="xccdf_org.ssgproject.content_rule_sudo_add_umask" role="full" severity="medium">
  <result>fail</result>
</rule-result>
<rule-result idref="xccdf_org.ssgproject.content_rule_package_aide_installed" role="full" severity="medium">
  <result>notapplicable</result>
</rule-result>
<rule-result idref="xccdf_org.ssgproject.content_rule_prefer_64bit_os" role="full" severity="medium">
  <result>notselected</result>
</rule-result>
<rule-result idref="xccdf_org.ssgproject.content_rule_service_ssh" role="full" severity="medium">
  <result>pass</result>
</rule-result>
<rule-result idref="xccdf_org.ssgproject.content_rule_no_empty_passwords" role="full" severity="high">
  <result>pass</result>
</rule-result>
"""
PROFILES = """\
xccdf_org.ssgproject.content_profile_anssi_bp28_intermediary:ANSSI-BP-028 (intermediary)
xccdf_org.ssgproject.content_profile_standard:Standard System Security Profile for Debian 12
"""

NMAP_TCP = """\
Host: 10.77.0.113 ()	Status: Up
Host: 10.77.0.113 ()	Ports: 22/closed/tcp//ssh///, 80/open/tcp//http///, 2222/filtered/tcp//EtherNetIP-1///
"""
NMAP_UDP = "Host: 10.77.0.113 ()	Ports: 53/closed/udp//domain///, 443/open|filtered/udp//https///\n"


def test_lynis_index_and_findings_are_read() -> None:
    found = lynis.parse(LYNIS)
    assert (found["version"], found["hardening_index"], found["tests"]) == ("3.1.4", 66, 258)
    assert [words.split()[0] for words in found["warnings"]] == ["MAIL-8818"]
    assert found["suggestions"][0] == "SSH-7408 Consider hardening SSH configuration (LogLevel (set INFO to VERBOSE))"


def test_a_lynis_report_without_an_index_is_an_error_and_not_a_zero() -> None:
    with pytest.raises(ValueError, match="hardening_index"):
        lynis.parse(LYNIS.replace("hardening_index=66\n", ""))


def test_an_ssh_algorithm_counts_once_by_the_worst_that_is_said_of_it() -> None:
    counts = ssh_audit.count(ALGORITHMS)
    assert counts["fail"] == ["ecdh-sha2-nistp256", "ecdsa-sha2-nistp256"]
    assert counts["warn"] == ["umac-64@openssh.com"]


@pytest.mark.parametrize(
    ("software", "policy"),
    [
        ("OpenSSH_9.2p1", "Hardened OpenSSH Server v9.2 (version 3)"),
        ("OpenSSH_9.9p2", "Hardened OpenSSH Server v9.9 (version 1)"),
        ("OpenSSH_10.0p2", "Hardened OpenSSH Server v9.9 (version 1)"),
    ],
)
def test_an_sshd_is_held_against_the_policy_of_its_release_or_the_last_one(software: str, policy: str) -> None:
    assert ssh_audit.policy_for(POLICIES, software) == policy


@pytest.mark.parametrize("software", ["OpenSSH_8.0", "dropbear_2022.83"])
def test_an_sshd_without_a_policy_is_an_error(software: str) -> None:
    with pytest.raises(HostError):
        ssh_audit.policy_for(POLICIES, software)


def test_what_the_distribution_added_to_the_release_is_named_and_nothing_else_is_forgiven() -> None:
    wanted = ["sntrup761x25519-sha512@openssh.com", "curve25519-sha256"]
    more = {
        "mismatched_field": "Key exchanges",
        "expected_required": wanted,
        "actual": ["sntrup761x25519-sha512", *wanted, "kex-strict-s-v00@openssh.com"],
    }
    added = (True, ["kex-strict-s-v00@openssh.com", "sntrup761x25519-sha512"])
    assert ssh_audit.verdict({"passed": True, "errors": []}) == (True, [])
    assert ssh_audit.verdict({"passed": False, "errors": [more]}) == added
    for other in (more | {"actual": [*more["actual"], "ecdh-sha2-nistp256"]}, more | {"mismatched_field": "Ciphers"}):
        assert ssh_audit.verdict({"passed": False, "errors": [more, other]}) == (False, [])


def test_ssh_audit_without_an_answer_is_an_error() -> None:
    with pytest.raises(HostError, match="timed out"):
        ssh_audit.answer(b"[exception] cannot connect to 10.77.0.113 port 2222: timed out")


def test_an_instrument_that_does_not_run_misses_its_goals_and_spares_the_others() -> None:
    def broken(server: Audited) -> Measured:
        raise HostError(f"{server.name} is silent")

    found = measured("lynis", broken, Audited("one", "debian13", "10.77.0.113"))
    assert [str(figure) for figure in found.figures if not figure.met] == ["one: lynis ran is no, goal == yes"]
    assert found.details == {"error": "one is silent"}


def test_openscap_counts_what_passed_of_what_was_judged() -> None:
    found = openscap.parse(OPENSCAP)
    assert found["percent"] == 66.7
    assert found["counts"] == {"fail": 1, "notapplicable": 1, "pass": 2}
    assert found["fail"] == ["sudo_add_umask"]


def test_openscap_that_judged_nothing_is_an_error() -> None:
    with pytest.raises(ValueError, match="judged no rule"):
        openscap.parse(OPENSCAP.replace("pass<", "notapplicable<").replace("fail<", "notapplicable<"))


def test_the_profiles_are_those_of_the_data() -> None:
    assert openscap.profiles(PROFILES) == ["anssi_bp28_intermediary", "standard"]


def test_ports_are_read_with_their_states() -> None:
    assert ports.parse(NMAP_TCP) == {"tcp/22": "closed", "tcp/80": "open", "tcp/2222": "filtered"}
    assert ports.parse(NMAP_UDP) == {"udp/53": "closed", "udp/443": "open|filtered"}


def test_one_scan_that_saw_a_port_open_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    again = NMAP_TCP.replace("80/open", "80/filtered").replace("2222/filtered", "2222/open")
    answers = iter([NMAP_TCP, again, NMAP_UDP, ""])
    monkeypatch.setattr(ports, "look", lambda address, argv: next(answers))
    states = ports.scan("10.77.0.113", [["nmap"]] * 4)
    assert (states["tcp/80"], states["tcp/2222"]) == ("open", "open")
    assert ports.silent(states) == ["udp/443"]


def test_a_port_that_an_accident_opens_is_missed_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    happened: list[str] = []

    @contextmanager
    def accident(server: Audited) -> Iterator[None]:
        happened.append(server.name)
        yield
        happened.clear()

    def scan(address: str, scans: ports.Scans) -> dict[str, str]:
        opened = {"tcp/8080": "open"} if happened and ":" in address else {}
        return {"tcp/2222": "open", "tcp/80": "closed", **opened}

    monkeypatch.setattr(ports, "scan", scan)
    monkeypatch.setattr(ports, "ACCIDENTS", {"after a storm": accident})
    monkeypatch.setattr(ports, "answers_itself", lambda server, expected: True)
    measured = ports.measure(Audited("x", "debian12", "10.77.0.112"))
    assert [str(figure) for figure in measured.figures if not figure.met] == [
        "x: ports open over IPv6 after a storm is tcp/2222 tcp/8080, goal == tcp/2222"
    ]
    assert len(measured.figures) == 4


def test_the_second_address_of_a_server_ends_like_the_first() -> None:
    assert Audited("x", "debian13", "10.77.0.113").address_v6 == "fd00:77::113"
