# Copyright (c) 2026, Somos Infra maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What role backup makes of what the other roles declare, what is wrong with its variables, and what became of a run.

Never a secret's value.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import combinations
from pathlib import PurePosixPath
from typing import Any

# Below this a passphrase can be guessed by who has the repository (characters).
SHORTEST_PASSPHRASE = 20
# Which kinds are kept by age, in repositories of restic. The others are kept by pgBackRest, or for ever.
KEPT_BY_AGE = ("pg_dump", "redis", "qdrant", "files")
SOURCES = {
    "nfs": (r"[^\s:]+:/\S*", "HOST:/PATH"),
    "nfs4": (r"[^\s:]+:/\S*", "HOST:/PATH"),
    "cifs": (r"//[^\s/]+/\S+", "//HOST/SHARE"),
    "sshfs": (r"[^\s@:]+@[^\s:]+:/\S*", "USER@HOST:/PATH"),
    "bind": (r"/\S+", "/PATH"),
}
NAS_NEEDS = {
    "cifs": ("backup_nas_username", "backup_nas_password"),
    "sshfs": ("backup_nas_private_key", "backup_nas_known_hosts"),
}
_NAME = re.compile(r"[a-z][a-z0-9-]*")
_ONE_LINE = re.compile(r"\S([^\n\r]*\S)?")


def jobs(
    declared: Iterable[Mapping[str, Any]],
    keep_days: Mapping[str, int],
    password_file: str,
    destinations: Mapping[str, Mapping[str, Any]],
) -> list[dict[str, Any]]:
    """The jobs as the program is told them: with their age, or with where they are copied to and what encrypts them."""
    return [
        dict(job)
        | ({"keep_days": int(keep_days[job["name"]])} if job["kind"] in KEPT_BY_AGE else {})
        | ({"password_file": password_file, "destinations": destinations} if job["kind"] == "bucket" else {})
        for job in declared
    ]


def problems(given: Mapping[str, Any], known_jobs: Sequence[str], missing_checksums: Sequence[str]) -> list[str]:
    """Sentences that name a variable, what is wrong with it and what to do; none when all is well.

    `given` are the role's variables by name; `known_jobs` the jobs that another host may have; `missing_checksums` the
    variables that have none for this server's architecture.
    """
    return [
        *_passphrases(given),
        *_offsite(given),
        *_nas(given),
        *_jobs(given, known_jobs),
        *_directories(given),
        *(f"{name} has nothing for this server's architecture. Put the sha256 there." for name in missing_checksums),
    ]


def report(state: Mapping[str, Any], since: float) -> list[dict[str, Any]]:
    """What became of each job at each destination since a moment (Unix time): `well`, and a `line` for people."""
    return [
        {"well": bool(entry.get("ok")), "line": f"{job} → {destination}: {_became(entry)}"}
        for job, destinations in sorted(state.get("runs", {}).items())
        for destination, entry in sorted(destinations.items())
        if entry.get("last_run", 0) >= since
    ]


def _became(entry: Mapping[str, Any]) -> str:
    took = f"{entry.get('duration', 0):.1f} s"
    if not entry.get("ok"):
        return f"FAILED after {took}: {entry.get('error')}"
    return f"{_size(entry.get('content') or 0)}, {_size(entry.get('size') or 0)} of them new, in {took}"


def _size(number: float) -> str:
    for unit in ("B", "KiB", "MiB"):
        if number < 1024:
            return f"{number:.0f} {unit}" if unit == "B" else f"{number:.1f} {unit}"
        number /= 1024
    return f"{number:.1f} GiB"


def _copies(given: Mapping[str, Any]) -> bool:
    return any(job.get("kind") == "bucket" for job in given["backup_declarations"])


def _passphrases(given: Mapping[str, Any]) -> Iterator[str]:
    needed = {
        "backup_local_passphrase": True,
        "backup_s3_passphrase": bool(given["backup_s3_endpoint"]),
        "backup_media_passphrase": _copies(given),
    }
    for name, is_needed in needed.items():
        value = given[name]
        if is_needed and not value:
            yield (
                f"{name} is empty. Generate one, for instance with `openssl rand -hex 32`, put it in the vault, and "
                "keep a copy off this server: without it nobody can read the backups."
            )
        elif value and (len(value) < SHORTEST_PASSPHRASE or not _ONE_LINE.fullmatch(value)):
            yield (
                f"{name} has {len(value)} characters; it has to be one line of {SHORTEST_PASSPHRASE} or more that "
                "neither begins nor ends with a space."
            )
    for first, second in combinations(needed, 2):
        if given[first] and given[first] == given[second]:
            yield f"{second} is the same as {first}. One leak must open one door: generate another."


