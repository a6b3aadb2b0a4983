"""Snapshots as archives: GNU tar with sparse entries, regular files only, as the server writes and accepts them.

A collection's snapshot holds one directory a shard and the collection's own files; in a shard, every segment is an
archive of its own (`segments/<uuid>.tar` with `snapshot/files/...`), which is the server's "regular" format.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import tarfile
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path, PurePosixPath
from typing import Protocol

from .errors import service_error

CHUNK = 1 << 20
# Of a collection, beside its shards; in the order in which the server appends them.
COLLECTION_FILES = ("version.info", "config.json", "shard_key_mapping.json", "payload_index.json")
SHARD_FILES = ("replica_state.json", "shard_config.json")
_MALFORMED = "Malformed tar archive, reached unknown entry"
_ALLOWED = (tarfile.REGTYPE, tarfile.AREGTYPE, tarfile.DIRTYPE, tarfile.GNUTYPE_SPARSE)
# How the server names what it does not take.
_FORBIDDEN = {
    tarfile.SYMTYPE: "Symlink",
    tarfile.LNKTYPE: "Link",
    tarfile.CHRTYPE: "Char",
    tarfile.BLKTYPE: "Block",
    tarfile.FIFOTYPE: "Fifo",
}


class Readable(Protocol):
    def read(self, size: int, /) -> bytes: ...


def write(archive: Path, root: Path, names: Iterable[str], prefix: str = "") -> None:
    """Append files below a directory to an archive, which is made if it is absent; `prefix` goes before their names."""
    # The directory goes before the names that are sought in it.
    command = ["tar", "--append", f"--file={archive}", "--format=gnu", "--sparse", f"--directory={root}"]
    command += ["--owner=0", "--group=0", "--numeric-owner", "--no-recursion", "--null", "--files-from=-"]
    if prefix:
        command += ["--transform", f"s,^,{prefix},"]
    done = subprocess.run(command, input="\0".join(names), capture_output=True, text=True, check=False)
    if done.returncode:
        raise service_error(f"failed to create snapshot archive: {done.stderr.strip()}")


def write_shard(archive: Path, shard: Path, work: Path, prefix: str = "") -> None:
    """Append a shard, as it lies on disk, to an archive."""
    segments = work / "segments"
    segments.mkdir()
    for segment in sorted((shard / "segments").iterdir()):
        write(segments / f"{segment.name}.tar", segment, files_below(segment), prefix="snapshot/files/")
    write(archive, work, sorted(f"segments/{packed.name}" for packed in segments.iterdir()), prefix)
    shutil.rmtree(segments)
    write(archive, shard, [f"wal/{name}" for name in files_below(shard / "wal")], prefix)
    write(archive, shard, SHARD_FILES, prefix)


def files_below(directory: Path) -> list[str]:
    return sorted(str(path.relative_to(directory)) for path in directory.rglob("*") if path.is_file())


def unpack(source: Path | Readable, target: Path) -> None:
    """Unpack an archive as the server does: in one pass, nothing but files and directories. Raises OSError."""
    target.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        stream = stack.enter_context(source.open("rb")) if isinstance(source, Path) else source
        try:
            archive = stack.enter_context(tarfile.open(fileobj=stream, mode="r|", tarinfo=_Entry, copybufsize=CHUNK))
            for entry in archive:
                if entry.type not in _ALLOWED:
                    kind = _FORBIDDEN.get(entry.type, "Other")
                    raise OSError(f"Forbidden entry type in tar archive: {kind}")
                _extract(archive, entry, target)
        except tarfile.ReadError as error:
            if str(error) != "empty file":  # which the server takes for an archive without entries
                raise OSError(_MALFORMED) from error


def _extract(archive: tarfile.TarFile, entry: tarfile.TarInfo, target: Path) -> None:
    parts = [part for part in PurePosixPath(entry.name).parts if part != "/"]
    if ".." in parts:
        return  # skipped without a word, as Rust's tar does it
    path = target.joinpath(*parts)
    if entry.isdir():
        path.mkdir(parents=True, exist_ok=True)
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.exists():
        raise OSError(f"failed to unpack `{path}`")
    try:
        archive.makefile(entry, path)
    except (tarfile.ReadError, OSError) as error:
        raise OSError(f"failed to unpack `{path}`") from error


def unpack_segments(shard: Path) -> None:
    """Put every packed segment of an unpacked shard in its place. Raises OSError."""
    try:
        packed = [path for path in (shard / "segments").iterdir() if not path.name.startswith(".")]
    except FileNotFoundError as error:
        raise OSError(f"IO Error: failed to read directory `{shard}/segments`: {error.strerror}") from error
    for path in packed:
        try:
            _unpack_segment(path)
        except OSError as error:
            reason = f"Service runtime error: {error}"
            raise OSError(f'Failed to restore snapshot from "{path}": {reason}') from error


def _unpack_segment(path: Path) -> None:
    segment = path.with_suffix("")
    if path.is_file() and path.suffix == ".tar":  # the "regular" format
        try:
            unpack(path, segment)
        except OSError as error:
            raise OSError(f"IO Error: {error}") from error
        path.unlink()
        if (segment / "snapshot").is_dir():
            _hoist_files(segment / "snapshot")
            _hoist(segment / "snapshot", segment)
    elif path.is_dir():  # the "streamable" format
        _hoist_files(path)
    else:
        raise OSError("Invalid snapshot path, expected either a directory or a .tar file")


def _hoist_files(segment: Path) -> None:
    for outdated in ("db_backup", "payload_index_db_backup"):  # of servers that kept some of it in RocksDB
        shutil.rmtree(segment / outdated, ignore_errors=True)
    if (segment / "files").is_dir():
        _hoist(segment / "files", segment)


def _hoist(source: Path, target: Path) -> None:
    for path in source.iterdir():
        path.rename(target / path.name)
    source.rmdir()


class Hashing:
    """A reader that hashes what is read through it."""

    def __init__(self, source: Readable) -> None:
        self._source = source
        self._hash = hashlib.sha256()

    def read(self, size: int) -> bytes:
        chunk = self._source.read(size)
        self._hash.update(chunk)
        return chunk

    def rest(self) -> str:
        """Read to the end; the hash of everything, in hexadecimal."""
        while self.read(CHUNK):
            pass
        return self._hash.hexdigest()


def sha256(path: Path) -> str:
    with path.open("rb") as file:
        return Hashing(file).rest()


class _Entry(tarfile.TarInfo):
    """Python takes a broken header after the first for the end of the archive; the server does not."""

    @classmethod
    def fromtarfile(cls, tarfile_: tarfile.TarFile) -> _Entry:
        try:
            return super().fromtarfile(tarfile_)
        except (tarfile.InvalidHeaderError, tarfile.TruncatedHeaderError) as error:
            raise tarfile.ReadError(_MALFORMED) from error
