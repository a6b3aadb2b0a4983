from __future__ import annotations

from typing import Any

import pytest
from qdrant_case import Double, alias, aliases

from ansible_collections.somos.infra.plugins.modules import qdrant_alias


@pytest.fixture
def name(run_module: Any, qdrant: Double) -> Any:
    """Run the module; ``documents="docs_2"`` is an alias that should be, ``documents=None`` one that should not."""

    def run(*, check: bool = False, exclusive: bool = False, **wanted: str | None) -> dict[str, Any]:
        entries = [
            {"name": alias, "collection": of} if of else {"name": alias, "state": "absent"}
            for alias, of in wanted.items()
        ]
        return run_module(
            qdrant_alias, check=check, url=qdrant.url, api_key="manage", aliases=entries, exclusive=exclusive
        )

    return run


@pytest.fixture(autouse=True)
def collections(qdrant: Double) -> None:
    for collection in ("docs_1", "docs_2"):
        qdrant.result("PUT", f"/collections/{collection}", {"vectors": {"size": 2, "distance": "Dot"}})


def test_an_alias_is_made_once(name: Any, qdrant: Double) -> None:
    checked = name(documents="docs_1", check=True)
    assert aliases(qdrant) == {}
    made = name(documents="docs_1")
    assert aliases(qdrant) == {"documents": "docs_1"}
    again = [name(documents="docs_1", check=True), name(documents="docs_1")]
    assert [each["changed"] for each in (checked, made, *again)] == [True, True, False, False]
    assert checked["diff"] == made["diff"] == {"before": {"aliases": {}}, "after": {"aliases": {"documents": "docs_1"}}}
    assert made["aliases"] == {"documents": "docs_1"}


def test_an_alias_moves_and_another_goes_in_one_batch(name: Any, qdrant: Double) -> None:
    alias(qdrant, documents="docs_1", old="docs_1", kept="docs_2")
    assert name(documents="docs_2", old=None)["changed"]
    assert aliases(qdrant) == {"documents": "docs_2", "kept": "docs_2"}


def test_an_alias_that_should_be_absent_and_is_changes_nothing(name: Any) -> None:
    assert not name(documents=None)["changed"]


def test_exclusive_removes_what_is_not_listed(name: Any, qdrant: Double) -> None:
    alias(qdrant, documents="docs_1", stray="docs_2")
    assert name(documents="docs_1", exclusive=True)["changed"]
    assert aliases(qdrant) == {"documents": "docs_1"}


@pytest.mark.parametrize(
    ("wanted", "words"),
    [
        ({"good": "docs_1", "documents": "docs_9"}, ["documents", "docs_9", "docs_1, docs_2", "No alias was changed"]),
        ({"good": "docs_1", "docs_2": "docs_1"}, ["docs_2 cannot be an alias", "No alias was changed"]),
        ({"good": "documents"}, ["good", "collection documents"]),
    ],
)
def test_what_the_server_would_refuse_half_way_is_refused_before(
    name: Any, qdrant: Double, wanted: dict[str, str], words: list[str]
) -> None:
    alias(qdrant, documents="docs_1")
    for check in (True, False):
        refused = name(check=check, **wanted)
        assert refused["failed"]
        assert [word for word in words if word not in refused["msg"]] == []
    assert aliases(qdrant) == {"documents": "docs_1"}


def test_an_alias_listed_twice_is_refused(run_module: Any, qdrant: Double) -> None:
    entries = [{"name": "documents", "collection": of} for of in ("docs_1", "docs_2")]
    refused = run_module(qdrant_alias, url=qdrant.url, api_key="manage", aliases=entries)
    assert refused["failed"]
    assert "documents more than once" in refused["msg"]


def test_the_read_only_key_is_refused_in_the_servers_words(run_module: Any, qdrant: Double) -> None:
    entries = [{"name": "documents", "collection": "docs_1"}]
    refused = run_module(qdrant_alias, url=qdrant.url, api_key="read", aliases=entries)
    assert refused["failed"]
    for word in ("403", "Global manage access is required", "main API key"):
        assert word in refused["msg"]


def test_the_server_and_its_key_may_come_from_the_environment(
    run_module: Any, qdrant: Double, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("QDRANT_URL", qdrant.url)
    monkeypatch.setenv("QDRANT_API_KEY", "manage")
    assert run_module(qdrant_alias, aliases=[{"name": "documents", "collection": "docs_1"}])["changed"]
    assert aliases(qdrant) == {"documents": "docs_1"}
