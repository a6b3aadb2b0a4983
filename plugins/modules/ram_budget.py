#!/usr/bin/python
# Copyright (c) 2026, Somos Infra maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: ram_budget
short_description: Refuse a Compose project that does not fit the memory of its host
version_added: 0.1.0
author: Somos Infra maintainers (@somos-infra)
description:
  - Reads the merged model of a Compose project and the memory of the host, and fails unless all of it fits.
    It changes nothing, so it gives the same verdict in check mode.
  - Every container must have a limit. All limits, times their replicas, the surge of a deploy and what the operating
    system keeps must fit the host. What a service is told to use inside (C(shared_buffers), C(maxmemory), workers,
    heaps) must fit its limit.
  - One-shot services of a profile that is not active are not added up; they run in the surge and must fit it.
  - Environment and commands of the model, which hold secrets in clear, are read for sizes and dropped. No word of them
    is returned or logged.
options:
  project_directory:
    description: Directory with the C(.env) file that names the project and its Compose files.
    type: path
    default: /opt/somos
  total_mb:
    description: Memory to judge by, in MiB. C(MemTotal) of C(/proc/meminfo) if not given.
    type: int
  reserve_mb:
    description:
      - What the operating system and Docker keep, C(reserve_mb) of the plan.
      - The least that the plan would keep on this host if not given.
    type: int
  surge_mb:
    description:
      - Room for one replica more and for one-shot jobs, C(surge_mb) of the plan.
      - The largest one-shot job or replica of a service that is replaced one by one if not given.
    type: int
  settings:
    description:
      - What services are told in configuration files, which the model does not show, by service, named as in the plan.
      - What a service's command or environment says instead of it is judged instead.
    type: dict
    default: {}
requirements:
  - Docker CLI with the Compose plugin, version 2.
attributes:
  check_mode:
    description: Can run in C(check_mode) and return changed status prediction without modifying target.
    support: full
    details:
      - On a server that has no Docker or no project yet nothing can be judged.
        Check mode then warns, and RV(judged) is false.
  diff_mode:
    description: Returns details on what has changed (or possibly needs changing in C(check_mode)), in diff mode.
    support: full
    details:
      - Compares the limits of the containers that run with those of the model, which C(up) would give them.
  idempotent:
    description: Changes nothing.
    support: full
seealso:
  - plugin: somos.infra.ram_plan
    plugin_type: filter
"""

EXAMPLES = r"""
- name: Judge the project by the plan of this host
  somos.infra.ram_budget:
    project_directory: /opt/somos
    reserve_mb: "{{ somos_ram.reserve_mb }}"
    surge_mb: "{{ somos_ram.surge_mb }}"
    settings: "{{ dict(somos_ram.services.keys() | zip(somos_ram.services.values() | map(attribute='settings'))) }}"

- name: Ask whether the project would fit a server of 16 GB
  somos.infra.ram_budget:
    total_mb: 15600
"""

RETURN = r"""
judged:
  description: Whether there was a project to judge. False only in check mode.
  returned: always
  type: bool
table:
  description: One line for each service. Amounts are MiB.
  returned: always
  type: list
  elements: dict
  contains:
    service:
      description: Name of the Compose service.
      type: str
    limit_mb:
      description: Limit of one container, none if it has no limit.
      type: int
    replicas:
      description: Number of its containers.
      type: int
    total_mb:
      description: Limit times replicas.
      type: int
    job:
      description: Whether it is a one-shot service, which runs in the surge.
      type: bool
    settings:
      description: What it is told to use inside, named as in the plan.
      type: dict
totals:
  description:
    - C(containers_mb), C(surge_mb) and C(reserve_mb) add up to C(needed_mb); C(free_mb) is what is left of C(total_mb).
  returned: when judged
  type: dict
  sample: {total_mb: 32000, containers_mb: 28128, surge_mb: 1840, reserve_mb: 2032, needed_mb: 32000, free_mb: 0}
violations:
  description: What does not fit, each with C(code), C(service) (empty for the host as a whole), C(message) and C(fix).
  returned: always
  type: list
  elements: dict
  sample:
    - code: redis_maxmemory
      service: redis
      message: redis has maxmemory 2048 MiB under a limit of 2048 MiB
      fix: set maxmemory to 1228 MiB, at most 66% of the limit, or raise the limit
suggestions:
  description: What would make it fit, or fit better.
  returned: always
  type: list
  elements: str
tree:
  description: The budget drawn as a tree.
  returned: when judged
  type: str
