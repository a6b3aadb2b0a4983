"""From files and manifests to what should be restored."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from qdrant_tars import CONFIG, collection, storage, tar

from ansible_collections.somos.infra.plugins.module_utils._qdrant import LocalError, QdrantError
from ansible_collections.somos.infra.plugins.module_utils._qdrant_plan import Wanted
from ansible_collections.somos.infra.plugins.module_utils._qdrant_sources import (
    FileSource,
    LocationSource,
    from_file,
    from_location,
)
from ansible_collections.somos.infra.plugins.module_utils._qdrant_store import SUFFIX, Contents, Manifest

NAME = "documents-3714892-2026-11-24-03-00-01.snapshot"
ONE = tar(collection())
OTHER = tar(collection(shards=2))
POINTS = Contents(3, 5, {"params": {"from": "the manifest"}})
LOCATION = "https://old.example.com:6333/collections/documents/snapshots/x.snapshot?signature=s3cret"


def manifest(content: bytes = ONE, **changes: Any) -> Manifest:
    values: dict[str, Any] = {
        "kind": "collection",
        "snapshot": NAME,
        "size": len(content),
        "checksum": hashlib.sha256(content).hexdigest(),
        "created": "2026-11-24T03:00:01+00:00",
        "server_version": "1.19.0",
        "collections": {"documents": POINTS},
        "aliases": {"docs": "documents"},
    }
    return Manifest(**{**values, **changes})


@pytest.fixture
def path(tmp_path: Path) -> Path:
    (tmp_path / NAME).write_bytes(ONE)
    return tmp_path / NAME


def beside(path: Path, what: Manifest) -> None:
    path.with_name(path.name + SUFFIX).write_text(what.dump())


def content_of(wanted: Wanted) -> bytes:
    source = wanted.source
    assert isinstance(source, FileSource)
    with source.opened() as file:
        content = file.read()
    assert (len(content), hashlib.sha256(content).hexdigest()) == (source.size, source.checksum)
    return content


def test_a_snapshot_and_the_manifest_beside_it(path: Path) -> None:
    beside(path, manifest())
    (wanted,) = from_file(path)
    assert (wanted.collection, wanted.contents, wanted.server_version) == ("documents", POINTS, "1.19.0")
    assert wanted.aliases == {"docs": "documents"}
    assert wanted.config == CONFIG, "what the server will compare is what is in the snapshot"
    assert content_of(wanted) == ONE


def test_a_manifest_elsewhere_goes_before_the_one_beside(path: Path, tmp_path: Path) -> None:
    path.with_name(path.name + SUFFIX).write_text("junk")
    (tmp_path / "other.json").write_text(manifest(server_version="1.18.0").dump())
    (wanted,) = from_file(path, manifest_path=tmp_path / "other.json")
    assert wanted.server_version == "1.18.0"


def test_a_snapshot_alone(path: Path) -> None:
    (wanted,) = from_file(path, collections=["documents"])
    assert (wanted.contents, wanted.aliases, wanted.server_version, wanted.config) == (None, {}, None, CONFIG)
    with pytest.raises(QdrantError, match="has no manifest, and alone it does not say which collection"):
        from_file(path)


def test_a_copy_under_another_name_has_to_be_meant_and_gets_no_aliases(path: Path) -> None:
    beside(path, manifest())
    with pytest.raises(QdrantError, match=r"is of collection documents, not of copy. Set rename to true"):
        from_file(path, collections=["copy"])
    (wanted,) = from_file(path, collections=["copy"], rename=True)
    assert (wanted.collection, wanted.aliases, wanted.contents) == ("copy", {}, POINTS)
    (wanted,) = from_file(path, collections=["documents"], rename=True)
    assert wanted.aliases == {"docs": "documents"}


@pytest.mark.parametrize("collections", [[], ["a", "b"]])
def test_a_collection_s_snapshot_is_for_one(path: Path, collections: list[str]) -> None:
    with pytest.raises(QdrantError, match=f"names {len(collections)} collections; the snapshot .* holds one"):
        from_file(path, collections=collections)


def test_an_exchanged_snapshot_is_refused(path: Path) -> None:
    beside(path, manifest(OTHER))
    with pytest.raises(QdrantError, match=f"SHA-256 is {manifest().checksum}, its manifest .*{SUFFIX} says"):
        from_file(path)


def test_a_checksum_is_compared_whatever_its_letters(path: Path) -> None:
    checksum = manifest().checksum
    assert from_file(path, collections=["a"], checksum=checksum.upper())
    with pytest.raises(QdrantError, match="checksum says abab"):
        from_file(path, collections=["a"], checksum="ab" * 32)


def test_a_manifest_of_another_kind_is_refused(path: Path) -> None:
    beside(path, manifest(kind="storage"))
    with pytest.raises(QdrantError, match="is one of a collection, its manifest is of a storage"):
        from_file(path)


def test_hostile_manifests_are_refused(path: Path) -> None:
    at = path.with_name(path.name + SUFFIX)
    at.write_text(json.dumps({**json.loads(manifest().dump()), "snapshot": "../../etc/x.snapshot"}))
    with pytest.raises(QdrantError, match="is not the name of a snapshot"):
        from_file(path)
    at.unlink()
    at.symlink_to("/etc/passwd")
    with pytest.raises(LocalError, match="symbolic link"):
        from_file(path)
    at.unlink()
    at.symlink_to("/nowhere")
    with pytest.raises(LocalError, match="symbolic link"):
        from_file(path, collections=["documents"])


def test_a_link_and_a_missing_file_are_no_snapshots(path: Path, tmp_path: Path) -> None:
    (tmp_path / "link.snapshot").symlink_to(path)
    with pytest.raises(LocalError, match="symbolic link"):
        from_file(tmp_path / "link.snapshot", collections=["a"])
    with pytest.raises(LocalError, match="No such file"):
        from_file(tmp_path / "gone.snapshot", collections=["a"])


def test_a_file_that_vanishes_before_it_is_sent(path: Path) -> None:
    (wanted,) = from_file(path, collections=["documents"])
    path.unlink()
    client: Any = None
    with pytest.raises(LocalError, match="The snapshot cannot be read: No such file"):
        wanted.source.restore(client, "documents", "x.snapshot")


# The whole storage.


@pytest.fixture
def whole(tmp_path: Path) -> Path:
    path = tmp_path / "full-snapshot-2026-11-24-03-00-01.snapshot"
    path.write_bytes(storage({"documents": ONE, "notes": OTHER}, aliases={"docs": "documents", "n": "notes"}))
    return path


def of_storage(path: Path, **changes: Any) -> Manifest:
    both = {"documents": POINTS, "notes": Contents(0, 0)}
    values = {"kind": "storage", "snapshot": path.name, "collections": both, "aliases": {}}
    return manifest(path.read_bytes(), **{**values, **changes})


def test_a_storage_is_taken_apart(whole: Path) -> None:
    beside(whole, of_storage(whole))
    documents, notes = from_file(whole)
    assert (documents.collection, notes.collection) == ("documents", "notes")
    assert (content_of(documents), content_of(notes)) == (ONE, OTHER)
    assert (documents.contents, notes.contents) == (POINTS, Contents(0, 0))
    assert (documents.aliases, notes.aliases) == ({"docs": "documents"}, {"n": "notes"}), "as the server wrote them"
    assert documents.server_version == "1.19.0" and documents.config == CONFIG


def test_a_storage_alone_says_enough(whole: Path) -> None:
    documents, _ = from_file(whole)
    assert (documents.contents, documents.server_version) == (None, None)
    assert documents.aliases == {"docs": "documents"}


def test_some_of_a_storage(whole: Path) -> None:
    assert [wanted.collection for wanted in from_file(whole, collections=["notes", "notes"])] == ["notes"]
    with pytest.raises(QdrantError, match=r"does not hold gone. It holds documents, notes"):
        from_file(whole, collections=["notes", "gone"])


def test_a_collection_that_came_after_the_manifest_is_restored_too(whole: Path) -> None:
    beside(whole, of_storage(whole, collections={"documents": POINTS}))
    documents, notes = from_file(whole)
    assert (documents.contents, notes.contents, notes.server_version) == (POINTS, None, "1.19.0")


def test_a_collection_that_the_manifest_promises_has_to_be_there(whole: Path) -> None:
    more = {"documents": POINTS, "more": Contents(1, 1)}
    beside(whole, of_storage(whole, collections=more))
    with pytest.raises(QdrantError, match="does not hold more, which its manifest says it does"):
        from_file(whole, collections=["documents"])


def test_a_damaged_member_is_found_before_anything_is_restored(whole: Path) -> None:
    whole.write_bytes(storage({"documents": ONE, "notes": OTHER[: len(OTHER) // 2]}))
    with pytest.raises(QdrantError, match=r"notes-3714892-2026-11-24-03-00-01\.snapshot: .* is damaged"):
        from_file(whole)
    assert len(from_file(whole, collections=["documents"])) == 1, "what is whole can be had"


# From a URL.


def test_the_server_fetches_by_itself(tmp_path: Path) -> None:
    checksum = "AB" * 32
    (wanted,) = from_location(LOCATION, checksum=checksum, api_key="k3y", collections=["documents"])
    assert wanted.source == LocationSource(LOCATION, checksum.lower(), "k3y")
    assert (wanted.contents, wanted.config) == (None, {})
    (tmp_path / "m.json").write_text(manifest().dump())
    (wanted,) = from_location("file:///qdrant/snapshots/x.snapshot", manifest_path=tmp_path / "m.json")
    assert (wanted.collection, wanted.contents, wanted.config) == ("documents", POINTS, POINTS.config)
    assert wanted.source.checksum == manifest().checksum and wanted.aliases == {"docs": "documents"}


@pytest.mark.parametrize(
    ("location", "given", "message"),
    [
        ("ftp://host/x", {}, "location is not a URL"),
        ("/var/x.snapshot", {}, "location is not a URL"),
        ("https://old.example.com", {}, "location is not a URL"),
        ("https://[::1/x?signature=s3cret", {}, "location is not a URL"),
        (LOCATION, {"checksum": None}, "checksum is missing"),
        (LOCATION, {"collections": None}, "x.snapshot from old.example.com has no manifest"),
        (LOCATION, {"collections": []}, "names 0 collections"),
        ("file:///x.snapshot", {"collections": ["a", "b"]}, "x.snapshot from the server itself holds one"),
    ],
)
def test_locations_that_will_not_do(location: str, given: dict[str, Any], message: str) -> None:
    with pytest.raises(QdrantError) as caught:
        from_location(location, **{"checksum": "ab" * 32, "collections": ["documents"], **given})
    assert message in str(caught.value) and "s3cret" not in str(caught.value)


def test_a_location_and_a_manifest_that_do_not_fit(tmp_path: Path, whole: Path) -> None:
    at = tmp_path / "m.json"
    at.write_text(manifest().dump())
    with pytest.raises(QdrantError, match=r"checksum is abab.*, but the manifest .* says"):
        from_location(LOCATION, manifest_path=at, checksum="ab" * 32)
    at.write_text(of_storage(whole).dump())
    with pytest.raises(QdrantError, match="of a whole storage, which a server restores at its start only"):
        from_location(LOCATION, manifest_path=at)
