from __future__ import annotations

import hashlib
import io
import tarfile
from pathlib import Path
from typing import Any

import pytest
from config_tree_case import Case, F, Tree, describe, source_files

from ansible_collections.somos.infra.plugins.module_utils._config_tree import Refusal
from ansible_collections.somos.infra.plugins.plugin_utils import _config_tree
from ansible_collections.somos.infra.plugins.plugin_utils._config_tree import digest, matches, pack, read_source
from ansible_collections.somos.infra.plugins.plugin_utils._config_tree_diff import diff, paths

DEFAULTS: dict[str, Any] = {
    "entries": [], "owner": "root", "group": "root", "mode": "0644", "directory_mode": "0755", "directories": [],
    "hashes": {}, "exclude": [], "also": [],
}  # fmt: skip


@pytest.mark.parametrize(
    ("glob", "matching", "others"),
    [
        ("*", ["a", "a.b"], ["a/b"]),
        ("a/*", ["a/b"], ["a", "a/b/c", "xa/b"]),
        ("a/**", ["a/b", "a/b/c"], ["a", "ab/c"]),
        ("**", ["a", "a/b/c"], []),
        ("**/x", ["x", "a/x", "a/b/x"], ["ax", "a/bx"]),
        ("**/*.conf", ["a.conf", "a/b.conf"], ["a.conf/b"]),
        ("a/**/x", ["a/x", "a/b/x"], ["x", "ax"]),
        ("a?c", ["abc"], ["a/c", "ac"]),
        ("[ab]", ["a", "b"], ["c", "ab"]),
        ("[!a]", ["b"], ["a"]),
        ("a.b+(c)", ["a.b+(c)"], ["axb+(c)"]),
    ],
)
def test_globs(glob: str, matching: list[str], others: list[str]) -> None:
    assert [path for path in matching if not matches(path, [glob])] == []
    assert [path for path in others if matches(path, [glob])] == []


def test_the_first_entry_that_matches_counts(tmp_path: Path) -> None:
    for path in ("secrets/a.j2", "secrets/b", "c"):
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).touch()
    entries = [{"path": "secrets/a", "mode": "0400"}, {"path": "**/*", "owner": "999", "group": "998", "secret": True}]
    files = read_source(str(tmp_path), DEFAULTS | {"entries": entries, "exclude": ["c"]})
    assert [(file.path, file.template, file.owner, file.group, file.mode, file.secret) for file in files] == [
        ("secrets/a", True, "root", "root", 0o400, False),
        ("secrets/b", False, "999", "998", 0o644, True),
    ]


def test_an_entry_may_be_for_a_file_that_is_left_out(tmp_path: Path) -> None:
    (tmp_path / "a").touch()
    options = {"entries": [{"path": "a"}], "hashes": {"x": ["a"]}, "exclude": ["**"]}
    assert read_source(str(tmp_path), DEFAULTS | options) == []


def test_files_of_further_sources_are_copied_to_their_place(tmp_path: Path) -> None:
    for path in ("templates/a.j2", "program/main.py", "program/text.j2", "program/sub/part.py", "program/cache.pyc"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).touch()
    also = {"src": str(tmp_path / "program"), "path": "usr/lib/program/", "files": ["**/*.py", "*.j2"]}
    options = {"also": [also], "entries": [{"path": "usr/**/main.py", "mode": "0755"}], "exclude": ["usr/**/part.py"]}
    files = read_source(str(tmp_path / "templates"), DEFAULTS | options)
    assert [(file.path, file.template, file.mode) for file in files] == [
        ("a", True, 0o644), ("usr/lib/program/main.py", False, 0o755), ("usr/lib/program/text.j2", False, 0o644),
    ]  # fmt: skip
    assert {file.source for file in files} < {str(path) for path in tmp_path.rglob("*")}


@pytest.mark.parametrize(
    ("place", "globs", "reason"),
    [
        ("..", ["**"], "is not a relative path"),
        ("lib", ["**/*.py", "*.rb"], "'[*].rb' in files of .*/program matches no file"),
        ("lib", ["a.py"], "both become lib/a.py"),
    ],
)
def test_a_further_source_that_cannot_be_meant_is_refused(
    tmp_path: Path, place: str, globs: list[str], reason: str
) -> None:
    for path in ("templates/lib/a.py.j2", "program/a.py"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).touch()
    also = [{"src": str(tmp_path / "program"), "path": place, "files": globs}]
    with pytest.raises(Refusal, match=reason):
        read_source(str(tmp_path / "templates"), DEFAULTS | {"also": also})


def test_a_digest_tells_contents_owners_and_modes_apart() -> None:
    trees: list[Tree] = [
        {"a": "1"}, {"a": "2"}, {"b": "1"}, {"a": F("1", 0o600)}, {"a": F("1", owner="12345")}, {"a": "1", "b": ""},
        {"a": F("1", secret=True)}, {},
    ]  # fmt: skip
    assert len({digest(source_files(tree)) for tree in trees}) == len(trees)
    assert digest(source_files(trees[0])) == digest(source_files({"a": "1"}))


