#!/usr/bin/python
# Copyright (c) 2026, Somos Infra maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: compose_drift
short_description: Put right what was changed by hand on the running containers of a Compose project
version_added: 0.1.0
author: Somos Infra maintainers (@somos-infra)
description:
  - Compose recreates a container when the model that it was made of has changed. It does not see what C(docker update)
    or C(docker network connect) did to it since.
  - Compares memory, swap, number of processes, weight on the processor, restart policy and networks of every running
    container with the merged model, and puts back what differs, without restarting the container.
  - What the model does not limit is not judged. Anything else of a container cannot be changed without recreating it.
extends_documentation_fragment: [somos.infra.compose]
seealso:
  - module: community.docker.docker_compose_v2
"""

EXAMPLES = r"""
- name: Put right what was changed by hand
  somos.infra.compose_drift:
    project_directory: /opt/somos
"""

RETURN = r"""
drifted:
  description: Containers that differed from the model, and would in check mode.
  returned: always
  type: list
  elements: str
  sample: [somos-redis-1]
"""

from typing import NoReturn

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.somos.infra.plugins.module_utils._compose import SERVICE_LABEL, Project
from ansible_collections.somos.infra.plugins.module_utils._compose_drift import (
    State,
    aliases_of,
    difference,
    present,
    remedies,
    wanted,
)


class Drift:
    """The running containers of one project, beside its model."""

    def __init__(self, module: AnsibleModule) -> None:
        self.module = module
        self.project = Project(module, module.params["project_directory"])

    def run(self) -> None:
        before: dict[str, State] = {}
        after: dict[str, State] = {}
        if self.project.exists or not self.module.check_mode:
            model = self.project.model()
            for container in self.project.running():
                service = container["Config"]["Labels"].get(SERVICE_LABEL)
                if service not in model["services"]:
                    continue
                name = container["Name"].lstrip("/")
                is_so, should = present(container), wanted(model, service)
                if is_so["memory_swap"] != should.get("memory_swap") and not self._limits_swap():
                    # Docker could not keep it, and says so by another value.
                    should.pop("memory_swap", None)
                old, new = difference(is_so, should)
                if not new:
                    continue
                before[name], after[name] = old, new
                if not self.module.check_mode:
                    for command in remedies(container["Id"], is_so, should, aliases_of(model, service)):
                        self._do(name, command)
        self.module.exit_json(changed=bool(after), drifted=sorted(after), diff={"before": before, "after": after})

    def _limits_swap(self) -> bool:
        return self.project.docker("info", "--format", "{{.SwapLimit}}")[1].strip() != "false"

    def _do(self, name: str, command: list[str]) -> None:
        code, out, err = self.project.docker(*command)
        if code:
            self._fail(
                f"{name} was changed by hand, and `docker {' '.join(command)}` could not put it right: "
                f"{(err.strip() or out.strip())[-1000:]} Recreate it: docker compose --project-directory "
                f"{self.project.directory} up --detach --force-recreate SERVICE"
            )

    def _fail(self, message: str) -> NoReturn:
        self.module.fail_json(msg=message)
        raise AssertionError("fail_json does not return")


def main() -> None:
    module = AnsibleModule(
        argument_spec={"project_directory": {"type": "path", "required": True}},
        supports_check_mode=True,
    )
    Drift(module).run()


if __name__ == "__main__":
    main()
