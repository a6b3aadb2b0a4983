"""What the client makes of a Qdrant server's answers."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

import pytest
from qdrant_script import (
    ALIASES,
    CLUSTER,
    COLLECTION,
    SNAPSHOT,
    VERSION,
    Connection,
    Handler,
    error,
    ok,
    script,
    text,
)

from ansible_collections.somos.infra.plugins.module_utils._qdrant import (
    Client,
    Collection,
    QdrantError,
    RefusedError,
    Snapshot,
    Version,
    safe_name,
)

NAME = str(SNAPSHOT["name"])
MADE = datetime(2026, 11, 24, 3, 0, 1, tzinfo=timezone.utc)


def root(connection: Connection) -> None:
    connection.json(200, VERSION)


def test_the_version() -> None:
    with script(error(503, "starting"), root) as server:
        assert server.client().version() == Version("1.19.0")
        assert server.pauses == [1], "asked again, as everything that changes nothing"
    with (
        script(text(200, "<html>Welcome to nginx!</html>", "text/html")) as server,
        pytest.raises(QdrantError, match="does not say which version of Qdrant it is"),
    ):
        server.client().version()


@pytest.mark.parametrize(
    ("text", "release"), [("1.19.0", (1, 19, 0)), ("v1.9", (1, 9, 0)), ("1.20.1-dev", (1, 20, 1)), ("2.0.0", (2, 0, 0))]
)
def test_a_version_s_numbers(text: str, release: tuple[int, int, int]) -> None:
    assert Version(text).release == release


@pytest.mark.parametrize("text", ["", "latest", "1", "x1.2"])
def test_what_is_no_version(text: str) -> None:
    with pytest.raises(QdrantError, match="is not a version of Qdrant"):
        Version(text).release  # noqa: B018 - raises


@pytest.mark.parametrize(
    ("server", "source", "restores"),
    [
        ("1.19.0", "1.19.4", True),
        ("1.19.0", "1.18.2", True),
        ("1.19.0", "1.17.9", False),
        ("1.19.0", "1.20.0", False),
        ("2.0.0", "1.20.0", False),
        ("1.10.0", "1.9.7", True),
    ],
)
def test_which_snapshots_a_server_restores(server: str, source: str, restores: bool) -> None:
    assert Version(server).restores(Version(source)) is restores


@pytest.mark.parametrize(
    "answer", [{"status": "disabled"}, {**CLUSTER, "peers": {"3714892": {"uri": "http://10.0.0.1:6335/"}}}]
)
def test_one_server_alone_is_no_cluster(answer: object) -> None:
    with script(ok(answer)) as server:
        server.client().refuse_cluster()
        assert server.asked() == ["GET /cluster"]


def test_a_cluster_is_refused() -> None:
    with script(ok(CLUSTER)) as server, pytest.raises(QdrantError, match="is one of 2 peers of a cluster"):
        server.client().refuse_cluster()


def test_collections_and_aliases() -> None:
    with script(ok({"collections": [{"name": "b"}, {"name": "a"}]}), ok(ALIASES)) as server:
        client = server.client()
        assert (client.collections(), client.aliases()) == (["a", "b"], {"docs": "documents"})
        assert server.asked() == ["GET /collections", "GET /aliases"]


def test_a_collection() -> None:
    broken = {**COLLECTION, "status": "red", "optimizer_status": {"error": "No space left on device"}}
    absent = error(404, "Not found: Collection `documents` doesn't exist!")
    with script(ok(COLLECTION), ok(broken), absent, error(500, "Service internal error: shard")) as server:
        client = server.client()
        assert client.collection("documents") == Collection("documents", "green", COLLECTION["config"])
        found = client.collection("documents")
        assert found and (found.status, found.reason) == ("red", "No space left on device")
        assert client.collection("documents") is None
        with pytest.raises(RefusedError, match="Reading collection documents failed"):
            client.collection("documents")


def test_points_are_counted_exactly() -> None:
    with script(ok({"count": 41873}), ok({"count": "many"})) as server:
        assert server.client().count("documents") == 41873
        with pytest.raises(QdrantError, match="does not answer as Qdrant does"):
            server.client().count("documents")
        assert server.asked()[0] == "POST /collections/documents/points/count"
        assert server.requests[0].body == b'{"exact": true}'


@pytest.mark.parametrize(
    ("collection", "path"),
    [
        (None, "/snapshots"),
        ("documents", "/collections/documents/snapshots"),
        ("a/b?c#d é", "/collections/a%2Fb%3Fc%23d%20%C3%A9/snapshots"),
        ("...", "/collections/.../snapshots"),
    ],
)
def test_a_name_is_one_part_of_a_path(collection: str | None, path: str) -> None:
    with script(ok([])) as server:
        assert server.client().snapshots(collection) == []
        assert server.asked() == [f"GET {path}"]


@pytest.mark.parametrize("name", ["", ".", "..", "\ud800"])
def test_a_name_that_would_be_another_path_is_refused(name: str) -> None:
    with script(ok(True)) as server:
        client = server.client()
        for call in (client.snapshots, client.collection, client.count, client.delete_collection):
            with pytest.raises(QdrantError, match="is not a name"):
                call(name)
        assert server.requests == []


def described(name: str, **more: object) -> dict[str, object]:
    return {"name": name, "size": 1, **more}


def test_snapshots_oldest_first() -> None:
    answer = [
        SNAPSHOT,
        # Kept in S3: no checksum, names of other levels, fractions of a second.
        described("documents-1-2026-11-23-03-00-00.snapshot", creation_time="2026-11-23T03:00:00.500"),
        described("shards/0/documents-shard-0-2026-11-23-03-00-00.snapshot"),
        # A file system without the time of birth, an upload.
        described("documents-1-2026-11-22-03-00-00.snapshot", creation_time=None),
        described("upload.snapshot", creation_time="odd"),
    ]
    with script(ok(answer)) as server:
        found = server.client().snapshots("documents")
    assert [(each.name[:24], each.created) for each in found] == [
        ("upload.snapshot", None),
        ("documents-1-2026-11-22-0", datetime(2026, 11, 22, 3, tzinfo=timezone.utc)),
        ("documents-1-2026-11-23-0", datetime(2026, 11, 23, 3, microsecond=500000, tzinfo=timezone.utc)),
        ("documents-3714892-2026-1", MADE),
    ]
    assert found[-1] == Snapshot(NAME, 35185664, MADE, str(SNAPSHOT["checksum"]))
    assert found[0].checksum is None


@pytest.mark.parametrize(
    "name",
    [
        "../a.snapshot",
        "/a.snapshot",
        "a\\b.snapshot",
        "a.tar",
        ".snapshot",
        "a\n.snapshot",
        "a\0.snapshot",
        "a\x7f.snapshot",
        "a\ud800.snapshot",
        f"{'a' * 250}.snapshot",
        f"{'é' * 125}.snapshot",
    ],
)
def test_a_name_that_is_no_snapshot_s_is_refused(name: str) -> None:
    with pytest.raises(QdrantError, match="is not the name of a snapshot: refused"):
        safe_name(name)


def test_a_name_that_is() -> None:
    for name in (NAME, "a b.snapshot", "é.snapshot", "..snapshot", f"{'a' * 246}.snapshot"):
        assert safe_name(name) == name


def test_a_hostile_server_s_name_never_becomes_a_file() -> None:
    with (
        script(ok(described("..\\..\\etc\\cron.d\\x.snapshot"))) as server,
        pytest.raises(QdrantError, match="refused, as it would become the name of a file"),
    ):
        server.client().create_snapshot("documents")


def test_times_in_other_zones_are_told_in_utc() -> None:
    snapshot = Snapshot.parse(described("a.snapshot", creation_time="2026-11-24T00:00:01-03:00"))
    assert snapshot.created == MADE and str(snapshot.created).endswith("+00:00")
    assert Snapshot.parse(described("a.snapshot", creation_time="2026-11-24T03:00:01Z")).created == MADE
    assert Snapshot.parse(described("a-2026-11-24-03-00-01.snapshot")).created == MADE
    assert Snapshot.parse(described("a-2026-13-24-03-00-01.snapshot")).created is None


def test_a_snapshot_is_made_once_and_waited_for() -> None:
    with script(ok(SNAPSHOT)) as server:
        assert server.client().create_snapshot("documents").name == NAME
        assert server.client().create_snapshot(None).size == 35185664
        assert server.asked() == ["POST /collections/documents/snapshots?wait=true", "POST /snapshots?wait=true"]


def test_a_snapshot_that_is_deleted_already() -> None:
    gone = error(404, f"Not found: Snapshot {NAME}")
    with script(ok(True), gone, error(403, "Forbidden: Global manage access is required")) as server:
        client = server.client()
        assert client.delete_snapshot("documents", NAME)
        assert not client.delete_snapshot(None, NAME)
        with pytest.raises(RefusedError, match=f"Deleting snapshot {NAME} of collection documents failed: .*main API"):
            client.delete_snapshot("documents", NAME)
        assert server.asked()[:2] == [
            f"DELETE /collections/documents/snapshots/{NAME}?wait=true",
            f"DELETE /snapshots/{NAME}?wait=true",
        ]


def test_collections_are_made_and_deleted() -> None:
    with script(ok(True)) as server:
        server.client().create_collection("documents", {"vectors": {"size": 1, "distance": "Dot"}})
        server.client().delete_collection("documents")
        assert server.asked() == ["PUT /collections/documents", "DELETE /collections/documents"]
        assert server.requests[0].body == b'{"vectors": {"size": 1, "distance": "Dot"}}'


def test_aliases_change_in_one_batch() -> None:
    with script(ok(True)) as server:
        client = server.client()
        client.change_aliases({})
        assert server.requests == []
        client.change_aliases({"docs": "documents"}, delete=["old"])
        (request,) = server.requests
    assert (request.method, request.path) == ("POST", "/collections/aliases")
    assert request.body == (
        b'{"actions": [{"delete_alias": {"alias_name": "old"}}, '
        b'{"create_alias": {"alias_name": "docs", "collection_name": "documents"}}]}'
    )


def test_a_recovery_says_all_that_is_known_and_nothing_else() -> None:
    with script(ok(True)) as server:
        client = server.client()
        client.recover_snapshot("documents", "https://old/x.snapshot", "ab" * 32, "their-key")
        client.recover_snapshot("documents", "file:///qdrant/snapshots/x.snapshot", None, None)
        assert server.asked() == ["PUT /collections/documents/snapshots/recover?wait=true"] * 2
        first, second = (request.body for request in server.requests)
    assert b'"location": "https://old/x.snapshot", "priority": "snapshot", "checksum": "abab' in first
    assert b'"api_key": "their-key"' in first
    assert second == b'{"location": "file:///qdrant/snapshots/x.snapshot", "priority": "snapshot"}'


def refused(handler: Handler) -> pytest.ExceptionInfo[RefusedError]:
    with script(handler) as server, pytest.raises(RefusedError) as caught:
        server.client().recover_snapshot("documents", "https://old/x.snapshot?signature=s3cret", "ab" * 32, "k3y")
    assert len(server.requests) == 1
    return caught


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (400, "Wrong input: Snapshot checksum mismatch: expected abab, got cdcd"),
        (400, "Wrong input: Failed to download tar from URL: status - 404 Not Found"),
        (403, 'Forbidden: Snapshot file path must be inside the snapshots directory "/qdrant/snapshots"'),
        (500, "Service internal error: File IO error: Malformed tar archive, reached unknown entry"),
        (507, "Insufficient storage: quota"),
    ],
)
def test_a_recovery_that_fails_is_told_in_the_server_s_words(status: int, words: str) -> None:
    message = str(refused(error(status, words)).value)
    assert message.startswith("Restoring collection documents failed: ") and f"{status}: {words}." in message
    assert "s3cret" not in message and "k3y" not in message


@pytest.mark.parametrize("result", [None, True, {}, [], [{}], {"collections": [{}]}, {"aliases": 3}, {"name": 5}])
def test_every_answer_of_another_shape_is_told_as_such(result: Any) -> None:
    def each(client: Client) -> list[Any]:
        return [
            client.collections,
            client.aliases,
            client.refuse_cluster,
            lambda: client.collection("a"),
            lambda: client.count("a"),
            lambda: client.create_snapshot("a"),
            *([] if result in ([], {}) else [lambda: client.snapshots("a")]),
        ]

    with script(ok(result)) as server:
        for call in each(server.client()):
            with pytest.raises(QdrantError, match=r"does not answer as Qdrant does|is not the name of a snapshot"):
                call()