def _offsite(given: Mapping[str, Any]) -> Iterator[str]:
    endpoint = given["backup_s3_endpoint"]
    if not endpoint:
        return
    if not re.fullmatch(r"[^/:\s]+(:[0-9]+)?", endpoint):
        yield f"backup_s3_endpoint ({endpoint}) is a host, with :PORT if need be, without https://."
    if not re.fullmatch(r"([\w.-]+(/[\w.-]+)*)?", given["backup_s3_prefix"]):
        yield f"backup_s3_prefix ({given['backup_s3_prefix']}) is a path without a slash at its ends, or empty."
    for name in ("backup_s3_bucket", "backup_s3_access_key", "backup_s3_secret_key"):
        if not _ONE_LINE.fullmatch(given[name]):
            yield f"{name} is empty or not one line, and backup_s3_endpoint is set. Give it a value."


def _nas(given: Mapping[str, Any]) -> Iterator[str]:
    kind = given["backup_nas_type"]
    if not kind:
        return
    pattern, form = SOURCES[kind]
    if not re.fullmatch(pattern, given["backup_nas_source"]):
        source = given["backup_nas_source"]
        yield f"backup_nas_source ({source}) is nothing that {kind} mounts: write {form}, without spaces."
    for name in NAS_NEEDS.get(kind, ()):
        if not given[name].strip():
            yield f"backup_nas_type is {kind}, which needs {name}."
    for option in given["backup_nas_options"]:
        if not re.fullmatch(r"[^\s,]+", option):
            yield f"backup_nas_options has {option!r}: one option an entry, without comma or space."


def _jobs(given: Mapping[str, Any], known_jobs: Sequence[str]) -> Iterator[str]:
    names = [str(job["name"]) for job in given["backup_declarations"]]
    for name in sorted({name for name in names if names.count(name) > 1}):
        yield f"backup_declarations has the job {name} twice: rename one."
    for name in names:
        if not _NAME.fullmatch(name):
            yield f"backup_declarations has the job {name!r}: lower-case letters, digits and dashes make a name."
    keep_days = given["backup_keep_days"]
    unknown = sorted(set(keep_days) - set(names) - set(known_jobs))
    if unknown:
        jobs_there_are = ", ".join(sorted({*names, *known_jobs}))
        yield f"backup_keep_days has {', '.join(unknown)}, which no role declares. There are {jobs_there_are}."
    for name, days in sorted(keep_days.items()):
        if not isinstance(days, int) or isinstance(days, bool) or days < 1:
            yield f"backup_keep_days.{name} is {days!r}: give a whole number of days, 1 or more."
    for job in given["backup_declarations"]:
        if job["kind"] in KEPT_BY_AGE and job["name"] not in keep_days:
            yield f"backup_keep_days says nothing of {job['name']}: give the days that it is kept."
    if _copies(given) and not given["backup_s3_endpoint"] and not given["backup_nas_type"]:
        yield (
            "The buckets have nowhere to be copied to: set backup_s3_endpoint, backup_nas_type, or both. A copy "
            "on the same disk is none."
        )


def _directories(given: Mapping[str, Any]) -> Iterator[str]:
    names = ("backup_state_directory", "backup_local_directory", "backup_textfile_directory")
    for name in names:
        path = PurePosixPath(given[name])
        if not path.is_absolute() or ".." in path.parts or len(path.parts) < 3 or re.search(r"\s", given[name]):
            yield f"{name} ({given[name]}) is not an absolute path two directories deep, without spaces and '..'."
    saved = [PurePosixPath(path) for path in given["backup_config_paths"]]
    left_out = [PurePosixPath(path) for path in given["backup_config_exclude"]]
    for name in names[:2]:
        path = PurePosixPath(given[name])
        if any(path.is_relative_to(above) for above in saved) and not any(path.is_relative_to(out) for out in left_out):
            yield (
                f"{name} ({path}) lies in backup_config_paths, so that backups would hold backups. Add it to "
                "backup_config_exclude."
            )
