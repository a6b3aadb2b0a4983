from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import shutil
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from qdrant_case import Double, alias, fill, left_on_server, upsert

from ansible_collections.somos.infra.plugins.module_utils import _qdrant_backup
from ansible_collections.somos.infra.plugins.module_utils._qdrant import Client, Http
from ansible_collections.somos.infra.plugins.module_utils._qdrant_archive import inspect
from ansible_collections.somos.infra.plugins.module_utils._qdrant_backup import Backup
from ansible_collections.somos.infra.plugins.module_utils._qdrant_store import SUFFIX, Manifest, Store, read_manifest
from ansible_collections.somos.infra.plugins.modules import qdrant_snapshot, qdrant_snapshot_info


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits for the lock here."""
    monkeypatch.setattr(_qdrant_backup, "_NEXT_SECOND", 0.0)


@pytest.fixture
def snapshot(run_module: Any, qdrant: Double) -> Any:
    def run(*, check: bool = False, key: str = "manage", **options: Any) -> dict[str, Any]:
        return run_module(qdrant_snapshot, check=check, url=qdrant.url, api_key=key, **options)

    return run


@pytest.fixture
def info(run_module: Any, qdrant: Double) -> Any:
    def run(**options: Any) -> dict[str, Any]:
        return run_module(qdrant_snapshot_info, url=qdrant.url, api_key="read", **options)

    return run


@pytest.fixture
def dest(tmp_path: Path) -> Path:
    return tmp_path / "backups" / "qdrant"


def files(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir()) if directory.is_dir() else []


def back_dated(dest: Path, manifest: Manifest, days: int) -> str:
    """A copy of a kept snapshot, as if it had been made that many days ago."""
    made = datetime.now(timezone.utc) - timedelta(days=days)
    name = manifest.snapshot[: -len("YYYY-mm-dd-HH-MM-SS.snapshot")] + made.strftime("%Y-%m-%d-%H-%M-%S.snapshot")
    shutil.copy(dest / manifest.snapshot, dest / name)
    copied = dataclasses.replace(manifest, snapshot=name, created=made.isoformat())
    (dest / f"{name}{SUFFIX}").write_text(copied.dump())
    return name


def test_every_collection_is_fetched_once_while_it_is_fresh(snapshot: Any, qdrant: Double, dest: Path) -> None:
    fill(qdrant)
    options = {"dest": str(dest), "max_age": "1h"}
    checked = snapshot(check=True, **options)
    assert not dest.exists()
    made = snapshot(**options)
    again = [snapshot(check=True, **options), snapshot(**options)]
    assert [each["changed"] for each in (checked, made, *again)] == [True, True, False, False]
    assert [each["collection"] for each in made["snapshots"]] == ["empty", "named", "one", "plain"]
    assert [each["collection"] for each in checked["snapshots"]] == ["empty", "named", "one", "plain"]
    assert left_on_server(qdrant) == []
    names = [each["name"] for each in made["snapshots"]]
    assert files(dest) == sorted([*names, *(name + SUFFIX for name in names)])
    assert made["diff"] == {"before": {"snapshots": []}, "after": {"snapshots": names}}


def test_a_stale_one_is_made_again(snapshot: Any, qdrant: Double, dest: Path) -> None:
    fill(qdrant)
    made = snapshot(dest=str(dest), collection="one")["snapshots"][0]
    manifest = read_manifest(dest / (made["name"] + SUFFIX))
    Store(str(dest)).remove(made["name"])
    (dest / made["name"]).write_bytes(b"x" * made["size"])
    old = back_dated(dest, manifest, days=2)
    (dest / made["name"]).unlink()
    assert snapshot(dest=str(dest), collection="one", max_age="1d")["changed"]
    assert (dest / old).exists()


def test_the_file_is_what_the_server_made_and_the_manifest_says_what_it_is(
    snapshot: Any, qdrant: Double, dest: Path
) -> None:
    fill(qdrant)
    made = snapshot(dest=str(dest), collections=["live"], keep_on_server=True)["snapshots"][0]
    assert made["collection"] == "plain"
    content = qdrant.content("plain", made["name"])
    path = Path(made["path"])
    assert path.read_bytes() == content
    assert made["checksum"] == hashlib.sha256(content).hexdigest()
    assert made["size"] == len(content)
    assert made["verified"]
    assert path.stat().st_mode & 0o777 == 0o600
    assert dest.stat().st_mode & 0o777 == 0o700
    manifest = json.loads((dest / (made["name"] + SUFFIX)).read_text())
    config = qdrant.result("GET", "/collections/plain")["config"]
    assert manifest["collections"] == {"plain": {"points_before": 60, "points_after": 60, "config": config}}
    assert manifest["aliases"] == {"live": "plain"}
    assert manifest["server_version"] == qdrant.ask("GET", "/").body["version"]
    assert manifest["checksum"] == made["checksum"]


def test_without_a_directory_it_stays_on_the_server(snapshot: Any, info: Any, qdrant: Double) -> None:
    fill(qdrant)
    options = {"collections": ["one"], "max_age": "1h"}
    results = [snapshot(check=check, **options) for check in (True, False, True, False)]
    assert [each["changed"] for each in results] == [True, True, False, False]
    made = results[1]["snapshots"][0]
    assert made["path"] is None
    listed = info()["server_snapshots"]
    assert [(each["collection"], each["name"], each["checksum"]) for each in listed] == [
        ("one", made["name"], made["checksum"])
    ]


def test_the_whole_storage_is_one_snapshot(snapshot: Any, info: Any, qdrant: Double, dest: Path) -> None:
    fill(qdrant)
    options = {"storage": True, "dest": str(dest), "max_age": "1h"}
    results = [snapshot(check=check, **options) for check in (True, False, True, False)]
    assert [each["changed"] for each in results] == [True, True, False, False]
    assert results[1]["snapshots"][0]["points"] == {"empty": 0, "named": 5, "one": 1, "plain": 60}
    listed = info(server=False, dest=str(dest), verify=True)["snapshots"]
    assert [(each["kind"], each["state"]) for each in listed] == [("storage", "complete")]
    assert listed[0]["aliases"] == {"live": "plain", "pictures": "named"}
    assert left_on_server(qdrant) == []


def test_pruning_keeps_what_either_rule_keeps_and_always_the_newest(snapshot: Any, qdrant: Double, dest: Path) -> None:
    fill(qdrant)
    made = snapshot(dest=str(dest), collections=["one", "plain"])["snapshots"]
    one, plain = (read_manifest(dest / (each["name"] + SUFFIX)) for each in made)
    old = {days: back_dated(dest, one, days) for days in (1, 3, 5, 9, 30)}
    other = back_dated(dest, plain, 400)
    options = {"dest": str(dest), "collection": "one", "max_age": "1h", "keep_last": 2, "keep_for": "4d"}
    results = [snapshot(check=check, **options) for check in (True, False, True, False)]
    assert [each["changed"] for each in results] == [True, True, False, False]
    assert results[0]["removed"] == results[1]["removed"] == [old[30], old[9], old[5]]
    assert results[0]["diff"] == results[1]["diff"]
    kept = {name for name in files(dest) if name.endswith(".snapshot")}
    assert kept == {made[0]["name"], made[1]["name"], old[1], old[3], other}


def test_pruning_counts_the_one_that_check_mode_did_not_make(snapshot: Any, qdrant: Double, dest: Path) -> None:
    fill(qdrant)
    made = snapshot(dest=str(dest), collection="one")["snapshots"][0]
    old = back_dated(dest, read_manifest(dest / (made["name"] + SUFFIX)), 1)
    Store(str(dest)).remove(made["name"])
    options = {"dest": str(dest), "collection": "one", "keep_last": 1}
    assert snapshot(check=True, **options)["removed"] == [old]
    assert snapshot(**options)["removed"] == [old]


def test_what_the_server_did_not_make_is_not_pruned_from_it(snapshot: Any, qdrant: Double) -> None:
    fill(qdrant)
    made = qdrant.snapshot("one")
    uploaded = qdrant.settings.snapshots_path / "one" / "by-hand.snapshot"
    shutil.copy(uploaded.with_name(made["name"]), uploaded)
    older = uploaded.with_name(made["name"][: -len("YYYY-mm-dd-HH-MM-SS.snapshot")] + "2020-01-01-00-00-00.snapshot")
    shutil.copy(uploaded, older)
    pruned = snapshot(collection="one", max_age="1h", keep_last=1)
    assert uploaded.name not in pruned["removed"]
    assert uploaded.exists()


def test_named_snapshots_are_deleted(snapshot: Any, qdrant: Double, dest: Path) -> None:
    fill(qdrant)
    made = qdrant.snapshot("one")["name"]
    options = {"state": "absent", "collection": "one", "names": [made]}
    results = [snapshot(check=check, **options) for check in (True, False, True, False)]
    assert [each["changed"] for each in results] == [True, True, False, False]
    assert results[0]["diff"] == results[1]["diff"] == {"before": {"snapshots": [made]}, "after": {"snapshots": []}}
    assert left_on_server(qdrant) == []

    fetched = snapshot(dest=str(dest), collection="one")["snapshots"][0]["name"]
    options = {"state": "absent", "dest": str(dest), "names": [fetched]}
    results = [snapshot(check=check, **options) for check in (True, False, True, False)]
    assert [each["changed"] for each in results] == [True, True, False, False]
    assert files(dest) == []


@pytest.mark.parametrize("name", ["../secret.snapshot", "/etc/passwd.snapshot", "x", ".snapshot", "a\n.snapshot"])
def test_a_name_that_is_a_path_is_refused(snapshot: Any, qdrant: Double, dest: Path, name: str) -> None:
    secret = dest.parent / "secret.snapshot"
    dest.mkdir(parents=True)
    secret.write_text("kept")
    for options in ({"dest": str(dest)}, {"storage": True}):
        refused = snapshot(state="absent", names=[name], **options)
        assert refused["failed"]
        assert "is not the name of a snapshot" in refused["msg"]
    assert secret.read_text() == "kept"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"collections": ["nothing"]}, ["no collection nothing", "empty, named, one, plain"]),
        ({"max_age": "soon"}, ["max_age is 'soon'", "36h"]),
        ({"keep_for": "-1d"}, ["keep_for is '-1d'"]),
        ({"keep_last": 0}, ["keep_last is 0"]),
        ({"storage": True, "collections": ["one"]}, ["exclude each other"]),
        ({"state": "absent"}, ["names"]),
        ({"state": "absent", "names": ["a.snapshot"]}, ["name exactly one"]),
        ({"key": "wrong"}, ["401", "Invalid API key", "Check the API key"]),
        ({"key": "read", "storage": True}, ["403", "main API key"]),
        ({"dest": "/proc/nowhere"}, ["/proc/nowhere", "cannot be used"]),
    ],
)
def test_what_cannot_be_done_is_said_in_a_way_that_helps(
    snapshot: Any, qdrant: Double, options: dict[str, Any], words: list[str]
) -> None:
    fill(qdrant)
    refused = snapshot(**options)
    assert refused["failed"]
    assert [word for word in words if word not in refused["msg"]] == []
    assert "wrong" not in refused["msg"]
    assert left_on_server(qdrant) == []


def test_a_server_that_is_away_is_named(run_module: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Http, "repeat", lambda self, once, *, repeatable: once())
    refused = run_module(qdrant_snapshot, url="http://127.0.0.1:1", api_key="manage", timeout=0.1)
    assert refused["failed"]
    assert "http://127.0.0.1:1 cannot be reached" in refused["msg"]


def client(qdrant: Double) -> Client:
    return Client(Http(qdrant.url, "manage", sleep=lambda seconds: None))


class Elsewhere(Client):
    """A server that somebody on another host uses too: between our request and its answer, they make theirs."""

    meanwhile: Any = None

    def download_snapshot(self, collection: Any, snapshot: Any, directory: str) -> Any:
        if self.meanwhile:
            act, self.meanwhile = self.meanwhile, None
            act(snapshot.name)
        return super().download_snapshot(collection, snapshot, directory)


@pytest.mark.parametrize("what", ["replaced", "taken away"])
def test_a_snapshot_that_somebody_else_replaced_in_the_same_second_is_made_again(
    qdrant: Double, dest: Path, what: str
) -> None:
    fill(qdrant)
    shared = Elsewhere(Http(qdrant.url, "manage"))
    backup = Backup(shared, Store(str(dest)), keep_on_server=False)

    def act(name: str) -> None:
        file = qdrant.settings.snapshots_path / "one" / name
        if what == "taken away":
            file.unlink()
        else:
            upsert(qdrant, "one", [{"id": 8, "vector": [0, 1, 0], "payload": {}}])
            file.write_bytes(b"another snapshot".ljust(file.stat().st_size))

    shared.meanwhile = act
    with backup.locked():
        taken = backup.take("one")
    assert taken.path
    assert hashlib.sha256(taken.path.read_bytes()).hexdigest() == taken.manifest.checksum
    assert files(dest) == [taken.snapshot.name, taken.snapshot.name + SUFFIX]


@pytest.mark.parametrize(("same_directory", "same_host"), [(True, True), (True, False), (False, False)])
def test_two_runs_in_the_same_second_lose_and_mix_nothing(
    qdrant: Double, dest: Path, monkeypatch: pytest.MonkeyPatch, same_directory: bool, same_host: bool
) -> None:
    fill(qdrant)
    monkeypatch.setattr(_qdrant_backup, "_NEXT_SECOND", 1.1)
    if not same_host:  # runs on two hosts have no lock in common
        monkeypatch.setattr(_qdrant_backup, "host_lock", lambda url: contextlib.nullcontext())

    def work(number: int) -> list[_qdrant_backup.Taken]:
        directory = dest if same_directory else dest / str(number)
        backup = Backup(Client(Http(qdrant.url, "manage")), Store(str(directory)), keep_on_server=False)
        with backup.locked():
            return [backup.take(each) for each in ("one", "plain")]

    with ThreadPoolExecutor(2) as pool:
        taken = [each for run in pool.map(work, (1, 2)) for each in run]
    paths = {each.path for each in taken if each.path}
    assert len(paths) == 4
    for each in taken:
        assert each.path
        assert read_manifest(each.path.with_name(each.path.name + SUFFIX)) == each.manifest
        assert hashlib.sha256(each.path.read_bytes()).hexdigest() == each.manifest.checksum
        assert inspect(each.path).kind == "collection"
    if same_host:  # of two hosts each may leave one to the other that made it in the same second
        assert left_on_server(qdrant) == []


def test_a_name_that_is_kept_already_is_never_overwritten(
    qdrant: Double, dest: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(qdrant)
    backup = Backup(client(qdrant), Store(str(dest)), keep_on_server=False)
    monkeypatch.setattr(_qdrant_backup, "_NEXT_SECOND", 0.3)
    with backup.locked():
        taken = [backup.take("one") for _ in range(3)]
    names = [each.snapshot.name for each in taken]
    assert len(set(names)) == 3
    for each in taken:
        assert each.path
        assert hashlib.sha256(each.path.read_bytes()).hexdigest() == each.manifest.checksum


def test_a_copy_that_a_killed_run_left_on_the_server_goes_with_the_next_run(
    snapshot: Any, qdrant: Double, dest: Path
) -> None:
    fill(qdrant)
    dest.mkdir(parents=True)
    left = qdrant.snapshot("plain")["name"]
    Store(str(dest)).note_pending("plain", left)
    (dest / ".half.part").write_bytes(b"half")
    made = snapshot(dest=str(dest), collection="one")["snapshots"][0]["name"]
    assert left_on_server(qdrant) == []
    assert files(dest) == [made, made + SUFFIX]


def test_a_copy_that_could_not_be_removed_goes_with_the_next_run(
    snapshot: Any, qdrant: Double, dest: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(qdrant)
    monkeypatch.setattr(Client, "delete_snapshot", lambda *_: (_ for _ in ()).throw(_qdrant_backup.QdrantError("no")))
    assert snapshot(dest=str(dest), collection="one")["failed"]
    assert left_on_server(qdrant) != []
    monkeypatch.undo()
    monkeypatch.setattr(_qdrant_backup, "_NEXT_SECOND", 1.1)
    assert not snapshot(dest=str(dest), collection="one").get("failed")
    assert left_on_server(qdrant) == []
    assert [name for name in files(dest) if name.startswith(".")] == []


def test_info_sees_damage(snapshot: Any, info: Any, qdrant: Double, dest: Path) -> None:
    fill(qdrant)
    made = {each["collection"]: each for each in snapshot(dest=str(dest))["snapshots"]}
    content = bytearray(Path(made["one"]["path"]).read_bytes())
    content[len(content) // 2] ^= 1
    Path(made["one"]["path"]).write_bytes(content)
    Path(made["empty"]["path"]).unlink()
    Path(made["named"]["path"]).write_bytes(b"short")
    (dest / f"evil.snapshot{SUFFIX}").symlink_to("/etc/passwd")
    (dest / f"junk.snapshot{SUFFIX}").write_text("{}")

    def states(**options: Any) -> dict[str, str]:
        listed = info(server=False, dest=str(dest), **options)["snapshots"]
        return {next(iter(each["collections"])): each["state"] for each in listed}

    sizes_only = {"empty": "missing", "named": "damaged", "one": "complete", "plain": "complete"}
    assert states() == sizes_only
    assert states(verify=True) == {**sizes_only, "one": "damaged"}
    assert states(collections=["plain"]) == {"plain": "complete"}


def test_info_lists_both_sides_and_changes_nothing(snapshot: Any, info: Any, qdrant: Double, dest: Path) -> None:
    fill(qdrant)
    alias(qdrant, more="one")
    snapshot(dest=str(dest), collection="one", keep_on_server=True)
    before = left_on_server(qdrant), files(dest)
    shown = info(dest=str(dest))
    assert not shown["changed"]
    assert shown["aliases"] == {"live": "plain", "more": "one", "pictures": "named"}
    assert [each["collection"] for each in shown["server_snapshots"]] == ["one"]
    assert [each["collections"] for each in shown["snapshots"]] == [{"one": 1}]
    assert (left_on_server(qdrant), files(dest)) == before
