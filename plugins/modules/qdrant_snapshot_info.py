#!/usr/bin/python
# Copyright (c) 2026, Somos Infra maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: qdrant_snapshot_info
short_description: Show which snapshots of Qdrant collections exist
version_added: 0.1.0
author: Somos Infra maintainers (@somos-infra)
description:
  - Lists the snapshots on a server, those that were fetched into a directory, or both.
  - A fetched snapshot is listed by its manifest, with whether the file is there and as long as it should be, and, if
    wanted, whether its content is what was fetched.
extends_documentation_fragment: [somos.infra.qdrant]
options:
  server:
    description: Whether the server is asked.
    type: bool
    default: true
  collections:
    description: The collections whose snapshots are listed. If not set, those of all, and of the whole storage.
    type: list
    elements: str
    aliases: [collection]
  dest:
    description: Directory, on the host that the module runs on, that snapshots were fetched into.
    type: path
  verify:
    description: Whether the snapshots in O(dest) are read and compared with the checksums in their manifests.
    type: bool
    default: false
attributes:
  check_mode:
    description: Can run in C(check_mode) and return changed status prediction without modifying target.
    support: full
    details: It only reads.
  diff_mode:
    description: Returns details on what has changed (or possibly needs changing in C(check_mode)), in diff mode.
    support: N/A
  idempotent:
    description: When run twice in a row, with the same arguments, the second invocation indicates no change.
    support: full
seealso:
  - module: somos.infra.qdrant_snapshot
"""

EXAMPLES = r"""
- name: See what could be restored, and whether it is intact
  somos.infra.qdrant_snapshot_info:
    server: false
    dest: /var/backups/qdrant
    verify: true
  register: qdrant_backups
"""

RETURN = r"""
version:
  description: The server's version.
  returned: O(server=true)
  type: str
  sample: 1.19.0
aliases:
  description: The server's aliases, each with its collection.
  returned: O(server=true)
  type: dict
  sample: {documents: documents_2026_11}
server_snapshots:
  description: What is on the server, oldest first for each collection.
  returned: O(server=true)
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
      returned: always
    size:
      description: Its size in bytes.
      type: int
      returned: always
    created:
      description: When it was made, in UTC, or null if the server does not know.
      type: str
      returned: always
    checksum:
      description: Its SHA-256, or null if the server does not know.
      type: str
      returned: always
  sample:
    - collection: documents
      name: documents-3714892-2026-11-24-03-00-01.snapshot
      size: 35185664
      created: "2026-11-24T03:00:01+00:00"
      checksum: b5bb9d8014a0f9b1d61e21e796d78dccdf1352f23cd32812f4850b878ae4944c
snapshots:
  description: What is in O(dest), oldest first.
  returned: when O(dest) is set
  type: list
  elements: dict
  contains:
    path:
      description: The file.
      type: str
      returned: always
    state:
      description:
        - V(complete), V(missing), or V(damaged), which is said of another size than the manifest's, and with O(verify)
          of another content.
      type: str
      returned: always
    kind:
      description: V(collection) or V(storage).
      type: str
      returned: always
    collections:
      description: The collections in it, each with the number of points counted when the snapshot was there.
      type: dict
      returned: always
    aliases:
      description: The aliases in it.
      type: dict
      returned: always
    server_version:
      description: The version of the server it was made by.
      type: str
      returned: always
    created:
      description: When it was made, in UTC.
      type: str
      returned: always
    size:
      description: Its size in bytes.
      type: int
      returned: always
    checksum:
      description: Its SHA-256.
      type: str
      returned: always
  sample:
    - path: /var/backups/qdrant/documents-3714892-2026-11-24-03-00-01.snapshot
      state: complete
      kind: collection
      collections: {documents: 41873}
      aliases: {docs: documents}
      server_version: 1.19.0
      created: "2026-11-24T03:00:01+00:00"
      size: 35185664
      checksum: b5bb9d8014a0f9b1d61e21e796d78dccdf1352f23cd32812f4850b878ae4944c
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.somos.infra.plugins.module_utils._qdrant import Client, QdrantError
from ansible_collections.somos.infra.plugins.module_utils._qdrant_files import file_checksum
from ansible_collections.somos.infra.plugins.module_utils._qdrant_module import SERVER_SPEC, connect, reported
from ansible_collections.somos.infra.plugins.module_utils._qdrant_store import Manifest, Store


def on_server(client: Client, named: list[str] | None) -> list[dict[str, Any]]:
    """Raises QdrantError."""
    targets: list[str | None] = list(named) if named is not None else [*client.collections(), None]
    return [
        {
            "collection": target,
            "name": snapshot.name,
            "size": snapshot.size,
            "created": snapshot.created.isoformat() if snapshot.created else None,
            "checksum": snapshot.checksum,
        }
        for target in targets
        for snapshot in client.snapshots(target)
    ]


def in_directory(store: Store, named: list[str] | None, verify: bool) -> list[dict[str, Any]]:
    """Raises QdrantError."""
    judged = sorted(store.judged(), key=lambda each: (each[0].time, each[0].snapshot))
    return [
        {
            "path": str(store.path / manifest.snapshot),
            "state": verified(store, manifest) if verify and state == "complete" else state,
            "kind": manifest.kind,
            "collections": {name: contents.points_after for name, contents in manifest.collections.items()},
            "aliases": dict(manifest.aliases),
            "server_version": manifest.server_version,
            "created": manifest.created,
            "size": manifest.size,
            "checksum": manifest.checksum,
        }
        for manifest, state in judged
        if named is None or set(named) & set(manifest.collections)
    ]


def verified(store: Store, manifest: Manifest) -> str:
    """``complete`` or ``damaged``. Raises QdrantError for a file that cannot be read."""
    path = store.path / manifest.snapshot
    try:
        return "complete" if file_checksum(path) == (manifest.size, manifest.checksum) else "damaged"
    except OSError as error:
        raise QdrantError(f"The snapshot {path} cannot be read: {error.strerror or error}.") from error


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            **SERVER_SPEC,
            "server": {"type": "bool", "default": True},
            "collections": {"type": "list", "elements": "str", "aliases": ["collection"]},
            "dest": {"type": "path"},
            "verify": {"type": "bool", "default": False},
        },
        supports_check_mode=True,
    )
    named = module.params["collections"]
    result: dict[str, Any] = {"changed": False}
    with reported(module, result):
        if module.params["server"]:
            client = connect(module)
            result["version"] = client.version().text
            result["aliases"] = client.aliases()
            result["server_snapshots"] = on_server(client, named)
        if module.params["dest"]:
            result["snapshots"] = in_directory(Store(module.params["dest"]), named, module.params["verify"])
    module.exit_json(**result)


if __name__ == "__main__":
    main()
