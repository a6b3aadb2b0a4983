"""What a snapshot file has to be before a server is asked to restore it."""

from __future__ import annotations

import contextlib
import io
import os
import tarfile
from pathlib import Path
from typing import Any

import pytest
from qdrant_tars import (
    CONFIG,
    SEGMENT,
    Member,
    as_json,
    collection,
    gnu_sparse,
    link,
    segment,
    storage,
    tar,
)

from ansible_collections.somos.infra.plugins.module_utils import _qdrant_archive
from ansible_collections.somos.infra.plugins.module_utils._qdrant import LocalError, QdrantError
from ansible_collections.somos.infra.plugins.module_utils._qdrant_archive import (
    Archive,
    inspect,
    inspect_member,
    member,
)

INNER = f"0/segments/{SEGMENT}.tar"
DOCUMENTS = "documents-3714892-2026-11-24-03-00-01.snapshot"


@pytest.fixture
def snapshot(tmp_path: Path) -> Path:
    return tmp_path / "a.snapshot"


def judge(path: Path, content: bytes) -> Archive:
    path.write_bytes(content)
    return inspect(path)


def refused(path: Path, content: bytes) -> str:
    with pytest.raises(QdrantError) as caught:
        judge(path, content)
    assert str(path) in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("prefix", ["", "./"])
@pytest.mark.parametrize("shards", [1, 3])
def test_a_collection_s_snapshot(snapshot: Path, prefix: str, shards: int) -> None:
    assert judge(snapshot, tar(collection(prefix=prefix, shards=shards))) == Archive("collection", CONFIG)


def test_an_empty_collection_has_no_segments(snapshot: Path) -> None:
    members = [each for each in collection() if not each[0].endswith(".tar")]  # type: ignore[index]
    assert judge(snapshot, tar(members)).kind == "collection"


def test_directories_of_their_own_and_python_s_padding_are_no_harm(snapshot: Path) -> None:
    directory = link("0", tarfile.DIRTYPE, "")
    with tarfile.open(snapshot, "w") as file:
        file.addfile(directory)
        for name, content in collection():  # type: ignore[misc]
            (snapshot.parent / "member").write_bytes(content)  # type: ignore[arg-type]
            file.add(snapshot.parent / "member", name)  # type: ignore[arg-type]
    assert inspect(snapshot).kind == "collection"


def test_holes_are_no_harm(snapshot: Path, tmp_path: Path) -> None:
    gnu_sparse(tmp_path / "inner", [("snapshot/files/vectors_wal", b"x")], tmp_path / "inner.tar")
    gnu_sparse(tmp_path / "outer", collection(inner=(tmp_path / "inner.tar").read_bytes()), snapshot)
    with tarfile.open(snapshot) as file:
        assert any(info.type == tarfile.GNUTYPE_SPARSE for info in file)
    assert inspect(snapshot) == Archive("collection", CONFIG)


def test_a_storage_s_snapshot(snapshot: Path) -> None:
    inner, other = tar(collection()), tar(collection(shards=2))
    content = storage({"documents": inner, "notes": other}, aliases={"docs": "documents"})
    found = judge(snapshot, content)
    assert found.kind == "storage" and found.config == {}
    assert found.members == {"documents": DOCUMENTS, "notes": DOCUMENTS.replace("documents", "notes")}
    assert found.aliases == {"docs": "documents"}
    assert inspect_member(snapshot, DOCUMENTS) == Archive("collection", CONFIG)
    with member(snapshot, DOCUMENTS) as file:
        assert file.read() == inner
        assert file.seek(100) == 100 and file.read() == inner[100:]
    with member(snapshot, found.members["notes"]) as file:
        assert file.read() == other


def test_a_storage_without_collections_is_one(snapshot: Path) -> None:
    assert judge(snapshot, storage({})) == Archive("storage")


# Hostile.


@pytest.mark.parametrize(
    "kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE, b"Z"]
)
@pytest.mark.parametrize("where", ["outside", "inside a segment", "config.json"])
def test_what_is_neither_file_nor_directory_is_refused(snapshot: Path, kind: bytes, where: str) -> None:
    odd = link("config.json" if where == "config.json" else "0/odd", kind, "/etc/shadow")
    content = tar(collection(inner=tar([odd]))) if where == "inside a segment" else tar([odd, *collection()])
    assert "is neither a file nor a directory" in refused(snapshot, content)


