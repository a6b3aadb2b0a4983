#!/usr/bin/python
# Copyright (c) 2026, Somos Infra maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: qdrant_alias
short_description: Manage the aliases of Qdrant collections
version_added: 0.1.0
author: Somos Infra maintainers (@somos-infra)
description:
  - Creates, moves and removes aliases in one batch, so that readers see all of the change or nothing of it.
  - Every alias is checked before the batch is sent. The server carries out its actions one by one, and keeps what came
    before a refused one.
extends_documentation_fragment: [somos.infra.qdrant]
options:
  aliases:
    description: The aliases.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: Name of the alias.
        type: str
        required: true
      collection:
        description: Name of the collection it stands for. Required if O(aliases[].state=present).
        type: str
      state:
        description: Whether there is such an alias. One that is removed may stand for any collection.
        type: str
        choices: [present, absent]
        default: present
  exclusive:
    description: Whether aliases that are not listed are removed.
    type: bool
    default: false
attributes:
  idempotent:
    description: When run twice in a row, with the same arguments, the second invocation indicates no change.
    support: full
seealso:
  - module: somos.infra.qdrant_restore
"""

EXAMPLES = r"""
- name: Switch readers to the new collection
  somos.infra.qdrant_alias:
    api_key: "{{ vault_qdrant_api_key }}"
    aliases:
      - {name: documents, collection: documents_2026_11}
      - {name: documents_next, state: absent}
"""

RETURN = r"""
aliases:
  description: All aliases of the server afterwards, or as they would be in check mode, each with its collection.
  returned: success
  type: dict
  sample: {documents: documents_2026_11}
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.somos.infra.plugins.module_utils._qdrant import Client, QdrantError
from ansible_collections.somos.infra.plugins.module_utils._qdrant_module import SERVER_SPEC, connect, reported


def wanted(before: dict[str, str], aliases: list[dict[str, str]], exclusive: bool) -> dict[str, str]:
    """What the aliases should be. Raises QdrantError for an alias that is listed twice."""
    names = [each["name"] for each in aliases]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise QdrantError(f"aliases lists {', '.join(twice)} more than once. Keep the entry that is meant.")
    after = {} if exclusive else dict(before)
    for each in aliases:
        after.pop(each["name"], None)
        if each["state"] == "present":
            after[each["name"]] = each["collection"]
    return after


def refuse_impossible(client: Client, changed: dict[str, str]) -> None:
    """Raises QdrantError for an alias that the server would refuse."""
    collections = set(client.collections()) if changed else set()
    for alias, collection in sorted(changed.items()):
        if collection not in collections:
            raise QdrantError(
                f"Alias {alias} cannot stand for collection {collection}: {client.url} has none of that name. "
                f"It has {', '.join(sorted(collections)) or 'no collection at all'}. No alias was changed."
            )
        if alias in collections:
            raise QdrantError(
                f"{alias} cannot be an alias: it is the name of a collection on {client.url}. No alias was changed."
            )


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            **SERVER_SPEC,
            "aliases": {
                "type": "list",
                "elements": "dict",
                "required": True,
                "options": {
                    "name": {"type": "str", "required": True},
                    "collection": {"type": "str"},
                    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
                },
                "required_if": [("state", "present", ("collection",))],
            },
            "exclusive": {"type": "bool", "default": False},
        },
        supports_check_mode=True,
    )
    with reported(module, {}):
        client = connect(module)
        before = client.aliases()
        after = wanted(before, module.params["aliases"], module.params["exclusive"])
        changed = {alias: collection for alias, collection in after.items() if before.get(alias) != collection}
        removed = sorted(set(before) - set(after))
        refuse_impossible(client, changed)
        if not module.check_mode:
            client.change_aliases(changed, removed)
        module.exit_json(
            changed=bool(changed or removed),
            aliases=after,
            diff={"before": {"aliases": before}, "after": {"aliases": after}},
        )


if __name__ == "__main__":
    main()
