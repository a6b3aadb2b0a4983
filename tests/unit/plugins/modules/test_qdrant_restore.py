from __future__ import annotations

import dataclasses
import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from qdrant_case import (
    Double,
    alias,
    aliases,
    collection,
    fill,
    holdings,
    left_on_server,
    settings_in,
    upsert,
    wipe,
)

from ansible_collections.somos.infra.plugins.module_utils import _qdrant_backup
from ansible_collections.somos.infra.plugins.module_utils._qdrant import Client
from ansible_collections.somos.infra.plugins.module_utils._qdrant_sources import FileSource
from ansible_collections.somos.infra.plugins.module_utils._qdrant_store import SUFFIX
from ansible_collections.somos.infra.plugins.modules import qdrant_restore, qdrant_snapshot


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_qdrant_backup, "_NEXT_SECOND", 0.0)


@pytest.fixture
def saved(run_module: Any, qdrant: Double, tmp_path: Path) -> Callable[..., dict[str, Path]]:
    """Fetch snapshots of a filled server; returns the file of each collection (``storage``: of all)."""

    def save(**options: Any) -> dict[str, Path]:
        fill(qdrant)
        made = run_module(qdrant_snapshot, url=qdrant.url, api_key="manage", dest=str(tmp_path / "kept"), **options)
        assert "failed" not in made, made
        return {each["collection"] or "storage": Path(each["path"]) for each in made["snapshots"]}

    return save


@pytest.fixture
def restore(run_module: Any, qdrant: Double, tmp_path: Path) -> Any:
    def run(*, check: bool = False, key: str = "manage", url: str | None = None, **options: Any) -> dict[str, Any]:
        options = {name: str(value) if isinstance(value, Path) else value for name, value in options.items()}
        record = str(tmp_path / "record" / "restored.json")
        return run_module(
            qdrant_restore, check=check, url=url or qdrant.url, api_key=key, **{"record": record, **options}
        )

    return run


