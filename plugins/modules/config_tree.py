#!/usr/bin/python
# Copyright (c) 2026, Somos Infra maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: config_tree
short_description: Keep a directory of configuration files as one resource
version_added: 0.1.0
description:
  - Renders a directory of templates and makes the server's files equal to it, contents, owners and modes, in one task.
  - The whole new tree is staged on the server and checked there before a single file is replaced. A tree that a check
    refuses leaves everything as it was.
  - Files are replaced one by one and each atomically, only where they differ. A run that is killed anywhere is finished
    by the next one.
  - Files that were written before and are no longer in the source are removed, and nothing else is. What was written is
    recorded on the server, see O(record_dir).
author:
  - Somos Infra maintainers (@somos-infra)
options:
  name:
    description:
      - The tree's name. It names the record of what this tree has written, so it must not change while the tree lives.
    type: str
    required: true
  src:
    description:
      - The source directory, looked for like the O(ansible.builtin.template#module:src) of M(ansible.builtin.template).
        V(templates) in a role is the role's whole C(templates) directory.
      - It mirrors O(dest). Files ending in C(.j2) are rendered and lose that suffix, others are copied byte for byte.
      - Templates are rendered as M(ansible.builtin.template) does, with C(trim_blocks) on, and may start with a
        C(#jinja2:) line.
      - A symbolic link in it is refused.
    type: str
    required: true
  dest:
    description:
      - The absolute path of the directory on the server that O(src) mirrors. It is created if it is missing.
      - It may be V(/). What is in there and was not written by this task is left alone.
      - It may be reached through links, but a symbolic link below it on the way to a file of the tree is refused.
    type: str
    required: true
  also:
    description:
      - Further source directories, for files that have their place elsewhere, such as a program with tests of its own.
      - Their files are copied byte for byte, whatever they are called.
    type: list
    elements: dict
    default: []
    suboptions:
      src:
        description: The source directory, looked for like O(src).
        type: str
        required: true
      path:
        description: The directory that it mirrors, relative to O(dest).
        type: str
        required: true
      files:
        description: Globs as in O(entries[].path), relative to O(also[].src), of the files that are taken.
        type: list
        elements: str
        default: ["**"]
  entries:
    description:
      - Owners, modes and secrecy of files that differ from the defaults. For each file the first matching entry counts.
      - An entry that matches nothing in O(src) is refused, because it is a mistyped one.
    type: list
    elements: dict
    default: []
    suboptions:
      path:
        description:
          - A glob on the path relative to O(dest). C(*) and C(?) stay within a directory, C(**) crosses directories.
        type: str
        required: true
      owner:
        description: The owner, a name or a number. Defaults to O(owner).
        type: str
      group:
        description: The group, a name or a number. Defaults to O(group).
        type: str
      mode:
        description: The mode, as a quoted octal string. Defaults to O(mode).
        type: raw
      secret:
        description: Never show the contents of these files, in a diff or in what a check has printed.
        type: bool
        default: false
  owner:
    description: The owner of files and of created directories, a name or a number.
    type: str
    default: root
  group:
    description: The group of files and of created directories, a name or a number.
    type: str
    default: root
  mode:
    description: The mode of files, as a quoted octal string.
    type: raw
    default: "0644"
  directory_mode:
    description:
      - The mode of directories that have to be created for a file, as a quoted octal string.
      - A directory that is there already keeps its owner and mode, unless it is one of O(directories).
    type: raw
    default: "0755"
  directories:
    description: Directories that have to exist, with an owner and mode that are kept as given.
    type: list
    elements: dict
    default: []
    suboptions:
      path:
        description: The path relative to O(dest).
        type: str
        required: true
      owner:
        description: The owner, a name or a number. Defaults to O(owner).
        type: str
      group:
        description: The group, a name or a number. Defaults to O(group).
        type: str
      mode:
        description: The mode, as a quoted octal string. Defaults to O(directory_mode).
        type: raw
  hashes:
    description:
      - Names, each with a list of globs as in O(entries[].path). For each name a digest of the contents, owners and
        modes of the matching files is made.
      - Files that match no glob are rendered afterwards and see the digests as C(config_tree_hashes).
      - A digest in which a secret file takes part is stretched with scrypt, because it may end in a label that many can
        read.
    type: dict
    default: {}
  validate:
    description:
      - Programs that are run on the server on the whole staged tree before anything is replaced. Each has to return 0.
      - They run only when something differs.
    type: list
    elements: dict
    default: []
    suboptions:
      argv:
        description: The program and its arguments. C({stage}) becomes the path of the staged tree.
        type: list
        elements: str
        required: true
      requires:
        description:
          - A command that has to be installed beside the program itself.
          - What is missing makes the task fail, but in check mode the tree is reported as not validated.
        type: str
      requires_image:
        description:
          - A container image that the check runs, asked of the program itself (C(docker) or C(podman)).
          - It is pulled if it is missing. In check mode the tree is then reported as not validated instead.
        type: str
  exclude:
    description: Globs as in O(entries[].path) of files in O(src) and O(also) that are left out.
    type: list
    elements: str
    default: []
  variables:
    description: Further variables for the templates. They win over variables of the same name.
    type: dict
    default: {}
  record_dir:
    description:
      - The directory on the server where what each tree has written is recorded, a JSON file of mode 0600 each.
      - All trees of a server share it.
    type: str
    default: /var/lib/somos/config_tree
  _manifest:
    description: The tree without its contents, made by the action plugin. It is not for tasks.
    type: str
  _archive:
    description: Where the action plugin has put the contents. It is not for tasks.
    type: path
attributes:
  check_mode:
    description: Can run in check mode and return the changed status without modifying the target.
    support: full
    details:
      - The checks of O(validate) run in check mode too, on a copy in Ansible's temporary directory.
      - Users, images and commands that are not there yet, because an earlier task would have made them, do not fail it.
  diff_mode:
    description: Returns what has changed, or would change in check mode.
    support: full
    details:
      - Secret files are masked; binary files and those above 1 MiB are summarised.
  idempotent:
    description: When run twice in a row with the same arguments, the second run indicates no change.
    support: full
  action:
    description: Has a corresponding action plugin, which reads and renders the files on the controller.
    support: full
  async:
    description: Supports being used with the C(async) keyword.
    support: none
  vault:
    description: Decrypts files in O(src) that are encrypted with Ansible Vault.
    support: full
notes:
  - When nothing differs the task costs one call of the server. Otherwise the files that differ are sent, in one tar.
  - Contents never pass as module arguments. Secret contents are in no log, result or diff.
seealso:
  - module: ansible.builtin.template
"""

EXAMPLES = r"""
- name: Render the PostgreSQL tree
  somos.infra.config_tree:
    name: postgres
    src: templates
    dest: /opt/somos
    entries:
      - {path: "secrets/**", owner: "999", group: "999", mode: "0400", secret: true}
    directories:
      - {path: secrets, mode: "0711"}
    hashes:
      postgres: ["postgres/**", "secrets/postgres/**"]
  register: postgres_tree

- name: Install a program that has its place beside the role's templates
  somos.infra.config_tree:
    name: backup
    src: templates
    dest: /
    also:
      - {src: files/somos_backup, path: usr/local/lib/somos-backup/somos_backup, files: ["**/*.py"]}

- name: Configure sshd, unless it refuses the new configuration
  somos.infra.config_tree:
    name: ssh
    src: templates
    dest: /
    mode: "0600"
    validate:
      - argv: [sshd, -t, -f, "{stage}/etc/ssh/sshd_config.d/00-somos.conf"]

- name: Configure nginx, tested in its own image
  somos.infra.config_tree:
    name: nginx
    src: templates
    dest: /opt/somos
    validate:
      - argv: [docker, run, --rm, --network, none, -v, "{stage}/nginx:/etc/nginx:ro", "nginx:1.30", nginx, -t]
        requires_image: nginx:1.30

- name: Remove everything the tree has written
  somos.infra.config_tree:
    name: nginx
    src: templates
    dest: /opt/somos
    exclude: ["**"]
"""

RETURN = r"""
hash:
  description: Digest of the whole tree, of its paths, contents, owners and modes. The same on every server.
  returned: success
  type: str
  sample: 2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae
hashes:
  description: The digests asked for by O(hashes).
  returned: success
  type: dict
  sample: {"postgres": "fcde2b2edba56bf408601fb721fe9b5c338d10ee429ea04fae5511b68fbf8fb9"}
written:
  description: Paths relative to O(dest) that were created or changed, directories with a slash at the end.
  returned: success
  type: list
  elements: str
  sample: ["secrets/postgres/", "secrets/postgres/password", "compose.d/postgres.yml"]
removed:
  description: Paths that were removed, relative to O(dest), or absolute if O(dest) was another one before.
  returned: success
  type: list
  elements: str
  sample: ["postgres/old.conf"]
validated:
  description: What became of each check. Empty if nothing differs, as then the tree was checked when it was written.
  returned: always, as far as the checks ran
  type: list
  elements: dict
  contains:
    argv:
      description: The check as it was given.
      type: list
      elements: str
    status:
      description: How it ended.
      type: str
      choices: [passed, failed, not validated]
    reason:
      description: What this host lacks to run the check.
      returned: when it was not validated
      type: str
argv:
  description: The check that has refused the tree.
  returned: when a check fails
  type: list
  elements: str
rc:
  description: What the check returned.
  returned: when a check fails
  type: int
stdout:
  description: What the check printed, contents of secret files masked.
  returned: when a check fails
  type: str
stderr:
  description: What the check printed as errors, contents of secret files masked.
  returned: when a check fails
  type: str
"""

import contextlib
from pathlib import Path
from typing import BinaryIO

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.somos.infra.plugins.module_utils._config_tree import ARGUMENT_SPEC, Manifest, Refusal
from ansible_collections.somos.infra.plugins.module_utils._config_tree_converge import Job, converge


def take(archive: str | None) -> BinaryIO | None:
    """Open the archive and remove its name at once: whatever happens now, its secrets do not stay on the disk."""
    if archive is None:
        return None
    stream = Path(archive).open("rb")  # noqa: SIM115 - it is read later, and closed with the process
    # An ordinary user whom an ordinary user has become may read it, but only its owner may remove it (and does).
    with contextlib.suppress(PermissionError):
        Path(archive).unlink()
    return stream


def main() -> None:
    module = AnsibleModule(
        # The manifest is one string, so that no_log keeps the whole of it out of the server's log.
        argument_spec={**ARGUMENT_SPEC, "_manifest": {"type": "str", "no_log": True}, "_archive": {"type": "path"}},
        supports_check_mode=True,
    )
    if module.params["_manifest"] is None:
        module.fail_json(msg="config_tree needs its action plugin, which reads the templates on the controller.")
    try:
        job = Job(
            name=module.params["name"],
            dest=module.params["dest"],
            manifest=Manifest.load(module.params["_manifest"]),
            checks=module.params["validate"],
            record_dir=module.params["record_dir"],
            scratch=module.tmpdir if module.check_mode and module.params["validate"] else "",
            archive=take(module.params["_archive"]),
            check_mode=module.check_mode,
            diff=module._diff,
        )
        result = converge(job)
    except Refusal as refusal:
        module.fail_json(msg=str(refusal), **refusal.details)
    except OSError as error:
        module.fail_json(msg=f"The tree {module.params['name']} could not be completed, run again when fixed: {error}")
    for check in result.validated:
        if check["status"] == "not validated":
            module.warn(f"Not validated by `{' '.join(check['argv'])}`: {check['reason']}.")
    module.exit_json(changed=bool(result.changes), **vars(result))


if __name__ == "__main__":
    main()
