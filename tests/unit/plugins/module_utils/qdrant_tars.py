"""Snapshot files as Qdrant 1.19 lays them out, and what an enemy or a bad disk makes of them."""

from __future__ import annotations

import io
import json
import subprocess
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from qdrant_script import COLLECTION

CONFIG = COLLECTION["config"]
SEGMENT = "5f1c2a5e-7c8e-4a0e-9d0a-0c6f7d1f2b3c"
REPLICA_STATE = {"is_local": True, "this_peer_id": 3714892, "peers": {"3714892": "Active"}}

Member = tarfile.TarInfo | tuple[str, bytes]


def link(name: str, kind: bytes, target: str = "config.json") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


def tar(members: Sequence[Member]) -> bytes:
    """As Rust's library ends one: two blocks of zeros, and no more."""
    file = io.BytesIO()
    for member in members:
        info, content = (
            (member, b"") if isinstance(member, tarfile.TarInfo) else (tarfile.TarInfo(member[0]), member[1])
        )
        info.size = len(content)
        file.write(info.tobuf(tarfile.GNU_FORMAT) + content + bytes(-len(content) % 512))
    return file.getvalue() + bytes(1024)


def segment(files: Mapping[str, bytes] | None = None) -> bytes:
    files = files or {
        "segment.json": b"{}",
        "version.info": b"0.6.0",
        "vector_storage/vectors/chunk_0.mmap": bytes(9000),
    }
    return tar([(f"snapshot/files/{name}", content) for name, content in files.items()])


def as_json(value: object) -> bytes:
    return json.dumps(value).encode()


def collection(
    *, config: object = CONFIG, inner: bytes | None = None, prefix: str = "", shards: int = 1
) -> list[Member]:
    """The members of a collection's snapshot. Up to 1.11 their names begin with a point."""
    members: list[Member] = []
    for shard in range(shards):
        members += [
            (f"{shard}/segments/{SEGMENT}.tar", segment() if inner is None else inner),
            (f"{shard}/newest_clocks.json", as_json({"clocks": []})),
            (f"{shard}/wal/open-1", bytes(2048)),
            (f"{shard}/wal/first-index", b"0"),
            (f"{shard}/replica_state.json", as_json(REPLICA_STATE)),
            (f"{shard}/shard_config.json", as_json({"type": "ReplicaSet"})),
        ]
    members += [
        ("version.info", b"0.4.2"),
        ("config.json", as_json(config)),
        ("shard_key_mapping.json", b"[]"),
        ("payload_index.json", as_json({"schema": {}})),
    ]
    return [(prefix + name, content) for name, content in members if isinstance(name, str)]  # type: ignore[misc]


def storage(members: Mapping[str, bytes], mapping: object = None, aliases: object = None) -> bytes:
    """A snapshot of the whole storage; *members* is collection → its snapshot."""
    names = {name: f"{name}-3714892-2026-11-24-03-00-01.snapshot" for name in members}
    config = {
        "collections_mapping": names if mapping is None else mapping,
        "collections_aliases": {} if aliases is None else aliases,
    }
    files: list[Member] = [(names[name], content) for name, content in members.items()]
    return tar([*files, ("config.json", as_json(config))])


def gnu_sparse(directory: Path, members: Sequence[Member], into: Path) -> None:
    """Written by GNU tar, with holes left out, as Qdrant from 1.12 on does."""
    for member in members:
        assert not isinstance(member, tarfile.TarInfo)
        path = directory / member[0]
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as file:
            file.write(member[1])
            file.truncate(file.tell() + (1 << 20) if "/segments/" not in member[0] and "wal" in member[0] else None)
    argv = ["tar", "--format=gnu", "--sparse", "-cf", into, "-C", directory, *(member[0] for member in members)]  # type: ignore[misc]
    subprocess.run(argv, check=True)