@pytest.fixture
def warnings(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the module warns of. On a controller, as here, it would be shown at once and not be in the result."""
    said: list[str] = []
    monkeypatch.setattr(qdrant_restore.AnsibleModule, "warn", lambda _, text: said.append(text))
    return said


def rewrite(file: Path, **values: Any) -> None:
    manifest = file.with_name(file.name + SUFFIX)
    manifest.write_text(json.dumps({**json.loads(manifest.read_text()), **values}))


def test_a_wiped_server_holds_again_all_that_it_held(saved: Any, restore: Any, qdrant: Double) -> None:
    files = saved()
    before = holdings(qdrant)
    assert [len(each["points"]) for each in before["collections"].values()] == [0, 5, 1, 60]
    assert before["collections"]["plain"]["index"] == {"kind": "keyword"}
    wipe(qdrant)
    assert holdings(qdrant)["collections"] == {}
    for file in files.values():
        restored = restore(src=file)
        assert restored["changed"], restored
    assert holdings(qdrant) == before
    assert left_on_server(qdrant) == []


def test_a_whole_storage_is_taken_apart_and_put_back(saved: Any, restore: Any, qdrant: Double) -> None:
    file = saved(storage=True)["storage"]
    before = holdings(qdrant)
    wipe(qdrant)
    results = [restore(src=file, check=check) for check in (True, False, True, False)]
    assert [each["changed"] for each in results] == [True, True, False, False]
    assert results[1]["collections"] == [
        {"collection": "empty", "points": 0, "replaced": None, "aliases": []},
        {"collection": "named", "points": 5, "replaced": None, "aliases": ["pictures"]},
        {"collection": "one", "points": 1, "replaced": None, "aliases": []},
        {"collection": "plain", "points": 60, "replaced": None, "aliases": ["live"]},
    ]
    assert results[3]["unchanged"] == ["empty", "named", "one", "plain"]
    assert holdings(qdrant) == before
    assert left_on_server(qdrant) == []


def test_a_part_of_a_storage_without_its_manifest(
    saved: Any, restore: Any, qdrant: Double, tmp_path: Path, warnings: list[str]
) -> None:
    file = tmp_path / "alone.snapshot"
    shutil.copy(saved(storage=True)["storage"], file)
    wipe(qdrant)
    restored = restore(src=file, collections=["plain"])
    assert restored["changed"], restored
    assert "without a manifest" in " ".join(warnings)
    assert aliases(qdrant) == {"live": "plain"}
    assert list(holdings(qdrant)["collections"]) == ["plain"]
    missing = restore(src=file, collections=["absent"])
    assert "does not hold absent" in missing["msg"]


def test_the_four_calls(saved: Any, restore: Any, qdrant: Double, tmp_path: Path) -> None:
    file = saved()["plain"]
    wipe(qdrant)
    checked = restore(src=file, check=True)
    assert holdings(qdrant)["collections"] == {}
    assert not (tmp_path / "record").exists()
    done = restore(src=file)
    again = [restore(src=file, check=True), restore(src=file)]
    assert [each["changed"] for each in (checked, done, *again)] == [True, True, False, False]
    assert (
        checked["diff"]
        == done["diff"]
        == {
            "before": {"collections": {"plain": "absent"}, "aliases": {}},
            "after": {"collections": {"plain": "60 points"}, "aliases": {"live": "plain"}},
        }
    )
    assert done["collections"] == [{"collection": "plain", "points": 60, "replaced": None, "aliases": ["live"]}]


def test_points_written_since_the_restore_are_not_undone_by_the_next_run(
    saved: Any, restore: Any, qdrant: Double
) -> None:
    file = saved()["plain"]
    wipe(qdrant)
    restore(src=file)
    upsert(qdrant, "plain", [{"id": 1000, "vector": [1, 1, 1], "payload": {}}])
    assert not restore(src=file)["changed"]
    refused = restore(src=file, force=True)
    assert "holds 61 points, which the restore would replace" in refused["msg"]
    assert restore(src=file, force=True, replace=True)["collections"][0]["replaced"] == 61
    assert len(qdrant.points("plain")) == 60


def test_what_is_gone_since_is_restored_again(saved: Any, restore: Any, qdrant: Double) -> None:
    file = saved()["plain"]
    before = holdings(qdrant)
    assert restore(src=file, replace=True)["changed"]
    qdrant.result("DELETE", "/collections/plain")
    assert restore(src=file)["changed"]
    assert holdings(qdrant) == before


def test_another_collection_is_refused_unless_a_copy_is_wanted(saved: Any, restore: Any, qdrant: Double) -> None:
    file = saved()["plain"]
    refused = restore(src=file, collection="one")
    assert "is of collection plain, not of one" in refused["msg"]
    assert restore(src=file, collection="copy", rename=True)["changed"]
    assert collection(qdrant, "copy") == collection(qdrant, "plain")
    assert aliases(qdrant) == {"live": "plain", "pictures": "named"}


def test_an_alias_in_the_way_is_not_followed(saved: Any, restore: Any, qdrant: Double) -> None:
    file = saved()["plain"]
    qdrant.result("DELETE", "/collections/plain")
    alias(qdrant, plain="one")
    refused = restore(src=file)
    assert "plain is an alias of one" in refused["msg"]
    assert len(qdrant.points("one")) == 1


@pytest.mark.parametrize(("policy", "live"), [("missing", "one"), ("all", "plain"), ("none", "one")])
def test_an_alias_that_moved_on_is_moved_back_on_request_only(
    saved: Any, restore: Any, qdrant: Double, warnings: list[str], policy: str, live: str
) -> None:
    file = saved()["plain"]
    alias(qdrant, live="one")
    restored = restore(src=file, replace=True, restore_aliases=policy)
    assert restored["changed"]
    assert aliases(qdrant) == {"live": live, "pictures": "named"}
    assert ("stays with collection one" in " ".join(warnings)) == (policy == "missing")


def test_a_collection_that_took_an_aliass_name_stops_the_restore_before_it_begins(
    saved: Any, restore: Any, qdrant: Double
) -> None:
    file = saved()["plain"]
    wipe(qdrant)
    qdrant.result("PUT", "/collections/live", {"vectors": {"size": 3, "distance": "Dot"}})
    assert "had an alias live, and a collection of that name exists" in restore(src=file)["msg"]
    assert list(holdings(qdrant)["collections"]) == ["live"]


@pytest.mark.parametrize(
    ("version", "fits"), [("1.19.0", True), ("1.18.7", True), ("1.17.1", False), ("1.20.0", False), ("2.0.0", False)]
)
def test_versions_that_do_not_fit_are_refused(
    saved: Any, restore: Any, qdrant: Double, version: str, fits: bool
) -> None:
    assert qdrant.ask("GET", "/").body["version"].startswith("1.19.")
    file = saved()["one"]
    rewrite(file, server_version=version)
    wipe(qdrant)
    checked = restore(src=file, check=True)
    assert ("failed" not in checked) == fits
    if not fits:
        assert f"is of Qdrant {version}, the server is 1.19." in checked["msg"]
        assert restore(src=file, allow_version_mismatch=True)["changed"]


def test_a_collection_made_differently_is_left_alone(saved: Any, restore: Any, qdrant: Double) -> None:
    file = saved()["one"]
    qdrant.result("DELETE", "/collections/one")
    qdrant.result("PUT", "/collections/one", {"vectors": {"size": 5, "distance": "Dot"}})
    for check in (True, False):
        refused = restore(src=file, replace=True, check=check)
        assert "made differently from its snapshot" in refused["msg"]
        assert "5 Dot" in refused["msg"]


@pytest.mark.parametrize("damage", ["one bit", "cut", "empty", "exchanged", "link", "no manifest's"])
def test_a_damaged_snapshot_never_reaches_the_server(
    saved: Any, restore: Any, qdrant: Double, tmp_path: Path, damage: str
) -> None:
    files = saved()
    file = files["plain"]
    content = file.read_bytes()
    if damage == "one bit":
        middle = len(content) // 2
        file.write_bytes(content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :])
    elif damage == "cut":
        file.write_bytes(content[: len(content) // 2])
    elif damage == "empty":
        file.write_bytes(b"")
    elif damage == "exchanged":
        shutil.copy(files["one"], file)
    elif damage == "link":
        file.rename(tmp_path / "elsewhere")
        file.symlink_to(tmp_path / "elsewhere")
    else:
        rewrite(file, snapshot="../../etc/cron.d/x.snapshot")
    before = holdings(qdrant)
    for check in (True, False):
        refused = restore(src=file, replace=True, check=check)
        assert refused["failed"]
        assert file.name in refused["msg"]
    assert holdings(qdrant) == before
    assert left_on_server(qdrant) == []


def test_the_server_fetches_from_another_one(saved: Any, restore: Any, qdrant: Double, tmp_path: Path) -> None:
    fill(qdrant)
    made = qdrant.snapshot("plain")
    new = Double(settings_in(tmp_path / "new"))
    new.start()
    try:
        options = {
            "url": new.url,
            "location": f"{qdrant.url}/collections/plain/snapshots/{made['name']}",
            "location_api_key": "read",
            "collection": "plain",
        }
        assert "checksum is missing" in restore(**options)["msg"]
        wrong = restore(**options, checksum="0" * 64)
        assert "checksum mismatch" in wrong["msg"]
        assert holdings(new)["collections"] == {}
        results = [restore(**options, checksum=made["checksum"], check=check) for check in (True, False, True, False)]
        assert [each["changed"] for each in results] == [True, True, False, False]
        assert collection(new, "plain") == collection(qdrant, "plain")
        assert "read" not in (tmp_path / "record" / "restored.json").read_text()
    finally:
        new.stop()


def test_the_server_takes_what_it_has_itself(saved: Any, restore: Any, qdrant: Double) -> None:
    fill(qdrant)
    made = qdrant.snapshot("plain")
    before = collection(qdrant, "plain")
    qdrant.result("DELETE", "/collections/plain")
    location = f"file://{qdrant.settings.snapshots_path}/plain/{made['name']}"
    assert restore(location=location, checksum=made["checksum"], collection="plain")["changed"]
    assert collection(qdrant, "plain") == before
    assert left_on_server(qdrant) == [made["name"]]


@pytest.mark.parametrize(
    ("location", "words"),
    [
        ("ftp://host/x.snapshot", "not a URL"),
        ("/etc/passwd", "not a URL"),
        ("file:///etc/passwd", "must be inside the snapshots directory"),
        ("file:///nowhere/x.snapshot", "does not exist"),
        ("http://127.0.0.1:1/x.snapshot?token=SECRET", "500"),
    ],
)
def test_a_location_the_server_cannot_read(restore: Any, qdrant: Double, location: str, words: str) -> None:
    fill(qdrant)
    before = holdings(qdrant)
    refused = restore(location=location, checksum="0" * 64, collection="plain", replace=True)
    assert words in refused["msg"]
    assert "SECRET" not in json.dumps({**refused, "invocation": None})
    assert holdings(qdrant) == before
    assert left_on_server(qdrant) == []


def test_a_source_that_has_no_such_snapshot(restore: Any, qdrant: Double) -> None:
    fill(qdrant)
    location = f"{qdrant.url}/collections/plain/snapshots/absent.snapshot"
    refused = restore(location=location, location_api_key="read", checksum="0" * 64, collection="new")
    assert "status - 404" in refused["msg"]
    assert "new" not in holdings(qdrant)["collections"]


def test_a_server_that_may_not_fetch(restore: Any, qdrant: Double, tmp_path: Path) -> None:
    closed = Double(dataclasses.replace(settings_in(tmp_path / "closed"), enable_snapshot_url_recovery=False))
    closed.start()
    try:
        fill(qdrant)
        made = qdrant.snapshot("plain")
        location = f"{qdrant.url}/collections/plain/snapshots/{made['name']}"
        refused = restore(url=closed.url, location=location, checksum=made["checksum"], collection="plain")
        assert "403" in refused["msg"]
        assert "remote URLs is disabled" in refused["msg"]
        assert "Nothing was replaced" in refused["msg"]
    finally:
        closed.stop()


def test_the_read_only_key_restores_nothing(saved: Any, restore: Any, qdrant: Double) -> None:
    file = saved()["plain"]
    wipe(qdrant)
    refused = restore(src=file, key="read")
    assert "403" in refused["msg"]
    assert "main API key" in refused["msg"]
    assert holdings(qdrant)["collections"] == {}
    assert left_on_server(qdrant) == []


def test_without_a_manifest_it_needs_a_name_and_says_what_it_cannot_tell(
    saved: Any, restore: Any, qdrant: Double, warnings: list[str]
) -> None:
    file = saved()["plain"]
    file.with_name(file.name + SUFFIX).unlink()
    wipe(qdrant)
    assert "does not say which collection it is of" in restore(src=file)["msg"]
    restored = restore(src=file, collection="plain", checksum=hashlib.sha256(file.read_bytes()).hexdigest())
    assert restored["changed"]
    assert "without a manifest" in " ".join(warnings)
    assert "checksum says" in restore(src=file, collection="plain", checksum="0" * 64)["msg"]


def test_fewer_points_than_the_manifest_says_is_a_failure_and_what_was_there_is_put_back(
    saved: Any, restore: Any, qdrant: Double
) -> None:
    file = saved()["plain"]
    upsert(qdrant, "plain", [{"id": 1000, "vector": [1, 1, 1], "payload": {}}])
    before = holdings(qdrant)
    manifest = json.loads(file.with_name(file.name + SUFFIX).read_text())
    manifest["collections"]["plain"].update(points_before=61, points_after=62)
    rewrite(file, **manifest)
    failed = restore(src=file, replace=True)
    assert "holds 60 points after its restore; its manifest says 61 to 62" in failed["msg"]
    assert "held before (61 points) was put back" in failed["msg"]
    assert holdings(qdrant) == before
    assert left_on_server(qdrant) == []


def test_a_failure_on_an_empty_server_leaves_it_empty(
    saved: Any, restore: Any, qdrant: Double, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = saved()["empty"]
    wipe(qdrant)
    manifest = json.loads(file.with_name(file.name + SUFFIX).read_text())
    manifest["collections"]["empty"].update(points_before=3, points_after=3)
    rewrite(file, **manifest)
    failed = restore(src=file)
    assert "is absent, as it was before" in failed["msg"]
    assert holdings(qdrant) == {"aliases": {}, "collections": {}}
    assert left_on_server(qdrant) == []


class KilledError(Exception):
    """Stands for SIGKILL: nothing of ours runs after it."""


@pytest.mark.parametrize("moment", ["before the upload", "after the upload", "before the aliases"])
@pytest.mark.parametrize("existed", [False, True])
def test_a_run_that_was_killed_is_taken_up_by_the_next(
    saved: Any, restore: Any, qdrant: Double, monkeypatch: pytest.MonkeyPatch, moment: str, existed: bool
) -> None:
    file = saved()["plain"]
    before = holdings(qdrant)
    if existed:
        upsert(qdrant, "plain", [{"id": 1000, "vector": [1, 1, 1], "payload": {}}])
    else:
        wipe(qdrant)
    upload = FileSource.restore

    def killed(*arguments: Any) -> None:
        if moment == "after the upload":
            upload(*arguments)
        raise KilledError

    monkeypatch.setattr(Client, "delete_snapshot", lambda *_: None)
    if moment == "before the aliases":
        monkeypatch.setattr(Client, "change_aliases", killed)
    else:
        monkeypatch.setattr(FileSource, "restore", killed)
    with pytest.raises(KilledError):
        restore(src=file, replace=existed)
    monkeypatch.undo()
    monkeypatch.setattr(_qdrant_backup, "_NEXT_SECOND", 0.0)

    assert restore(src=file)["changed"]
    assert not restore(src=file)["changed"]
    held = holdings(qdrant)
    assert held["collections"]["plain"] == before["collections"]["plain"]
    assert held["aliases"]["live"] == "plain"
    assert left_on_server(qdrant) == []
