"""Where Debian's packages come from: the mirrors that the machine itself uses, or DEBIAN_MIRROR."""

from __future__ import annotations

import os
import re

from .shell import HostError, run

# One stanza a mirror. A Dockerfile takes another release from the first one: see images/nginx.
SOURCES = """\
Types: deb
URIs: {mirror}
Suites: {release} {release}-updates
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

Types: deb
URIs: {security}
Suites: {release}-security
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg
"""


def sources(release: str) -> str:
    """What apt in an image of that Debian release reads its packages from."""
    if mirror := os.environ.get("DEBIAN_MIRROR"):
        return SOURCES.format(release=release, mirror=mirror, security=f"{mirror.rstrip('/')}-security")
    known = run(["apt-get", "indextargets", "--format", "$(REPO_URI)", "Created-By: Packages"]).stdout.decode().split()
    return SOURCES.format(release=release, mirror=first(known, "debian"), security=first(known, "debian-security"))


def first(uris: list[str], archive: str) -> str:
    """The first address of that archive, by the path that mirrors agree on."""
    for uri in uris:
        if re.search(rf"/{archive}/?$", uri):
            return uri
    raise HostError(
        f"apt on this machine knows no mirror of {archive}, and the test images are made of Debian's packages. "
        "Name one: DEBIAN_MIRROR=http://MIRROR/debian make …"
    )
