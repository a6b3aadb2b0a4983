"""Snapshots of one collection: made, listed, downloaded, uploaded, recovered, removed."""

from __future__ import annotations

import hashlib
import io
import json
import re
import subprocess
import tarfile
from pathlib import Path
from typing import Any

import pytest
import qdrant_edge
from running_double import Double

SNAPSHOTS = "/collections/texts/snapshots"


@pytest.fixture
def second(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Says which second it is, for names have the second in them."""

    def second(number: int) -> None:
        monkeypatch.setattr("qdrant_double.snapshots.timestamp", lambda: f"2026-01-02-03-04-{number:02}")

    second(5)
    return second


def archive(content: bytes) -> tarfile.TarFile:
    return tarfile.open(fileobj=io.BytesIO(content), mode="r:")


def alias(double: Double, name: str, collection: str) -> None:
    action = {"create_alias": {"collection_name": collection, "alias_name": name}}
    double.result("POST", "/collections/aliases", {"actions": [action]})


def test_a_snapshot_is_described_as_it_lies_on_disk(filled: Double) -> None:
    made = filled.snapshot("texts")
    peer = filled.server.node.storage.peer
    assert re.fullmatch(rf"texts-{peer}-\d{{4}}(-\d\d){{5}}\.snapshot", made["name"])
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d", made["creation_time"])
    file = filled.settings.snapshots_path / "texts" / made["name"]
    content = file.read_bytes()
    assert made["size"] == len(content)
    assert made["checksum"] == hashlib.sha256(content).hexdigest() == Path(f"{file}.checksum").read_text()
    assert filled.result("GET", SNAPSHOTS) == [made]
    assert filled.content("texts", made["name"]) == content


def test_a_snapshot_has_the_server_s_layout(filled: Double) -> None:
    with archive(filled.content("texts", filled.snapshot("texts")["name"])) as outer:
        names = [re.sub(r"[0-9a-f-]{36}", "UUID", name) for name in outer.getnames()]
        assert names == [
            "0/segments/UUID.tar",
            "0/wal/first-index",
            "0/wal/open-1",
            "0/wal/open-2",
            "0/replica_state.json",
            "0/shard_config.json",
            "version.info",
            "config.json",
            "shard_key_mapping.json",
            "payload_index.json",
        ]
        files = [member for member in outer if "/wal/open" not in member.name]
        content = {member.name: outer.extractfile(member).read() for member in files}
        sparse = [member.name for member in outer if member.sparse is not None]
    assert sparse == ["0/wal/open-1", "0/wal/open-2"]
    assert content["version.info"] == b"0.4.2"
    config = json.loads(content["config.json"])
    assert config["params"]["vectors"] == {"size": 2, "distance": "Dot"}
    assert re.fullmatch(r"[0-9a-f-]{36}", config["uuid"])
    peer = filled.server.node.storage.peer
    state = {"is_local": True, "this_peer_id": peer, "peers": {str(peer): "Active"}}
    assert json.loads(content["0/replica_state.json"]) == state
    assert json.loads(content["0/shard_config.json"]) == {"type": "ReplicaSet"}
    with archive(next(data for name, data in content.items() if "segments" in name)) as segment:
        assert all(name.startswith("snapshot/files/") for name in segment.getnames())
        assert "snapshot/files/segment.json" in segment.getnames()


def test_qdrant_s_own_engine_reads_the_shard_of_a_snapshot(filled: Double, tmp_path: Path) -> None:
    with archive(filled.content("texts", filled.snapshot("texts")["name"])) as outer:
        outer.extractall(tmp_path / "unpacked", filter="data")
    subprocess.run(
        ["tar", "--sparse", "-cf", tmp_path / "shard.tar", "-C", tmp_path / "unpacked" / "0", "."], check=True
    )
    qdrant_edge.EdgeShard.unpack_snapshot(str(tmp_path / "shard.tar"), str(tmp_path / "shard"))
    loaded = qdrant_edge.EdgeShard.load(str(tmp_path / "shard"))
    assert loaded.info().points_count == 2
    loaded.close()


def test_snapshots_of_the_same_second_are_one(filled: Double, second: Any) -> None:
    first, again = filled.snapshot("texts"), filled.snapshot("texts")
    assert first["name"] == again["name"]
    second(6)
    filled.snapshot("texts")
    assert len(filled.result("GET", SNAPSHOTS)) == 2


def test_a_part_of_a_snapshot_can_be_asked_for(filled: Double) -> None:
    path = f"{SNAPSHOTS}/{filled.snapshot('texts')['name']}"
    whole = filled.ask("GET", path)
    assert whole.headers["content-length"] == str(len(whole.content))
    assert whole.headers["accept-ranges"] == "bytes"
    part = filled.ask("GET", path, Range="bytes=1000-")
    assert (part.status, part.content) == (206, whole.content[1000:])
    assert part.headers["content-range"] == f"bytes 1000-{len(whole.content) - 1}/{len(whole.content)}"
    assert part.headers["etag"] == whole.headers["etag"]
    assert filled.ask("GET", path, Range="bytes=0-").status == 200
    assert filled.ask("GET", path, Range="bytes=10-", If_Match='"changed"').status == 412
    assert filled.ask("GET", path, Range="bytes=10-", If_Match=whole.headers["etag"]).status == 206
    assert filled.ask("GET", path, Range="bytes=10-19").content == whole.content[10:20]
    assert filled.ask("GET", path, Range="bytes=-5").content == whole.content[-5:]
    beyond = filled.ask("GET", path, Range=f"bytes={len(whole.content)}-")
    assert (beyond.status, beyond.headers["content-range"]) == (416, f"bytes */{len(whole.content)}")


def test_whoever_takes_compressed_answers_is_told_no_length(filled: Double) -> None:
    path = f"{SNAPSHOTS}/{filled.snapshot('texts')['name']}"
    answer = filled.ask("GET", path, Accept_Encoding="gzip, deflate")
    assert answer.headers["content-encoding"] == "gzip"
    assert "content-length" not in answer.headers


def test_a_removed_snapshot_is_gone(filled: Double) -> None:
    path = f"{SNAPSHOTS}/{filled.snapshot('texts')['name']}"
    assert filled.result("DELETE", path) is True
    assert filled.result("GET", SNAPSHOTS) == []
    assert list((filled.settings.snapshots_path / "texts").iterdir()) == []
    assert filled.ask("DELETE", path).status == 404


def test_an_upload_makes_a_collection_and_stays(filled: Double) -> None:
    content = filled.content("texts", filled.snapshot("texts")["name"])
    checksum = hashlib.sha256(content).hexdigest().upper()
    answer = filled.upload(f"/collections/copy/snapshots/upload?priority=snapshot&checksum={checksum}", content)
    assert (answer.status, answer.body["result"]) == (200, True)
    assert filled.points("copy") == filled.points("texts")
    [listed] = filled.result("GET", "/collections/copy/snapshots")
    assert (listed["name"], listed["size"], "checksum" in listed) == ("given.snapshot", len(content), False)


def test_an_upload_that_is_named_otherwise_is_kept_but_never_listed(filled: Double) -> None:
    content = filled.content("texts", filled.snapshot("texts")["name"])
    filled.upload("/collections/copy/snapshots/upload", content, filename="../../backup.tar")
    assert (filled.settings.snapshots_path / "copy" / "backup.tar").exists()
    assert filled.result("GET", "/collections/copy/snapshots") == []


def test_a_recovery_replaces_what_is_there(filled: Double) -> None:
    before, made = filled.points("texts"), filled.snapshot("texts")
    filled.result("POST", "/collections/texts/points/delete?wait=true", {"points": [1]})
    filled.result("PUT", "/collections/texts/points?wait=true", {"points": [{"id": 3, "vector": [1, 1]}]})
    location = (filled.settings.snapshots_path / "texts" / made["name"]).as_uri()
    assert filled.result("PUT", f"{SNAPSHOTS}/recover", {"location": location, "checksum": made["checksum"]}) is True
    assert filled.points("texts") == before
    filled.result("PUT", "/collections/texts/points?wait=true", {"points": [{"id": 3, "vector": [1, 1]}]})
    assert len(filled.points("texts")) == 3


def test_a_recovery_fetches_from_another_server_with_its_key(filled: Double) -> None:
    made = filled.snapshot("texts")
    source = {"location": f"{filled.url}{SNAPSHOTS}/{made['name']}", "checksum": made["checksum"]}
    refused = filled.ask("PUT", "/collections/copy/snapshots/recover", source)
    assert refused.status == 400
    assert refused.error.endswith("status - 401 Unauthorized")
    filled.result("PUT", "/collections/copy/snapshots/recover", {**source, "api_key": "read"})
    assert filled.points("copy") == filled.points("texts")


def test_snapshots_outlive_their_collection(filled: Double) -> None:
    before, made = filled.points("texts"), filled.snapshot("texts")
    filled.result("DELETE", "/collections/texts")
    assert filled.ask("GET", SNAPSHOTS).status == 404
    location = (filled.settings.snapshots_path / "texts" / made["name"]).as_uri()
    filled.result("PUT", f"{SNAPSHOTS}/recover", {"location": location})
    assert filled.points("texts") == before


def test_an_alias_stands_for_its_collection(filled: Double) -> None:
    alias(filled, "live", "texts")
    made = filled.snapshot("live")
    assert made["name"].startswith("texts-")
    assert filled.result("GET", "/collections/live/snapshots") == [made] == filled.result("GET", SNAPSHOTS)
    content = filled.content("live", made["name"])
    filled.result("POST", "/collections/texts/points/delete?wait=true", {"points": [1, 2]})
    assert filled.upload("/collections/live/snapshots/upload", content).status == 200
    assert len(filled.points("texts")) == 2
    assert filled.result("GET", "/collections") == {"collections": [{"name": "texts"}]}


def test_recovered_data_survives_a_restart(filled: Double) -> None:
    content = filled.content("texts", filled.snapshot("texts")["name"])
    filled.upload("/collections/copy/snapshots/upload", content)
    filled.stop()
    filled.start()
    assert filled.points("copy") == filled.points("texts")


def index(double: Double, field: str) -> None:
    double.result("PUT", "/collections/texts/index?wait=true", {"field_name": field, "field_schema": "keyword"})


def test_indexes_come_with_a_snapshot_into_a_collection_that_was_not_there(filled: Double) -> None:
    index(filled, "text")
    content = filled.content("texts", filled.snapshot("texts")["name"])
    filled.upload("/collections/copy/snapshots/upload", content)
    assert filled.result("GET", "/collections/copy")["payload_schema"] == {
        "text": {"data_type": "keyword", "points": 2}
    }
    with archive(filled.content("copy", filled.snapshot("copy")["name"])) as outer:
        assert json.load(outer.extractfile("payload_index.json")) == {"schema": {"text": "keyword"}}


def test_a_collection_that_is_there_keeps_its_indexes(filled: Double) -> None:
    content = filled.content("texts", filled.snapshot("texts")["name"])
    index(filled, "text")
    filled.upload("/collections/texts/snapshots/upload", content)
    assert list(filled.result("GET", "/collections/texts")["payload_schema"]) == ["text"]


def test_nobody_waits_unless_asked_to(filled: Double) -> None:
    answer = filled.ask("POST", f"{SNAPSHOTS}?wait=false")
    assert (answer.status, answer.body["status"]) == (202, "accepted")
    assert "result" not in answer.body