@pytest.mark.parametrize("name", ["/etc/cron.d/x", "../x", "0/../../x", "..", ".//etc/x/..", "0/segments/.."])
@pytest.mark.parametrize("inside", [False, True])
def test_what_points_outside_is_refused(snapshot: Path, name: str, inside: bool) -> None:
    odd: Member = (name, b"* * * * * root reboot\n")
    content = tar(collection(inner=tar([odd]))) if inside else tar([odd, *collection()])
    message = refused(snapshot, content)
    assert "is refused" in message and "points outside" in message


def test_a_huge_configuration_is_not_read(snapshot: Path) -> None:
    huge = tarfile.TarInfo("config.json")
    huge.size = (16 << 20) + 1
    with snapshot.open("wb") as file:
        file.write(huge.tobuf(tarfile.GNU_FORMAT))
        file.truncate(512 + (huge.size + 511) // 512 * 512 + 1024)
    with pytest.raises(QdrantError, match=r"its config.json is 16777217 bytes long"):
        inspect(snapshot)


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b"[" * 500_000])
def test_a_configuration_that_is_no_json(snapshot: Path, content: bytes) -> None:
    assert "its config.json cannot be read" in refused(snapshot, tar([*collection()[:-3], ("config.json", content)]))


@pytest.mark.parametrize("value", [None, [], 3, "x"])
def test_a_configuration_that_is_no_object(snapshot: Path, value: Any) -> None:
    assert "has no config.json" in refused(snapshot, tar(collection(config=value)))


def test_no_configuration_and_no_shard(snapshot: Path) -> None:
    assert "has no config.json" in refused(snapshot, tar(collection()[:-3]))
    assert "holds no shard" in refused(snapshot, tar([("config.json", as_json(CONFIG))]))
    assert "holds no shard" in refused(snapshot, tar([("x/0/shard_config.json", b"{}"), ("config.json", b"{}")]))
    directory = link("config.json", tarfile.DIRTYPE, "")
    assert "its config.json is 0 bytes long" in refused(snapshot, tar([directory]))


def test_a_negative_size_is_refused(snapshot: Path) -> None:
    """Older Pythons walk backwards for ever."""
    info = tarfile.TarInfo("0/x")
    block = bytearray(info.tobuf(tarfile.GNU_FORMAT))
    block[124:136] = b"\xff" * 8 + (-1024).to_bytes(4, "big", signed=True)
    block[148:156] = b"%06o\0 " % (256 + sum(block[:148]) + sum(block[156:]))
    assert "points outside" in refused(snapshot, bytes(block) + tar(collection()))


@pytest.mark.parametrize(
    ("mapping", "aliases", "message"),
    [
        ([], {}, "does not say what it holds"),
        ({"documents": 3}, {}, "does not say what it holds"),
        ({"documents": DOCUMENTS}, [], "does not say what it holds"),
        ({"documents": DOCUMENTS}, {"docs": None}, "does not say what it holds"),
        (
            {"documents": DOCUMENTS, "notes": "n.snapshot"},
            {},
            "names n.snapshot for collection notes but does not hold",
        ),
        ({"documents": DOCUMENTS}, {"a": "notes"}, "an alias a of collection notes, which it lacks"),
    ],
)
def test_a_storage_that_does_not_hold_what_it_says(
    snapshot: Path, mapping: object, aliases: object, message: str
) -> None:
    assert message in refused(snapshot, storage({"documents": tar(collection())}, mapping, aliases))


@pytest.mark.parametrize(
    "name", ["../../etc/passwd", "/etc/x.snapshot", "config.json", "a/b.snapshot", "\ud800.snapshot"]
)
def test_a_storage_that_names_a_path(snapshot: Path, name: str) -> None:
    snapshot.write_bytes(storage({"documents": tar(collection())}, {"documents": name}))
    with pytest.raises(QdrantError, match="is not the name of a snapshot"):
        inspect(snapshot)


def test_a_member_that_is_none(snapshot: Path) -> None:
    directory = link("x.snapshot", tarfile.DIRTYPE, "")
    config = {"collections_mapping": {"documents": "x.snapshot"}}
    assert judge(snapshot, tar([directory, ("config.json", as_json(config))])).kind == "storage"
    with pytest.raises(LocalError, match=r"names x\.snapshot but does not hold it"):
        inspect_member(snapshot, "x.snapshot")


