#!/usr/bin/python
# Copyright (c) 2026, Somos Infra maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: compose_networks
short_description: Make networks of a Compose project anew that are not as the model says, under what runs
version_added: 0.1.0
author: Somos Infra maintainers (@somos-infra)
description:
  - Docker cannot change a network, for instance give it IPv6, and Compose either overlooks that it should or stops what
    is in it.
  - Run before C(docker compose up), this module takes the running containers out of such a network, makes it anew under
    its name, and leads them back, without a restart. Until then they do not reach each other by it, nor do visitors.
    Their IPv4 addresses stay, as long as there was no gap between them.
  - A call that was cut off is completed by C(docker compose up) and M(somos.infra.compose_drift), which put back who is
    missing in a network.
  - A first network with IPv6 is refused as long as it would cost the server its own route, see RV(msg).
extends_documentation_fragment: [somos.infra.compose]
seealso:
  - module: somos.infra.compose_drift
  - module: community.docker.docker_compose_v2
"""

EXAMPLES = r"""
- name: Make networks anew that have changed
  somos.infra.compose_networks:
    project_directory: /opt/somos
"""

RETURN = r"""
remade:
  description: Networks that were made anew, or would be in check mode.
  returned: success
  type: list
  elements: str
  sample: [somos_edge]
msg:
  description: What stands in the way, and what to do about it.
  returned: failure
  type: str
"""

from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.somos.infra.plugins.module_utils._compose import Project
from ansible_collections.somos.infra.plugins.module_utils._compose_networks import (
    creation,
    differences,
    makes_a_router,
    members,
)
from ansible_collections.somos.infra.plugins.module_utils._server_state import deaf_router_interfaces

ROOT = Path("/")


class Networks:
    """The networks of one project, beside its model."""

    def __init__(self, module: AnsibleModule) -> None:
        self.module = module
        self.project = Project(module, module.params["project_directory"])

    def run(self) -> None:
        wrong: dict[str, Any] = {}
        if self.project.exists or not self.module.check_mode:
            model = self.project.model()
            networks = self.project.networks(model["name"])
            if makes_a_router(model, networks):
                self._refuse_to_become_deaf()
            wrong = differences(model, networks)
            if not self.module.check_mode:
                for name, (has, should) in wrong.items():
                    self._remake(model, name, has, should)
        self.module.exit_json(
            changed=bool(wrong),
            remade=sorted(wrong),
            diff={
                "before": {name: has for name, (has, _) in wrong.items()},
                "after": {name: should for name, (_, should) in wrong.items()},
            },
        )

    def _remake(self, model: dict[str, Any], name: str, has: dict[str, Any], should: dict[str, Any]) -> None:
        inside = self.project.members(name)
        for member in members(name, inside):
            self.project.said("network", "disconnect", name, member.identity)
        self.project.said("network", "rm", name)
        code, _, err = self.project.docker(*creation(model, name, should))
        if code:
            self.project.said(*creation(model, name, has))
        for member in members(name, inside):
            self.project.said(*member.joining(name))
        if code:
            self.module.fail_json(
                msg=f"The network {name} of {self.project.directory} cannot be made as the model says, and is as it "
                f"was: {err.strip()[-1000:]} If its addresses are taken, choose others (stack_ipv6_subnet)."
            )

    def _refuse_to_become_deaf(self) -> None:
        if deaf := deaf_router_interfaces(ROOT):
            settings = ", ".join(f"net/ipv6/conf/{name}/accept_ra=2" for name in deaf)
            self.module.fail_json(
                msg=f"A network of {self.project.directory} has IPv6, for which Docker switches forwarding on, and "
                f"this server would forget the IPv6 route that it has learned from a router on {', '.join(deaf)}. "
                f"Set {settings} first (role base does), or run without IPv6 (stack_ipv6: false)."
            )


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "project_directory": {"type": "path", "required": True},
        },
        supports_check_mode=True,
    )
    Networks(module).run()


if __name__ == "__main__":
    main()
