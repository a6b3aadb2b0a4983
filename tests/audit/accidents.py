"""What befalls a server, and must not open it: each a context in which it is looked at from outside."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial

from tests.host import images
from tests.host.shell import docker, run, wait_until

from .servers import Audited

MISTAKE = "8080"


def answers_itself(server: Audited, expected: Iterable[str]) -> bool:
    """Whether the server reaches these ports of its own (`tcp/80`): before that, nobody else can be expected to."""
    ports = " ".join(port.removeprefix("tcp/") for port in expected)
    ask = f'for port in {ports}; do timeout 2 bash -c "</dev/tcp/127.0.0.1/$port" || exit; done; echo yes'
    return "yes" in server.run(ask, check=False)


@contextmanager
def after(command: str, server: Audited) -> Iterator[None]:
    # systemd allows three starts of Docker a minute, which is more than a server sees and less than this.
    server.run(f"systemctl reset-failed docker; {command}")
    yield


@contextmanager
def after_a_restart(server: Audited) -> Iterator[None]:
    server.restart()
    yield


@contextmanager
def with_a_mistake(server: Audited) -> Iterator[None]:
    """A container that publishes a port to everybody, by either family, as `docker run -p 8080:80` does."""
    image = images.ensure_images(["nginx"])["nginx"]
    saved = run(["docker", "save", image]).stdout
    docker("exec", "--interactive", server.name, "docker", "load", "--quiet", stdin=saved)
    # The image listens on IPv4 alone.
    listen = "s/listen .*80;/listen 80; listen [::]:80;/"
    serve = f'sed -i "{listen}" /etc/nginx/conf.d/default.conf && exec nginx -g "daemon off;"'
    try:
        server.run("docker network create --ipv6 --subnet fd99::/64 mistake")
        start = f"docker run --detach --name mistake --network mistake --publish {MISTAKE}:80 --entrypoint sh"
        server.run(f"{start} {image} -c '{serve}'")
        # Without this it would prove nothing: the container answers by both families, from the server itself.
        inside = "docker inspect --format '{{.NetworkSettings.Networks.mistake.%s}}' mistake"
        for address in ("IPAddress", "GlobalIPv6Address"):
            ask = f'timeout 2 bash -c "</dev/tcp/$({inside % address})/80" && echo yes'
            wait_until(
                lambda ask=ask: "yes" in server.run(ask, check=False), seconds=30, what=f"the mistake's {address}"
            )
        # Engines before 26 are not trusted with IPv6.
        for rules in ("iptables", *(["ip6tables"] if server.stack else [])):
            server.run(f"{rules} -t nat -S DOCKER | grep -q -- '--dport {MISTAKE} .*DNAT'")
        yield
    finally:
        server.run(f"docker rm --force mistake; docker network rm mistake; docker image rm {image}", check=False)


ACCIDENTS: dict[str, Callable[[Audited], AbstractContextManager[None]]] = {
    "after `ufw reload`": partial(after, "ufw reload"),
    "after a restart of Docker": partial(after, "systemctl restart docker"),
    "after a restart of the server": after_a_restart,
    f"with {MISTAKE} published by mistake": with_a_mistake,
}
