"""A collection put back from a snapshot: fetched or found, verified, unpacked, and its shard put in place."""

from __future__ import annotations

import json
import shutil
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any

from . import archive, faults
from .collection import replica_state, write_json
from .errors import ApiError, bad_input, bad_request, forbidden, io_error, service_error
from .request import Upload
from .snapshots import Snapshots
from .storage import Storage

# A source that sends nothing for so long, in seconds, is given up.
_STALLED = 60


def from_upload(snapshots: Snapshots, name: str, upload: Upload, checksum: str | None) -> bool:
    check_upload(upload, checksum)
    # Kept under the name that it came with, and under the collection's name as it was asked for, be it an alias.
    target = snapshots.storage.settings.snapshots_path / name / (upload.filename or upload.path.name)
    target.parent.mkdir(exist_ok=True)
    shutil.move(upload.path, target)
    return from_location(snapshots, name, target.resolve().as_uri(), None, None)


def check_upload(upload: Upload, checksum: str | None) -> None:
    computed = archive.sha256(upload.path) if checksum is not None else None
    if checksum is not None and computed != checksum.lower():
        # The server's own words, which have the two the wrong way round.
        raise ApiError(400, f"Checksum mismatch: expected {computed}, actual {checksum}")


def check_fetched(computed: str | None, checksum: str | None) -> None:
    if checksum is not None and computed != checksum.lower():
        raise bad_input(f"Snapshot checksum mismatch: expected {checksum}, got {computed}")


def from_location(snapshots: Snapshots, name: str, location: str, checksum: str | None, api_key: str | None) -> bool:
    with snapshots.telemetry.recovering(name), snapshots.workspace(f"col-{name}-recovery-") as work:
        unpacked = work / "unpacked"
        computed = _fetch(snapshots.storage, location, unpacked, checksum is not None, api_key)
        check_fetched(computed, checksum)
        restore(unpacked, snapshots.storage.peer)
        _put_in_place(snapshots.storage, name, unpacked)
    return True


def restore(unpacked: Path, peer: int) -> None:
    """Make of an unpacked snapshot what a collection looks like on this server's disk."""
    try:
        config = _config(unpacked)
        for number in range(config["params"]["shard_number"]):
            shard = unpacked / str(number)
            if not (shard / "shard_config.json").exists():
                raise service_error(f"Can't read shard config at {shard}")
            restore_shard(shard, peer)
    except OSError as error:
        raise service_error(str(error)) from error


def restore_shard(shard: Path, peer: int) -> None:
    """The same for one shard, of which it cannot be made where its data is not in the snapshot. Raises OSError."""
    state = _json(shard / "replica_state.json", default=replica_state(peer) | {"is_local": False})
    if not state["is_local"]:
        raise service_error(f"Can't restore snapshot in local mode with missing data at shard: {shard}")
    archive.unpack_segments(shard)
    write_json(shard / "replica_state.json", replica_state(peer))


def _put_in_place(storage: Storage, name: str, unpacked: Path) -> None:
    config = _config(unpacked)
    if config["params"]["shard_number"] != 1:
        raise bad_input("this test double has collections of one shard only")
    # Names are aliases here as everywhere; configuration and indexes of a collection that is there stay as they are.
    if storage.exists(name):
        collection = storage.get(name)
    else:
        collection = storage.create_from(name, config)
        collection.schema = _json(unpacked / "payload_index.json", default={"schema": {}})["schema"]
    _check_compatible(collection.config["params"], config["params"])
    faults.damage(unpacked / "0")
    collection.replace_shard(unpacked / "0")


def _check_compatible(present: dict[str, Any], given: dict[str, Any]) -> None:
    reason = "Snapshot is not compatible with existing collection"
    if present["vectors"] != given["vectors"]:
        raise bad_input(f"{reason}: Collection vectors: {present['vectors']} Snapshot Vectors: {given['vectors']}")
    if present["shard_number"] != given["shard_number"]:
        numbers = f"Collection shard number: {present['shard_number']} Snapshot shard number: {given['shard_number']}"
        raise bad_input(f"{reason}: {numbers}")


def _fetch(storage: Storage, location: str, target: Path, hashed: bool, api_key: str | None) -> str | None:
    """Unpack what is at a location; its checksum, if it is wanted."""
    url = urllib.parse.urlsplit(location)
    if url.scheme in ("http", "https"):
        return download(location, target, hashed, api_key)
    if url.scheme != "file":
        raise bad_request(f"URL {location} with scheme {url.scheme} is not supported")
    return unpack(_local_path(storage, url), target, hashed)


def unpack(path: Path, target: Path, hashed: bool) -> str | None:
    computed = archive.sha256(path) if hashed else None
    try:
        archive.unpack(path, target)
    except OSError as error:
        raise io_error(error) from error
    return computed


def _local_path(storage: Storage, url: urllib.parse.SplitResult) -> Path:
    path = Path(urllib.parse.unquote(url.path))
    if url.netloc not in ("", "localhost"):
        raise bad_request("Invalid snapshot URI, file path must be absolute or on localhost")
    if not path.exists():
        raise bad_request(f'Snapshot file "{path}" does not exist')
    allowed = storage.settings.snapshots_path.resolve()
    if not path.resolve().is_relative_to(allowed):
        raise forbidden(f'Snapshot file path must be inside the snapshots directory "{allowed}"')
    return path.resolve()


def download(location: str, target: Path, hashed: bool, api_key: str | None) -> str | None:
    """Unpack while it arrives; nothing is stored in between."""
    request = urllib.request.Request(location, headers={"api-key": api_key} if api_key else {})  # noqa: S310 - checked
    try:
        with urllib.request.urlopen(request, timeout=_STALLED) as answer:  # noqa: S310
            source = archive.Hashing(answer)
            archive.unpack(source, target)
            return source.rest() if hashed else None
    except urllib.error.HTTPError as error:
        status = f"{error.code} {error.reason}"
        raise bad_input(f"Failed to download tar from {location}: status - {status}") from error
    except urllib.error.URLError as error:
        raise service_error(f"Http request error: error sending request for url ({location})") from error
    except OSError as error:
        raise service_error(f"Failed to unpack tar archive: {error}") from error


def _config(unpacked: Path) -> dict[str, Any]:
    path = unpacked / "config.json"
    try:
        return dict(json.loads(path.read_text()))
    except FileNotFoundError as error:
        raise io_error(f"failed to open file `{path}`: {error.strerror} (os error 2)") from error
    except ValueError as error:
        raise service_error(f"Json error: {error}") from error


def _json(path: Path, default: Any) -> Any:
    return json.loads(path.read_text()) if path.exists() else default
