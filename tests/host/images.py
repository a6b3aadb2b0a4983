"""Building images: what is missing, in the order of their bases, two at a time."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from pathlib import Path

from .catalogue import (
    APT_SETTINGS,
    BASE_ENVIRONMENT,
    DEBIAN_RELEASES,
    DPKG_OPTIONS,
    IMAGES,
    authorities,
    moving_tag,
    reference,
    tag_of,
    with_bases,
)
from .content import context_tar
from .mirror import sources
from .names import IMAGES_DIR, OWNER_LABEL, REPOSITORY
from .shell import HostError, docker, docker_ok, fail, run, step


class BuildError(HostError):
    """Some images could not be made; `made` are the others."""

    def __init__(self, broken: set[str], made: dict[str, str]) -> None:
        super().__init__(f"these images could not be made: {', '.join(sorted(broken))}")
        self.made = made


def ensure_images(names: Iterable[str]) -> dict[str, str]:
    """Builds what is missing, two at a time, and returns name -> reference. One failure does not stop the others."""
    wanted = with_bases(names)
    references: dict[str, str] = {}
    for name in wanted:
        try:
            references[name] = reference(name)
        except HostError as error:
            fail(str(error))
    absent = [name for name in references if not docker_ok("image", "inspect", references[name])]
    for release in sorted({IMAGES[name].base for name in absent} & set(DEBIAN_RELEASES)):
        ensure_debian(release)
    broken = build_all(absent, references) | (set(wanted) - references.keys())
    for name in references.keys() - broken:
        docker("tag", references[name], moving_tag(name))
    if broken:
        raise BuildError(broken, {name: tag for name, tag in references.items() if name not in broken})
    return references


def build_all(names: list[str], references: dict[str, str]) -> set[str]:
    """Returns the names that failed, or that stand upon one that did."""
    waiting, done, failed = list(names), set(references) - set(names), set[str]()
    running: dict[Future[None], str] = {}
    with ThreadPoolExecutor(max_workers=2) as pool:
        while waiting or running:
            for name in list(waiting):
                base = IMAGES[name].base
                if base in failed:
                    failed.add(name)
                    waiting.remove(name)
                elif base in done or base in DEBIAN_RELEASES:
                    waiting.remove(name)
                    running[pool.submit(build, name, references)] = name
            finished, _ = wait(running, return_when=FIRST_COMPLETED)
            for future in finished:
                name = running.pop(future)
                error = future.exception()
                if error is None:
                    done.add(name)
                else:
                    failed.add(name)
                    fail(f"image {name}: {error}")
    return failed


def build(name: str, references: dict[str, str]) -> None:
    image = IMAGES[name]
    base = references.get(image.base) or reference(image.base)
    context = context_tar(IMAGES_DIR / image.directory)
    if tag_of(image, context, base) != references[name]:
        raise HostError("its directory was changed during this run; run again")
    with step(f"Image {name}"):
        # The classic builder needs no plugin, so every client has it; with the host's network, builds see what the
        # machine sees.
        options = ["--network=host", "--force-rm", f"--build-arg=BASE={base}", f"--label={OWNER_LABEL}=image"]
        command = ["docker", "build", *options, f"--tag={references[name]}", "-"]
        run(["env", "DOCKER_BUILDKIT=0", *command], stdin=context)


def ensure_debian(release: str) -> None:
    target = reference(release)
    if docker_ok("image", "inspect", target):
        return
    with step(f"Image debian:{release}, from packages"), tempfile.TemporaryDirectory(prefix="somos-test-") as scratch:
        tar = Path(scratch) / "root.tar"
        packages = Path(scratch) / "debian.sources"
        packages.write_text(sources(release))
        hooks = [f"copy-in {APT_SETTINGS} /etc/apt/apt.conf.d/", 'mkdir -p "$1/usr/local/share/ca-certificates"']
        hooks += [f"copy-in {path} /usr/local/share/ca-certificates/" for path in authorities()]
        hooks += ['chroot "$1" update-ca-certificates']
        run(
            ["mmdebstrap", "--variant=minbase", "--include=ca-certificates", "--skip=cleanup/reproducible"]
            + [f"--dpkgopt={option}" for option in DPKG_OPTIONS]
            + [f"--customize-hook={hook}" for hook in hooks]
            + [release, str(tar), str(packages)]
        )
        environment = [f"--change=ENV {name}={value}" for name, value in BASE_ENVIRONMENT.items()]
        docker("import", *environment, f"--change=LABEL {OWNER_LABEL}=image", "--change=CMD bash", str(tar), target)
    docker("tag", target, moving_tag(release))


def prune(keep: Iterable[str], names: Iterable[str] = ()) -> list[str]:
    """Removes our images of older hashes, but those; only versions of the images of these names, if any is given.

    What a container still runs on stays until that is gone.
    """
    keep, repositories = set(keep), {IMAGES[name].repository for name in names}
    for name in (*DEBIAN_RELEASES, *IMAGES):
        tag = moving_tag(name)
        keep.add(tag if ":" in tag else f"{tag}:latest")
        if name in DEBIAN_RELEASES or (IMAGES_DIR / IMAGES[name].directory / "Dockerfile").exists():
            keep.add(reference(name))
    ours = docker("image", "ls", "--filter", f"label={OWNER_LABEL}=image", "--format", "{{.Repository}}:{{.Tag}}")
    # Stages of builds have no name but inherit the label. Young ones spare the next build their work.
    docker_ok("image", "prune", "--force", f"--filter=label={OWNER_LABEL}=image", "--filter=until=168h")
    asked = [tag for tag in ours.splitlines() if not repositories or tag.rpartition(":")[0] in repositories]
    old = [tag for tag in asked if tag.startswith(f"{REPOSITORY}/") and tag not in keep]
    return [tag for tag in old if docker_ok("image", "rm", tag)]
