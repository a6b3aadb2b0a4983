#!/usr/bin/python
# Copyright (c) 2026, Somos Infra maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: qdrant_restore
short_description: Restore Qdrant collections from snapshots
version_added: 0.1.0
author: Somos Infra maintainers (@somos-infra)
description:
  - Restores a collection from a snapshot that is sent to the server, or that the server fetches. A snapshot of a whole
    storage is taken apart and restored collection by collection.
  - Everything that speaks against it is looked at first. These are the file and its manifest, the versions of Qdrant,
    what stands on the server under that name, and its aliases.
  - Afterwards the collection must be green and hold as many points as its manifest says. Aliases come last, so that
    none ever points to nothing. The upload that the server would keep is deleted.
  - If a restore fails, what it replaced is put back from a snapshot made before. A run that was cut off is taken up by
    the next one.
extends_documentation_fragment: [somos.infra.qdrant]
options:
  src:
    description:
      - The snapshot, on the host that the module runs on.
      - A manifest beside it, as M(somos.infra.qdrant_snapshot) writes it, is used without being named.
    type: path
  location:
    description:
      - URL of the snapshot (C(http), C(https)), or C(file://) URI inside the server's own directory of snapshots.
      - Kept out of logs and results, as a signed URL is a secret.
    type: str
  location_api_key:
    description: API key of the Qdrant server in O(location).
    type: str
  manifest:
    description: The snapshot's manifest, if it is not beside O(src).
    type: path
  checksum:
    description: SHA-256 of the snapshot. With O(location) and without O(manifest) required.
    type: str
  collections:
    description:
      - The collection to restore into. If not set, the one that the manifest names.
      - For a snapshot of a whole storage, the collections to restore. If not set, all.
    type: list
    elements: str
    aliases: [collection]
  rename:
    description: Whether O(collections) may name another collection than the manifest does. Its aliases stay behind.
    type: bool
    default: false
  replace:
    description: Whether points that are there may be replaced. Otherwise a collection that holds any is an error.
    type: bool
    default: false
  force:
    description: Whether a snapshot is restored again that O(record) says was restored already. O(replace) stays needed.
    type: bool
    default: false
  allow_version_mismatch:
    description: Whether a snapshot is restored that is neither of the server's minor version nor of the one before.
    type: bool
    default: false
  restore_aliases:
    description:
      - Which aliases of the manifest are set. With V(missing), those that do not exist, with V(all), also those that
        stand for another collection by now.
    type: str
    choices: [missing, all, none]
    default: missing
  safety_snapshot:
    description: Whether a snapshot of what is replaced is made first, on the server. It is deleted after success.
    type: bool
    default: true
  wait_timeout:
    description: Seconds until a restored collection must be green.
    type: int
    default: 3600
  record:
    description: File that remembers what was restored and what was begun.
    type: path
    default: /var/lib/somos/qdrant/restored.json
attributes:
  idempotent:
    description: When run twice in a row, with the same arguments, the second invocation indicates no change.
    support: full
    details: >-
      A snapshot that O(record) says was restored is not restored again, whatever became of the points since, unless the
      collection is gone or empty, or O(force=true).
seealso:
  - module: somos.infra.qdrant_snapshot
  - module: somos.infra.qdrant_alias
"""

EXAMPLES = r"""
- name: Restore a collection, its aliases included
  somos.infra.qdrant_restore:
    api_key: "{{ vault_qdrant_api_key }}"
    src: /var/backups/qdrant/documents-3714892-2026-11-24-03-00-01.snapshot

- name: Look at yesterday's documents beside today's
  somos.infra.qdrant_restore:
    api_key: "{{ vault_qdrant_api_key }}"
    src: /var/backups/qdrant/documents-3714892-2026-11-23-03-00-01.snapshot
    collection: documents_yesterday
    rename: true

- name: Have the server fetch the snapshot from another one
  somos.infra.qdrant_restore:
    api_key: "{{ vault_qdrant_api_key }}"
    location: "https://old.example.com:6333/collections/documents/snapshots/{{ snapshot.name }}"
    location_api_key: "{{ vault_qdrant_old_api_key }}"
    checksum: "{{ snapshot.checksum }}"
    collection: documents
"""

RETURN = r"""
collections:
  description: What was restored, or would be in check mode.
  returned: always
  type: list
  elements: dict
  contains:
    collection:
      description: The collection.
      type: str
      returned: always
    points:
      description: How many points it holds now.
      type: int
      returned: when not in check mode
    replaced:
      description: How many it held before, or null if it did not exist.
      type: int
      returned: always
    aliases:
      description: The aliases that were set.
      type: list
      elements: str
      returned: always
  sample:
    - {collection: documents, points: 41873, replaced: null, aliases: [docs]}
unchanged:
  description: Collections that had been restored from this snapshot before.
  returned: always
  type: list
  elements: str
  sample: []
"""

from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.somos.infra.plugins.module_utils._qdrant_backup import host_lock
from ansible_collections.somos.infra.plugins.module_utils._qdrant_module import SERVER_SPEC, connect, reported
from ansible_collections.somos.infra.plugins.module_utils._qdrant_plan import Plan, Rules, Wanted, plan
from ansible_collections.somos.infra.plugins.module_utils._qdrant_record import Record
from ansible_collections.somos.infra.plugins.module_utils._qdrant_restore import Restore
from ansible_collections.somos.infra.plugins.module_utils._qdrant_sources import from_file, from_location


def wanted(params: dict[str, Any]) -> list[Wanted]:
    """What the options ask for. Raises QdrantError."""
    manifest = Path(params["manifest"]) if params["manifest"] else None
    common = {name: params[name] for name in ("checksum", "collections", "rename")}
    if params["src"]:
        return from_file(Path(params["src"]), manifest_path=manifest, **common)
    return from_location(params["location"], manifest_path=manifest, api_key=params["location_api_key"], **common)


def difference(decided: Plan) -> dict[str, Any]:
    """Before and after, for the diff."""
    before = {step.collection: _points(step.replaces) for step in decided.steps}
    after = {step.collection: f"{step.contents.expected if step.contents else '?'} points" for step in decided.steps}
    aliases = {alias: name for step in decided.steps for alias, name in step.aliases.items()}
    return {"before": {"collections": before, "aliases": {}}, "after": {"collections": after, "aliases": aliases}}


def _points(number: int | None) -> str:
    return "absent" if number is None else f"{number} points"


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            **SERVER_SPEC,
            "src": {"type": "path"},
            "location": {"type": "str", "no_log": True},
            "location_api_key": {"type": "str", "no_log": True},
            "manifest": {"type": "path"},
            "checksum": {"type": "str"},
            "collections": {"type": "list", "elements": "str", "aliases": ["collection"]},
            "rename": {"type": "bool", "default": False},
            "replace": {"type": "bool", "default": False},
            "force": {"type": "bool", "default": False},
            "allow_version_mismatch": {"type": "bool", "default": False},
            "restore_aliases": {"type": "str", "choices": ["missing", "all", "none"], "default": "missing"},
            "safety_snapshot": {"type": "bool", "default": True},
            "wait_timeout": {"type": "int", "default": 3600},
            "record": {"type": "path", "default": "/var/lib/somos/qdrant/restored.json"},
        },
        required_one_of=[("src", "location")],
        mutually_exclusive=[("src", "location")],
        supports_check_mode=True,
    )
    params = module.params
    rules = Rules(params["replace"], params["force"], params["allow_version_mismatch"], params["restore_aliases"])
    result: dict[str, Any] = {"changed": False, "collections": [], "unchanged": []}
    with reported(module, result):
        client = connect(module)
        record = Record(params["record"], client.url)
        with host_lock(client.url):
            decided = plan(client, record, wanted(params), rules)
            for warning in decided.warnings:
                module.warn(warning)
            result.update(unchanged=list(decided.unchanged), diff=difference(decided))
            restore = Restore(
                client, record, safety=params["safety_snapshot"], wait_timeout=float(params["wait_timeout"])
            )
            for step in decided.steps:
                outcome = {"collection": step.collection, "replaced": step.replaces, "aliases": sorted(step.aliases)}
                if not module.check_mode:
                    outcome["points"] = restore.run(step)
                result["changed"] = True
                result["collections"].append(outcome)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
