"""Job of kind `bucket`: every object of the object storage, encrypted, to the NAS and to S3. Nothing is removed there.

An object that was replaced or removed since stays: replaced ones under `replaced/<time>`, removed ones where they are.
"""

from __future__ import annotations

import configparser
import json
import os
import random
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from .. import manifest, staging
from ..errors import BackupError, ConfigError
from ..manifest import Manifest
from ..rclone import Rclone, obscured
from .base import Job, Point, Stored, Verdict

# The first copy of terabytes takes days; the unit that runs this ends it after six.
COPY_LIMIT_S = 7 * 86400
# What a verification reads again, at most: objects, and bytes.
SAMPLE, SAMPLE_BYTES = 200, 1 << 30
SOURCE, STORE, SEALED = "source:", "store:", "sealed:"
STAMP = "%Y-%m-%dT%H%M%SZ"


class Bucket(Job):
    """All buckets at *endpoint*. *destinations*: a directory below a mount, or a prefix of an S3 bucket."""

    @property
    def destinations(self) -> list[str]:
        return list(self.value("destinations"))

    @contextmanager
    def prepared(self, run_id: str) -> Iterator[Manifest]:
        """The list of what is there. Objects that come later are the next run's."""
        with staging.emptied(self.config.staging / self.name) as directory:
            objects = self._rclone(None).listing(SOURCE, what="Listing the objects")
            taken = datetime.now(timezone.utc).isoformat(timespec="seconds")
            facts = {"objects": len(objects), "bytes": sum(entry["size"] for entry in objects.values())}
            saved = Manifest(self.name, run_id, taken, facts, objects)
            (directory / manifest.NAME).write_text(
                json.dumps({"format": manifest.FORMAT, **saved.__dict__}), encoding="utf-8"
            )
            yield saved

    def store(self, run_id: str, prepared: Manifest, destination: str) -> Stored:
        rclone = self._rclone(destination)
        self._refuse_another_passphrase(rclone, destination)
        stamp = datetime.fromisoformat(prepared.taken).strftime(STAMP)
        before = self._size(rclone)
        limit = self.config.upload_kib_per_s
        rclone.run(
            "copy",
            *([f"--bwlimit={limit}k:off"] if limit and destination != "nas" else []),
            f"--backup-dir={SEALED}replaced/{stamp}",
            SOURCE,
            f"{SEALED}current",
            what="Copying the objects",
            limit_s=COPY_LIMIT_S,
        )
        # The manifest comes last: a copy that was cut off has none, and is no backup.
        rclone.run(
            "copyto",
            str(self.config.staging / self.name / manifest.NAME),
            f"{SEALED}manifests/{stamp}.json",
            what="Storing the manifest",
        )
        return Stored(stamp, max(self._size(rclone) - before, 0), int(prepared.facts["bytes"]))

    def points(self, destination: str) -> list[Point]:
        rclone = self._rclone(destination)
        found = rclone.listing(f"{SEALED}manifests", what="Listing the manifests")
        if not found:
            self._refuse_another_passphrase(rclone, destination)
        return [
            Point(name[: -len(".json")], self.name, destination, _moment(name[: -len(".json")]), 0)
            for name in sorted(found)
            if name.endswith(".json")
        ]

    def verify(self, point: Point) -> Verdict:
        """Every object is there with its size; a sample is fetched, decrypted and held against its MD5."""
        rclone = self._rclone(point.destination)
        with staging.emptied(self.config.scratch / self.name) as directory:
            path = f"{SEALED}manifests/{point.id}.json"
            rclone.run("copyto", path, str(directory / manifest.NAME), what="Fetching the manifest")
            saved = manifest.read(directory)
            there = rclone.listing(f"{SEALED}current", what="Listing what is there")
            wrong = list(compared(saved.files, there))
            chosen = sample([name for name in saved.files if name in there], saved.files)
            wrong += self._fetched(rclone, directory, chosen, saved.files)
            return Verdict(
                point, f"{len(saved.files)} objects listed, {len(chosen)} of them fetched and compared", wrong
            )

    def _fetched(
        self, rclone: Rclone, directory: Path, names: list[str], saved: Mapping[str, Mapping[str, Any]]
    ) -> Iterator[str]:
        wanted = directory / "wanted"
        wanted.write_text("".join(f"{name}\n" for name in names), encoding="utf-8")
        target = directory / "objects"
        rclone.run(
            "copy",
            f"--files-from-raw={wanted}",
            f"{SEALED}current",
            str(target),
            what="Fetching a sample of the objects",
        )
        for name in names:
            path = target / name
            if not path.exists():
                yield f"{name} could not be fetched"
            elif "md5" in saved[name] and manifest.digest(path, "md5") != saved[name]["md5"]:
                yield f"{name} has another content than it was saved with"

    def _refuse_another_passphrase(self, rclone: Rclone, destination: str) -> None:
        """Raises BackupError where something is, and nothing of it opens: rclone would begin a second copy."""
        if not rclone.names(SEALED) and rclone.names(self._store(destination)[1]):
            raise BackupError(
                f"The passphrase in {self.value('password_file')} opens nothing of what is in {destination}. It cannot "
                "be changed by configuration: put the old one back into the vault."
            )

    def _size(self, rclone: Rclone) -> int:
        return int(json.loads(rclone.run("size", "--json", SEALED, what="Measuring what is there"))["bytes"])

    def _rclone(self, destination: str | None) -> Rclone:
        """With the object storage, and what is at *destination* as it is and decrypted."""
        remotes, ca_file = {"source": self._source()}, ""
        if destination is not None:
            ca_file = str(self._values_of(destination).get("ca_file", ""))
            remotes["store"], place = self._store(destination)
            remotes["sealed"] = {
                "type": "crypt",
                "remote": place,
                "password": obscured(self.config.rclone, self.value("password_file")),
                "filename_encryption": "standard",
                "directory_name_encryption": "true",
            }
        return Rclone(self.config.rclone, self.config.state / "cache" / "rclone", remotes, ca_file)

    def _values_of(self, destination: str) -> Mapping[str, Any]:
        try:
            return dict(self.value("destinations")[destination])
        except KeyError as error:
            raise ConfigError(f"there is no destination {destination} for job {self.name}.") from error

    def _source(self) -> dict[str, str]:
        access_key, secret_key = (_secret(self.value(key)) for key in ("access_key_file", "secret_key_file"))
        return {
            "type": "s3",
            "provider": "Other",
            "endpoint": self.value("endpoint"),
            "region": self.value("region"),
            "access_key_id": access_key,
            "secret_access_key": secret_key,
        }

    def _store(self, destination: str) -> tuple[dict[str, str], str]:
        values = self._values_of(destination)
        if "path" in values:
            refuse_unmounted(Path(values["mount"]))
            Path(values["path"]).mkdir(mode=0o700, parents=True, exist_ok=True)
            return {"type": "local"}, values["path"]
        credentials = configparser.ConfigParser(interpolation=None)
        credentials.read_string(_secret(values["credentials_file"]))
        return {
            "type": "s3",
            "provider": values["provider"],
            "endpoint": values["s3"],
            "region": values["region"],
            "force_path_style": str(values["uri_style"] != "host").lower(),
            # Keys of one bucket may not ask whether it exists.
            "no_check_bucket": "true",
            "access_key_id": credentials["default"]["aws_access_key_id"],
            "secret_access_key": credentials["default"]["aws_secret_access_key"],
        }, f"{STORE}{values['bucket']}/{values['prefix']}"


