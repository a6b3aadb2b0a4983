#!/usr/bin/python
# Copyright (c) 2026, Somos Infra maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: qdrant_snapshot
short_description: Make, fetch and prune snapshots of Qdrant collections
version_added: 0.1.0
author: Somos Infra maintainers (@somos-infra)
description:
  - Makes a snapshot of each collection, or one of the whole storage, and leaves it on the server or fetches it.
  - A fetched snapshot is compared in size and SHA-256 while it is written, goes on where its connection broke, and
    gets its name only when it is whole and on disk. The server's copy is deleted afterwards, also after a failure.
  - Beside each fetched snapshot, a manifest records what the snapshot itself does not hold. That is the server's
    version, the aliases, the exact number of points, the configuration and the checksum.
  - The server names snapshots by the second. Runs on one host wait for each other, and a snapshot whose name somebody
    else has taken is made again.
extends_documentation_fragment: [somos.infra.qdrant]
options:
  state:
    description:
      - With V(present), a snapshot is made unless O(max_age) says that there is a fresh one.
      - With V(absent), the snapshots named in O(names) are deleted, from the server or from O(dest).
    type: str
    choices: [present, absent]
    default: present
  collections:
    description:
      - The collections. An alias stands for its collection. If not set, all collections.
      - With O(state=absent) exactly one, unless O(storage=true).
    type: list
    elements: str
    aliases: [collection]
  storage:
    description: One snapshot of the whole storage, aliases included, instead of one of each collection.
    type: bool
    default: false
  dest:
    description:
      - Directory, on the host that the module runs on, that snapshots are fetched into. It is made if it is missing.
      - If not set, snapshots stay on the server.
    type: path
  keep_on_server:
    description: Whether the server's copy of a fetched snapshot stays. Without O(dest) it does in any case.
    type: bool
    default: false
  max_age:
    description:
      - No snapshot is made of what has one that is younger, in O(dest) or, without it, on the server.
      - A number of seconds, or one with a unit V(m), V(h), V(d) or V(w). If not set, one is made at every run.
    type: str
  keep_last:
    description: How many snapshots of a collection, the newest, are kept from pruning.
    type: int
  keep_for:
    description:
      - How long a snapshot is kept from pruning, in the form of O(max_age).
      - A snapshot is pruned if neither O(keep_last) nor O(keep_for) keeps it. Without both nothing is pruned. The
        newest snapshot of a collection never is.
      - Pruned are snapshots in O(dest), and, where they stay there, those on the server which it made itself.
    type: str
  names:
    description: The names of the snapshots to delete. Required if O(state=absent).
    type: list
    elements: str
attributes:
  idempotent:
    description: When run twice in a row, with the same arguments, the second invocation indicates no change.
    support: partial
    details: A snapshot is a new one each time, unless O(max_age) is set.
seealso:
  - module: somos.infra.qdrant_snapshot_info
  - module: somos.infra.qdrant_restore
"""

EXAMPLES = r"""
- name: Fetch a snapshot of every collection, once a day at most, and keep two weeks of them
  somos.infra.qdrant_snapshot:
    api_key: "{{ vault_qdrant_api_key }}"
    dest: /var/backups/qdrant
    max_age: 23h
    keep_for: 14d

- name: Leave a snapshot on the server before a risky change
  somos.infra.qdrant_snapshot:
    api_key: "{{ vault_qdrant_api_key }}"
    collections: [documents]

- name: Delete a snapshot from the server
  somos.infra.qdrant_snapshot:
    api_key: "{{ vault_qdrant_api_key }}"
    state: absent
    collections: [documents]
    names: [documents-3714892-2026-11-24-03-00-01.snapshot]
"""

RETURN = r"""
snapshots:
  description: What was made, or would be made in check mode.
  returned: O(state=present)
  type: list
  elements: dict
  contains:
    collection:
      description: The collection, or null for the whole storage.
      type: str
      returned: always
    name:
      description: The snapshot's name.
      type: str
      returned: when not in check mode
    path:
      description: The file, or null if the snapshot stayed on the server.
      type: str
      returned: when not in check mode
    size:
      description: Its size in bytes.
      type: int
      returned: when not in check mode
    checksum:
      description: Its SHA-256, or null if the snapshot stayed on a server that knows none.
      type: str
      returned: when not in check mode
    verified:
      description: Whether the server knew a checksum to compare with.
      type: bool
      returned: when not in check mode
    points:
      description: The number of points of each collection, counted when the snapshot was there.
      type: dict
      returned: when not in check mode
  sample:
    - collection: documents
      name: documents-3714892-2026-11-24-03-00-01.snapshot
      path: /var/backups/qdrant/documents-3714892-2026-11-24-03-00-01.snapshot
      size: 35185664
      checksum: b5bb9d8014a0f9b1d61e21e796d78dccdf1352f23cd32812f4850b878ae4944c
      verified: true
      points: {documents: 41873}
removed:
  description: Names of the snapshots that were pruned or deleted, or would be in check mode.
  returned: always
  type: list
  elements: str
  sample: [documents-3714892-2026-11-10-03-00-02.snapshot]
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.somos.infra.plugins.module_utils._qdrant_module import SERVER_SPEC, connect, reported
from ansible_collections.somos.infra.plugins.module_utils._qdrant_snapshots import Snapshots


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            **SERVER_SPEC,
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "collections": {"type": "list", "elements": "str", "aliases": ["collection"]},
            "storage": {"type": "bool", "default": False},
            "dest": {"type": "path"},
            "keep_on_server": {"type": "bool", "default": False},
            "max_age": {"type": "str"},
            "keep_last": {"type": "int"},
            "keep_for": {"type": "str"},
            "names": {"type": "list", "elements": "str"},
        },
        required_if=[("state", "absent", ("names",))],
        supports_check_mode=True,
    )
    result: dict[str, object] = {"changed": False}
    with reported(module, result):
        run = Snapshots(connect(module), module.params, check_mode=module.check_mode)
        run.remember_in(result)
        if module.params["state"] == "absent":
            run.absent()
        else:
            run.present()
    module.exit_json(**result)


if __name__ == "__main__":
    main()
