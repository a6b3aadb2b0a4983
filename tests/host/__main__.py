"""python3 -m tests.host: the machine room of the tests and the demo. See README.md beside this file."""

from __future__ import annotations

import argparse
import json
import shutil
import sys

from . import authority, images, server, world
from .catalogue import APPLICATION, IMAGES, demo_images, pushed_images
from .content import short_hash
from .engine import ensure_engine
from .names import BUILD, DEMO, IMAGES_JSON, NETWORK, OWNER_LABEL, REPOSITORY
from .shell import HostError, docker, docker_ok, exclusive, fail, say
from .storage import Bucket

VARIANTS = [name.partition(":")[2] for name in IMAGES if name.startswith("host:debian")]


def build_images(names: list[str]) -> None:
    """What the demo needs, by default. Images that servers run are pushed and listed in images.json."""
    wanted = names or demo_images()
    if set(wanted) & set(APPLICATION):
        wanted = [*wanted, *APPLICATION]
    problem = None
    with exclusive("world"):
        registry = world.ensure_world()
    try:
        references = images.ensure_images(wanted)
    except images.BuildError as error:
        problem, references = error, error.made
    pushed = {name: references[name] for name in pushed_images() if name in references}
    release = release_application(pushed)
    pulled = registry.ensure(pushed)
    if release:
        # Like a product's own images, the application's are named without a tag: the tag is the release.
        pulled |= {name: pulled[name].rpartition(":")[0] for name in APPLICATION} | {"release": release}
    known = json.loads(IMAGES_JSON.read_text()) if names and IMAGES_JSON.exists() else {}
    IMAGES_JSON.write_text(json.dumps(known | pulled, indent=2) + "\n")
    # Who asked for one image has not said what becomes of the others.
    for tag in images.prune(pushed.values(), wanted if names else ()):
        say(f"removed old image {tag}")
    if problem:
        raise problem


def release_application(references: dict[str, str]) -> str | None:
    """Gives the application's images the tag of their common release; None while one of them is not there."""
    if not all(name in references for name in APPLICATION):
        return None
    release = short_hash(*(references[name] for name in APPLICATION))
    for name in APPLICATION:
        tagged = f"{REPOSITORY}/{name}:{release}"
        docker("tag", references[name], tagged)
        references[name] = tagged
    return release


def clean(with_images: bool) -> None:
    label = f"--filter=label={OWNER_LABEL}"
    for name in docker("ps", "--all", "--format={{.Names}}", f"{label}=container").split():
        docker("rm", "--force", "--volumes", name)
    for name in docker("volume", "ls", "--quiet", f"{label}=volume").split():
        docker("volume", "rm", name)
    docker_ok("network", "rm", NETWORK)
    if with_images:
        for tag in docker("image", "ls", "--format={{.Repository}}:{{.Tag}}", f"{label}=image").split():
            if tag.startswith(f"{REPOSITORY}/"):
                docker_ok("image", "rm", tag)
        docker_ok("image", "prune", "--force", f"{label}=image")
    for folder in (DEMO, BUILD / "hosts"):
        shutil.rmtree(folder, ignore_errors=True)
    say("the test world is gone" + (", its images too" if with_images else ""))


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python3 -m tests.host", description="Test servers and their world.")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("engine", help="make sure that a Docker engine answers")
    build = commands.add_parser("images", help="build and push images (the demo's, or the named ones)")
    build.add_argument("names", nargs="*", choices=[[], *IMAGES], metavar="IMAGE", help=", ".join(IMAGES))
    commands.add_parser("world", help="network, keys, secrets, registry and S3 endpoint")
    start = commands.add_parser("up", help="make sure that a test server is up")
    start.add_argument("name")
    start.add_argument("--image", choices=VARIANTS, default="debian13")
    start.add_argument("--ip", help="fixed address in 10.77.0.0/24 (somos-demo has 10.77.0.10)")
    giver = commands.add_parser("authority", help="ACME server, its DNS and a stand-in of Cloudflare's API, made anew")
    giver.add_argument("--remove", action="store_true", help="remove them instead")
    bucket = commands.add_parser("bucket", help="make sure that a bucket is at the S3 endpoint outside, and empty it")
    bucket.add_argument("name")
    stop = commands.add_parser("down", help="remove a test server and its data")
    stop.add_argument("name")
    wipe = commands.add_parser("clean", help="remove every server, the world, and build/demo")
    wipe.add_argument("--images", action="store_true", help="also the images")
    return parser.parse_args()


def main() -> None:
    given = arguments()
    with exclusive("engine"):
        ensure_engine()
    match given.command:
        case "images":
            with exclusive("images"):
                build_images(given.names)
        case "world":
            with exclusive("world"):
                world.ensure_world()
        case "up":
            with exclusive("world"):
                world.ensure_world()
                images.ensure_images([f"host:{given.image}"])
            with exclusive(f"server-{given.name}"):
                server.up(server.Server(given.name, given.image, given.ip))
        case "bucket":
            with exclusive("world"):
                world.ensure_world()
            Bucket(given.name).make_empty()
        case "authority":
            with exclusive("world"):
                world.ensure_world()
                authority.remove() if given.remove else authority.make_anew()
        case "down":
            with exclusive(f"server-{given.name}"):
                server.down(server.Server(given.name))
        case "clean":
            with exclusive("world"):
                clean(given.images)


if __name__ == "__main__":
    try:
        main()
    except HostError as error:
        fail(str(error))
        sys.exit(1)
