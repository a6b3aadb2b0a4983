"""Every image of the tests, what it is built upon, and its name.

An image's tag is a hash of its directory and of its base's tag, so it is built when something it consists of has
changed, and never else.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from .content import context_tar, short_hash
from .mirror import SOURCES
from .names import IMAGES_DIR, REPOSITORY
from .shell import HostError


@dataclass(frozen=True)
class Image:
    name: str  # "repository" or "repository:variant"
    directory: str  # below images/
    base: str  # the name of another image of this table, or a Debian release
    pushed: bool = False  # run by the server, so the registry outside must have it

    @property
    def repository(self) -> str:
        return f"{REPOSITORY}/{self.name.partition(':')[0]}"

    @property
    def tag_prefix(self) -> str:
        variant = self.name.partition(":")[2]
        return f"{variant}-" if variant else ""


DEBIAN_RELEASES = ("trixie", "bookworm")

IMAGES = {
    image.name: image
    for image in (
        # What takes longest begins first.
        Image("frontend", "app/frontend", "trixie", pushed=True),
        Image("backend", "app/backend", "trixie", pushed=True),
        Image("host:debian13", "host", "trixie"),
        Image("host:debian13-docker", "host-debian13-docker", "host:debian13"),
        Image("host:bookworm", "host", "bookworm"),
        Image("host:debian12", "host-debian12", "host:bookworm"),
        Image("outside", "outside", "seaweedfs"),
        Image("authority", "authority", "trixie"),
        Image("auditor", "auditor", "trixie"),
        Image("postgres", "postgres", "trixie", pushed=True),
        Image("redis", "redis", "trixie", pushed=True),
        Image("qdrant", "qdrant", "trixie", pushed=True),
        Image("seaweedfs", "seaweedfs", "trixie", pushed=True),
        Image("nginx", "nginx", "trixie", pushed=True),
        Image("certbot", "certbot", "trixie", pushed=True),
    )
}

# Released together, under one tag.
APPLICATION = ("backend", "frontend")

# Documentation and translations would be half of every image; and an image whose build was cut off is built again, so
# nothing has to be safe on the disk meanwhile.
DPKG_OPTIONS = (
    "force-unsafe-io",
    "path-exclude=/usr/share/doc/*",
    "path-exclude=/usr/share/info/*",
    "path-exclude=/usr/share/locale/*",
    "path-exclude=/usr/share/man/*",
    "path-include=/usr/share/doc/*/copyright",
    "path-include=/usr/share/locale/locale.alias",
)
BUNDLE = "/etc/ssl/certs/ca-certificates.crt"
# pip and Node bring their own lists of authorities and have to be told to use the system's.
BASE_ENVIRONMENT = {"PIP_CERT": BUNDLE, "NODE_EXTRA_CA_CERTS": BUNDLE}
APT_SETTINGS = IMAGES_DIR / "debian" / "99-somos-test"
# Some networks intercept TLS with an authority of their own, which the machine trusts; builds have to trust it too.
MACHINE_AUTHORITIES = Path("/usr/local/share/ca-certificates")


def with_bases(names: Iterable[str]) -> list[str]:
    """The names and every image they are built upon, bases first."""
    order: list[str] = []
    for name in names:
        chain = []
        while name in IMAGES:
            chain.append(name)
            name = IMAGES[name].base
        order += [image for image in reversed(chain) if image not in order]
    return order


def reference(name: str) -> str:
    """Full name of an image as it has to be for what lies in its directory now."""
    if name in DEBIAN_RELEASES:
        recipe = (SOURCES, APT_SETTINGS.read_bytes(), repr((DPKG_OPTIONS, BASE_ENVIRONMENT)))
        return f"{REPOSITORY}/debian:{name}-{short_hash(*recipe, *(path.read_bytes() for path in authorities()))}"
    image = IMAGES[name]
    directory = IMAGES_DIR / image.directory
    if not (directory / "Dockerfile").exists():
        raise HostError(f"image {name}: there is no {directory}/Dockerfile")
    return tag_of(image, context_tar(directory), reference(image.base))


def tag_of(image: Image, context: bytes, base: str) -> str:
    return f"{image.repository}:{image.tag_prefix}{short_hash(context, base)}"


def authorities() -> list[Path]:
    return sorted(MACHINE_AUTHORITIES.glob("*.crt"))


def moving_tag(name: str) -> str:
    """The tag for people: somos-test/postgres (latest), somos-test/host:debian13, somos-test/debian:trixie."""
    return f"{REPOSITORY}/debian:{name}" if name in DEBIAN_RELEASES else f"{REPOSITORY}/{name}"


def pushed_images() -> list[str]:
    return [image.name for image in IMAGES.values() if image.pushed]


def demo_images() -> list[str]:
    """The demo's server and all that it runs. Servers of other kinds are built when one is asked for."""
    return [*pushed_images(), "host:debian13"]