def test_a_digest_of_a_secret_is_stretched(monkeypatch: pytest.MonkeyPatch) -> None:
    stretched: list[bytes] = []
    scrypt = hashlib.scrypt
    monkeypatch.setattr(
        _config_tree.hashlib, "scrypt", lambda what, **how: stretched.append(what) or scrypt(what, **how)
    )
    digest(source_files({"a": "1"}))
    assert not stretched
    secret = digest(source_files({"a": F("1", secret=True)}))
    assert len(stretched) == 1
    assert secret != stretched[0].hex()


def test_an_archive_is_plain_tar_of_the_chosen_files() -> None:
    archive = io.BytesIO()
    long = "/".join(["deep" * 20] * 4)
    pack(source_files({"a": b"\0\xff", long: "x"}), archive)
    archive.seek(0)
    with tarfile.open(fileobj=archive) as tar:
        content = {member.name: (tar.extractfile(member) or io.BytesIO()).read() for member in tar}
    assert content == {"a": b"\0\xff", long: b"x"}


def pairs(tmp_path: Path, before: Tree, after: Tree, **options: Any) -> dict[str, tuple[Any, Any]]:
    """What `--diff` shows of a change from one tree to another, by path, contents and attributes apart."""
    case = Case(tmp_path)
    case.run(before)
    changes = case.run(after, **options).changes
    files = source_files(after)
    shown = diff(changes, files, describe(files, options.get("directories", [])), "/d")
    assert all(pair["before_header"] == pair["after_header"] for pair in shown)
    return {
        pair["after_header"] + (" attributes" if isinstance(pair["after"], dict) else ""): (
            pair["before"],
            pair["after"],
        )
        for pair in shown
    }


def test_a_diff_shows_contents_and_attributes(tmp_path: Path) -> None:
    before = {"changed": "old\n", "removed/file": "bye\n", "mode": "same\n", "both": F("old\n", 0o600)}
    after = {"changed": "new\n", "created": "hi\n", "mode": F("same\n", 0o640), "both": F("new\n", 0o644)}
    seen = pairs(tmp_path, before, after)
    assert {path: pair for path, pair in seen.items() if "attributes" not in path} == {
        "/d/changed": ("old\n", "new\n"), "/d/created": ("", "hi\n"), "/d/removed/file": ("bye\n", ""),
        "/d/both": ("old\n", "new\n"),
    }  # fmt: skip
    modes = {path: (was.get("mode"), now.get("mode")) for path, (was, now) in seen.items() if "attributes" in path}
    assert modes == {
        "/d/mode attributes": ("0644", "0640"), "/d/both attributes": ("0600", "0644"),
        "/d/removed attributes": (None, None),
    }  # fmt: skip
    assert seen["/d/removed attributes"] == ({"state": "directory"}, {})


def test_a_diff_shows_directories(tmp_path: Path) -> None:
    seen = pairs(tmp_path, {"a/b": "1"}, {"a/b": "1"}, directories=[{"path": "a", "mode": "0700"}, {"path": "c"}])
    assert [(was.get("mode"), now["mode"]) for was, now in seen.values()] == [("0755", "0700"), (None, "0755")]


def test_a_diff_masks_secrets_but_not_their_modes(tmp_path: Path) -> None:
    before = {"changed": F("hush1\n", 0o400, secret=True), "mode": F("hush2\n", 0o400, secret=True)}
    after = {
        "changed": F("hush3\n", 0o400, secret=True), "mode": F("hush2\n", 0o440, secret=True),
        "created": F("hush4\n", 0o400, secret=True),
    }  # fmt: skip
    seen = pairs(tmp_path, before, after)
    assert "hush" not in repr(seen)
    assert seen["/d/changed"] == ("secret, not shown\n", "new content, secret, not shown\n")
    assert seen["/d/created"] == ("", "new content, secret, not shown\n")
    assert seen["/d/mode attributes"][1]["mode"] == "0440"


def test_a_diff_sums_up_what_is_no_text_or_too_long(tmp_path: Path) -> None:
    long = "x" * ((1 << 20) + 1)
    seen = pairs(
        tmp_path, {"binary": b"\0", "latin": b"\xe9", "long": "short"}, {"binary": b"\1\0", "latin": "e", "long": long}
    )
    assert seen["/d/binary"][0].startswith("binary, 1 bytes, sha256 6e340b9cffb37a98")
    assert seen["/d/binary"][1].startswith("binary, 2 bytes, sha256 ")
    assert seen["/d/latin"][0].startswith("binary, 1 bytes, sha256 ")
    assert seen["/d/long"] == ("short", f"large, 1048577 bytes, sha256 {hashlib.sha256(long.encode()).hexdigest()}\n")


def test_paths_of_a_result(tmp_path: Path) -> None:
    case = Case(tmp_path)
    changes = case.run({"a/b": "1"}).changes
    assert (paths(changes, removed=False), paths(changes, removed=True)) == (["./", "a/", "a/b"], [])
    changes = case.run({"c": "1"}).changes
    assert (paths(changes, removed=False), paths(changes, removed=True)) == (["c"], ["a/b", "a/"])