"""

import json
import re
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.somos.infra.plugins.module_utils._compose import Project
from ansible_collections.somos.infra.plugins.module_utils._ram_budget import judge, refusal
from ansible_collections.somos.infra.plugins.module_utils._ram_model import Demand, ModelError, read_model

MEMINFO = Path("/proc/meminfo")
SERVICE_AND_LIMIT = '{{ index .Config.Labels "com.docker.compose.service" }} {{ .HostConfig.Memory }}'


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "project_directory": {"type": "path", "default": "/opt/somos"},
            "total_mb": {"type": "int"},
            "reserve_mb": {"type": "int"},
            "surge_mb": {"type": "int"},
            "settings": {"type": "dict", "default": {}},
        },
        supports_check_mode=True,
    )
    params = module.params
    directory = params["project_directory"]
    project = Project(module, directory)
    missing = _missing(module, project)
    if missing and module.check_mode:
        module.warn(f"The memory budget of {directory} was not judged: {missing}.")
        module.exit_json(changed=False, judged=False, table=[], violations=[], suggestions=[])
    if missing:
        module.fail_json(msg=f"The memory budget of {directory} cannot be judged: {missing}.")

    total = params["total_mb"] or _mem_total_mb(module)
    try:
        model = json.loads(_compose(module, project, "--profile", "*", "config", "--format", "json"))
        active = _compose(module, project, "config", "--services").split()
        demands = read_model(model, active, _settings(params["settings"]))
    except ValueError as error:  # ModelError, or an answer that is no JSON
        module.fail_json(msg=f"Reading the Compose project in {directory} failed: {error}")
    verdict = judge(demands, total, params["reserve_mb"], params["surge_mb"])
    result: dict[str, Any] = {"changed": False, "judged": True, **verdict}
    if module._diff:
        result["diff"] = {"before": _running(module, project), "after": _wanted(demands)}
    if verdict["violations"]:
        module.fail_json(msg=refusal(directory, verdict), **result)
    module.exit_json(**result)


def _missing(module: AnsibleModule, project: Project) -> str:
    """What an earlier task has not installed yet; empty if everything needed is there."""
    if module.get_bin_path("docker") is None:
        return "the docker command is not installed"
    if not project.exists:
        return f"{project.directory}/.env does not exist"
    if project.compose("version")[0]:
        return "the Compose plugin of the docker command is not installed"
    return ""


def _mem_total_mb(module: AnsibleModule) -> int:
    match = re.search(r"^MemTotal:\s+(\d+) kB", MEMINFO.read_text(encoding="ascii"), re.MULTILINE)
    if match is None:
        module.fail_json(msg=f"{MEMINFO} does not say how much memory this host has (MemTotal): set total_mb")
    return int(match[1]) // 1024


def _settings(settings: dict[str, Any]) -> dict[str, dict[str, int]]:
    try:
        return {name: {key: int(value) for key, value in values.items()} for name, values in settings.items()}
    except (AttributeError, TypeError, ValueError) as error:
        raise ModelError("settings must map services to settings, and those to whole numbers") from error


def _compose(module: AnsibleModule, project: Project, *arguments: str) -> str:
    code, out, err = project.compose(*arguments)
    if code:
        module.fail_json(
            msg=f"Reading the Compose project in {project.directory} failed: {_without_secrets(err)} "
            f"(for all of it, run in that directory: docker compose config --quiet)"
        )
    return out


def _without_secrets(err: str) -> str:
    """Compose's own words, which may quote a line of .env or of a command: of quotations only names are kept."""
    lines = [line for line in err.splitlines() if line.strip() and "level=warning" not in line]
    words = lines[0].strip() if lines else "docker compose gave no reason"
    place_in_env_file = re.match(r"failed to read .+?: line \d+", words)
    if place_in_env_file:
        return place_in_env_file[0]
    quotation = re.compile(r'(\b(?:service|network|volume|profile) )?("[^"]*"?)')
    return quotation.sub(lambda match: f"{match[1]}{match[2]}" if match[1] else "(quotation left out)", words)


def _running(module: AnsibleModule, project: Project) -> dict[str, str]:
    """The limits of the containers that run; nothing where no engine answers."""
    code, out, _ = project.compose("ps", "--quiet")
    if code or not out.split():
        return {}
    docker = module.get_bin_path("docker", required=True)
    # Only these two fields: the rest of `inspect` holds the containers' environment.
    code, out, _ = module.run_command([docker, "inspect", "--format", SERVICE_AND_LIMIT, *out.split()])
    limits: dict[str, list[int]] = {}
    for name, size in (line.split() for line in out.splitlines() if line.strip()):
        limits.setdefault(name, []).append(int(size) // 1024**2)
    return {name: _said(len(sizes), max(sizes) if all(sizes) else None) for name, sizes in sorted(limits.items())}


def _wanted(demands: list[Demand]) -> dict[str, str]:
    return {demand.service: _said(demand.replicas, demand.limit_mb) for demand in demands if not demand.job}


def _said(count: int, limit_mb: int | None) -> str:
    return f"{count} x {limit_mb} MiB" if limit_mb else f"{count} x no limit"


if __name__ == "__main__":
    main()
