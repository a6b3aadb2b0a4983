#!/usr/bin/python
# Copyright (c) 2026, Somos Infra maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: compose_reload
short_description: Reload services of a Compose project whose configuration changed since they last read it
version_added: 0.1.0
author: Somos Infra maintainers (@somos-infra)
description:
  - Runs a command in the containers of a service, for instance C(nginx -s reload), when the hash of its configuration
    is not the one that this very container read last.
  - What a container read last is recorded after a successful reload, under the container's id, start time and networks.
    A run that is cut off between writing the configuration and the reload therefore reloads at the next run, which a
    handler would not.
extends_documentation_fragment: [somos.infra.compose]
options:
  reloads:
    description: The services and how each is reloaded.
    type: list
    elements: dict
    required: true
    suboptions:
      service:
        description: Name of the Compose service. Every running container of it is reloaded.
        type: str
        required: true
      hash:
        description: Hash of the configuration that the service is to have read.
        type: str
        required: true
      test:
        description: Command that judges the configuration inside the container. Nothing is reloaded when it fails.
        type: list
        elements: str
        default: []
      command:
        description: Command that makes the service read its configuration.
        type: list
        elements: str
        required: true
  record:
    description: File on the server that remembers what each container read last.
    type: path
    default: /var/lib/somos/stack/reloads.json
seealso:
  - module: somos.infra.compose_job
"""

EXAMPLES = r"""
- name: Let nginx read its new configuration
  somos.infra.compose_reload:
    project_directory: /opt/somos
    reloads:
      - service: nginx
        hash: "{{ nginx_tree.hash }}"
        test: [nginx, -t]
        command: [nginx, -s, reload]
"""

RETURN = r"""
reloaded:
  description: Services that were reloaded, or would be in check mode.
  returned: always
  type: list
  elements: str
  sample: [nginx]
"""

from typing import Any, NoReturn

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.somos.infra.plugins.module_utils._compose import Project, Record


class Reloader:
    """Brings every container of a service to the configuration on disk."""

    def __init__(self, module: AnsibleModule) -> None:
        self.module = module
        self.project = Project(module, module.params["project_directory"])
        self.record = Record(module.params["record"])

    def run(self) -> None:
        before = self.record.read()
        after = dict(before)
        reloaded = []
        for reload in self.module.params["reloads"]:
            service = reload["service"]
            after[service] = self._wanted(reload)
            if after[service] == before.get(service) and after[service]:
                continue
            reloaded.append(service)
            if not self.module.check_mode:
                self._reload(reload, list(after[service]))
                self.record.write(after)
        self.module.exit_json(changed=bool(reloaded), reloaded=reloaded, diff={"before": before, "after": after})

    def _wanted(self, reload: dict[str, Any]) -> dict[str, dict[str, str]]:
        """What the record says once every container of the service has read the configuration."""
        if self.module.check_mode and not self.project.exists:
            return {}
        running = self.project.containers(reload["service"])
        return {identity: {"running": since, "hash": reload["hash"]} for identity, since in running.items()}

    def _reload(self, reload: dict[str, Any], containers: list[str]) -> None:
        if not containers:
            self._fail(reload, "no container of it is running")
        for container in containers:
            for command in filter(None, (reload["test"], reload["command"])):
                code, out, err = self.project.execute(container, command)
                if code:
                    last_words = (err.strip() or out.strip())[-2000:]
                    self._fail(reload, f"`{' '.join(command)}` ended with exit code {code}: {last_words}")

    def _fail(self, reload: dict[str, Any], why: str) -> NoReturn:
        self.module.fail_json(
            msg=f"Reloading {reload['service']} in {self.project.directory} failed: {why}. "
            "The service goes on with what it read before; the next run tries again."
        )
        raise AssertionError("fail_json does not return")


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "project_directory": {"type": "path", "required": True},
            "reloads": {
                "type": "list",
                "elements": "dict",
                "required": True,
                "options": {
                    "service": {"type": "str", "required": True},
                    "hash": {"type": "str", "required": True},
                    "test": {"type": "list", "elements": "str", "default": []},
                    "command": {"type": "list", "elements": "str", "required": True},
                },
            },
            "record": {"type": "path", "default": "/var/lib/somos/stack/reloads.json"},
        },
        supports_check_mode=True,
    )
    Reloader(module).run()


if __name__ == "__main__":
    main()
