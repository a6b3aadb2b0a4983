"""What answers from outside by IPv4 and IPv6: all TCP ports, the usual UDP ports and ours, also after accidents."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from tests.host.shell import HostError, wait_until

from .accidents import ACCIDENTS, answers_itself
from .report import Figure, Measured
from .servers import V6_NETWORK, Audited, outside

Scans = Sequence[Sequence[str]]
GOAL = ["tcp/80", "tcp/443", "tcp/2222"]
# What services listen on inside; none of it may be reached.
OURS = "22,80,443,2222,3000,3001,3100,5432,5555,6333,6334,6379,6380,8000,8080,8333,9000,9001,9090,9093,9100,9115,9323"
NMAP = ["nmap", "-n", "-Pn", "-oG", "-", "--max-retries", "2"]
TCP = [*NMAP, "-sS", "-p-", "--min-rate", "2000"]
# Slowly once more, since a fast scan loses an answer now and then.
TCP_AGAIN = [*NMAP, "-sS", "-p", OURS, "--max-rate", "50"]
TCP_LIKELY = [*NMAP, "-sS", "--top-ports", "1000", "--min-rate", "1000"]
UDP_LIKELY = [*NMAP, "-sU", "--top-ports", "50", "--min-rate", "200"]
UDP = [*NMAP, "-sU", "--top-ports", "200", "--min-rate", "200"]
UDP_OURS = [*NMAP, "-sU", "-p", f"53,68,123,443,{OURS}", "--max-rate", "50"]


def measure(server: Audited) -> Measured:
    """Every port once, and after each accident those that are likely to be open."""
    figures, details = look_from_outside(server, "", (TCP, TCP_AGAIN, UDP, UDP_OURS))
    for words, accident in ACCIDENTS.items():
        with accident(server):
            wait_until(lambda: answers_itself(server, goal(server)), seconds=120, what=f"{server.name} answers {words}")
            more, found = look_from_outside(server, f" {words}", (TCP_LIKELY, TCP_AGAIN, UDP_LIKELY, UDP_OURS))
        figures += more
        details |= found
    return Measured(figures, details)


def look_from_outside(server: Audited, when: str, scans: Scans) -> tuple[list[Figure], dict[str, Any]]:
    figures, details = [], {}
    for family, address in (("IPv4", server.address), ("IPv6", server.address_v6)):
        states = scan(address, scans)
        reached = sorted((port for port, state in states.items() if state == "open"), key=by_number)
        figures.append(Figure(server.name, "ports", f"open over {family}{when}", reached, "==", goal(server)))
        details[f"{family}{when}"] = {"address": address, "open": reached, "silent": silent(states)}
    return figures, details


def goal(server: Audited) -> list[str]:
    """What the server does not run need not answer there."""
    return GOAL if server.stack else ["tcp/2222"]


def scan(address: str, scans: Scans) -> dict[str, str]:
    """Port → the most that one of the scans saw of it."""
    states: dict[str, str] = {}
    for argv in scans:
        for port, state in parse(look(address, argv)).items():
            if states.get(port) != "open":
                states[port] = state
    return states


def look(address: str, argv: Sequence[str]) -> str:
    if ":" not in address:
        done = outside(*argv, address)
    else:
        own = V6_NETWORK[0xFFFF]
        script = f'ip -6 address add {own}/64 dev eth0 nodad && exec "$@"'
        done = outside("sh", "-c", script, "sh", *argv, "-6", address, capabilities=("NET_ADMIN",))
    if done.returncode:
        raise HostError(f"nmap cannot scan {address}: {(done.stdout + done.stderr).decode(errors='replace')[-500:]}")
    return done.stdout.decode()


def parse(grepable: str) -> dict[str, str]:
    """Ports that nmap names, as `tcp/80` → `open`. UDP that stays silent is `open|filtered`, and no answer."""
    listed = re.findall(r"\b(\d+)/([a-z|]+)/(tcp|udp)/", grepable)
    return {f"{protocol}/{port}": state for port, state, protocol in listed}


def silent(states: dict[str, str]) -> list[str]:
    return sorted((port for port, state in states.items() if "filtered" in state), key=by_number)


def by_number(port: str) -> tuple[str, int]:
    protocol, _, number = port.partition("/")
    return protocol, int(number)