def test_a_storage_in_a_storage_is_refused(snapshot: Path) -> None:
    judge(snapshot, storage({"documents": storage({})}))
    with pytest.raises(QdrantError, match="in it is not one of a collection"):
        inspect_member(snapshot, DOCUMENTS)


def test_a_member_of_a_damaged_or_missing_file(snapshot: Path) -> None:
    with pytest.raises(LocalError, match="cannot be read: No such file"), member(snapshot, "x"):
        pass
    snapshot.write_bytes(b"x" * 2000)
    with pytest.raises(LocalError, match="is damaged"), member(snapshot, "x"):
        pass


# Damaged.


def borders(content: bytes) -> list[int]:
    with contextlib.closing(tarfile.open(fileobj=io.BytesIO(content))) as file:
        return [info.offset for info in file]


def test_a_snapshot_that_was_cut_at_the_end_of_a_file_in_it(snapshot: Path) -> None:
    """Python takes the end of a file for the end of a tar; the zeros at the end of a segment would do for its own."""
    members = collection(shards=2)
    content = tar([*members[-3:], *members[:-3]])
    for border in borders(content)[1:]:
        assert "cut off" in refused(snapshot, content[:border])
    for length in (0, 511, 512, 1023):
        assert "it breaks off at byte" in refused(snapshot, content[: len(content) - 1024 + length])
    assert judge(snapshot, content).kind == "collection"


@pytest.mark.parametrize("share", [0.1, 0.3, 0.5, 0.7, 0.9, 0.99])
def test_a_snapshot_that_was_cut_anywhere(snapshot: Path, share: float) -> None:
    members = collection(shards=2)
    content = tar([*members[-3:], *members[:-3]])
    refused(snapshot, content[: int(len(content) * share)])


def test_a_segment_that_was_cut(snapshot: Path) -> None:
    inner = segment()
    for length in (0, 100, 512, 5000, *borders(inner), len(inner) - 1024, len(inner) - 1):
        assert INNER in refused(snapshot, tar(collection(inner=inner[:length])))


def test_a_header_that_was_damaged(snapshot: Path) -> None:
    """Python takes it for the end of the tar, too."""
    members = collection(shards=2)
    content = tar([*members[-3:], *members[:-3]])
    for border in borders(content)[1:]:
        assert f"breaks off at byte {border}" in refused(
            snapshot, content[: border + 5] + b"\xff" + content[border + 6 :]
        )


def test_a_configuration_that_was_cut(snapshot: Path) -> None:
    content = tar([("config.json", as_json({"a": "b" * 2000}))])
    refused(snapshot, content[:1200])


@pytest.mark.parametrize("content", [b"", b"x", bytes(512), bytes(10240), b"\x1f\x8b" + bytes(2000), os.urandom(5000)])
def test_what_is_no_tar_at_all(snapshot: Path, content: bytes) -> None:
    refused(snapshot, content)


def test_what_is_no_file(snapshot: Path, tmp_path: Path) -> None:
    real = tmp_path / "real"
    real.write_bytes(tar(collection()))
    with pytest.raises(LocalError, match="No such file or directory"):
        inspect(snapshot)
    snapshot.symlink_to(real)
    with pytest.raises(LocalError, match="it is a symbolic link, which is not followed"):
        inspect(snapshot)
    with pytest.raises(LocalError, match="it is not a regular file"):
        inspect(tmp_path)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(LocalError, match="it is not a regular file"):
        inspect(tmp_path / "pipe")


def test_only_headers_are_read(snapshot: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    big = tarfile.TarInfo("0/wal/open-1")
    big.size = 4 << 30
    rest = tar(collection())
    with snapshot.open("wb") as file:
        file.write(big.tobuf(tarfile.GNU_FORMAT))
        file.seek(big.size, os.SEEK_CUR)
        file.write(rest)
    read: list[int] = []

    class Counting(io.FileIO):
        def readinto(self, buffer: Any) -> int | None:
            read.append(super().readinto(buffer) or 0)
            return read[-1]

    monkeypatch.setattr(_qdrant_archive, "open_regular", lambda path: io.BufferedReader(Counting(path)))
    assert inspect(snapshot).kind == "collection"
    assert 0 < sum(read) < 1 << 20