def refuse_unmounted(mount: Path) -> None:
    """Raises BackupError unless something is mounted at *mount*: what is written there would fill the server's disk."""
    try:
        next(mount.iterdir(), None)  # a mount on demand comes when it is asked for
        if is_mounted(mount) and os.access(mount, os.W_OK):
            return
        why = "cannot be written to" if is_mounted(mount) else "is not mounted"
    except OSError as error:
        why = f"does not answer: {error.strerror}"
    raise BackupError(
        f"The NAS at {mount} {why}; nothing was written. Look at `systemctl status {mount}` and at the NAS."
    )


def is_mounted(place: Path, mountinfo: Path = Path("/proc/self/mountinfo")) -> bool:
    """Whether a file system is at *place*, be it one that is bound from elsewhere; a promise of one is none."""
    for line in mountinfo.read_text(encoding="utf-8").splitlines():
        fields = line.split()
        point = re.sub(r"\\([0-7]{3})", lambda found: chr(int(found[1], 8)), fields[4])
        if point == str(place) and fields[fields.index("-") + 1] != "autofs":
            return True
    return False


def compared(saved: Mapping[str, Mapping[str, Any]], there: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    """One sentence for each object that is missing or has another size."""
    for name, entry in sorted(saved.items()):
        if name not in there:
            yield f"{name} is missing"
        elif there[name]["size"] != entry["size"]:
            yield f"{name}: {there[name]['size']} bytes, {entry['size']} were saved"


def sample(names: list[str], saved: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Some of *names*, other ones each time, within the limits; all of them where they are few."""
    chosen: list[str] = []
    total = 0
    names = [name for name in names if "\n" not in name]  # rclone's lists have one a line
    for name in random.sample(names, min(len(names), SAMPLE)):
        total += int(saved[name]["size"])
        if total <= SAMPLE_BYTES or not chosen:
            chosen.append(name)
    return sorted(chosen)


def _moment(stamp: str) -> datetime:
    try:
        return datetime.strptime(stamp, STAMP).replace(tzinfo=timezone.utc)
    except ValueError as error:
        raise BackupError(f"{stamp} below manifests/ is not one of this program's.") from error


def _secret(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8").strip()
    except OSError as error:
        raise BackupError(f"{path} cannot be read: {error.strerror}. Run the role that writes it again.") from error
