#!/usr/bin/python
# Copyright (c) 2026, Somos Infra maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: compose_job
short_description: Run one-shot services of a Compose project once per key
version_added: 0.1.0
author: Somos Infra maintainers (@somos-infra)
description:
  - Runs one-shot services of a Compose project, such as a database migration, with C(docker compose run --rm), and
    remembers the key under which each succeeded. A job whose key is already recorded is not run again.
  - Compose starts what the job depends on and waits for its health first, so a job may run before the project is up.
  - A one-shot service that C(docker compose up) starts would run again at every C(up). Give it a profile, so that only
    this module runs it.
  - The record is written after the job succeeded. A run that is cut off repeats the job, so jobs must be idempotent.
extends_documentation_fragment: [somos.infra.compose]
options:
  jobs:
    description: The jobs, run in this order.
    type: list
    elements: dict
    required: true
    suboptions:
      service:
        description: Name of the one-shot Compose service.
        type: str
        required: true
      key:
        description:
          - What the job is for, for instance the release that it migrates to.
          - The job runs when this differs from the recorded key.
        type: str
        required: true
  record:
    description: File on the server that remembers the keys.
    type: path
    default: /var/lib/somos/stack/jobs.json
seealso:
  - module: somos.infra.compose_reload
  - module: community.docker.docker_compose_v2_run
"""

EXAMPLES = r"""
- name: Migrate the database to the release
  somos.infra.compose_job:
    project_directory: /opt/somos
    jobs:
      - service: migrate
        key: 4f2c1e9
"""

RETURN = r"""
ran:
  description: Services that were run, or would be run in check mode.
  returned: always
  type: list
  elements: str
  sample: [migrate]
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.somos.infra.plugins.module_utils._compose import Project, Record


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "project_directory": {"type": "path", "required": True},
            "jobs": {
                "type": "list",
                "elements": "dict",
                "required": True,
                "options": {
                    "service": {"type": "str", "required": True},
                    "key": {"type": "str", "required": True, "no_log": False},
                },
            },
            "record": {"type": "path", "default": "/var/lib/somos/stack/jobs.json"},
        },
        supports_check_mode=True,
    )
    project = Project(module, module.params["project_directory"])
    record = Record(module.params["record"])
    before = record.read()
    after = dict(before)
    due = [job for job in module.params["jobs"] if before.get(job["service"]) != job["key"]]

    for job in due:
        service, key = job["service"], job["key"]
        if not module.check_mode:
            code, out, err = project.compose("run", "--rm", "--no-TTY", "--quiet-pull", service)
            if code:
                last_words = (err.strip() or out.strip())[-2000:]
                module.fail_json(
                    msg=f"The job {service} ({key}) in {project.directory} ended with exit code {code}. "
                    f"Nothing that depends on it was started. Its last words: {last_words}",
                    ran=[done["service"] for done in due[: due.index(job)]],
                )
        after[service] = key
        if not module.check_mode:
            record.write(after)

    module.exit_json(changed=bool(due), ran=[job["service"] for job in due], diff={"before": before, "after": after})


if __name__ == "__main__":
    main()
