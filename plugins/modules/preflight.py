#!/usr/bin/python
# Copyright (c) 2026, Somos Infra maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# The work is done on the controller, by the action plugin of the same name; this file documents it.

from __future__ import annotations

DOCUMENTATION = r"""
module: preflight
short_description: Say everything that is wrong before anything is changed
version_added: 0.1.0
author: Somos Infra maintainers (@somos-infra)
description:
  - Judges the inventory, the vault, the controller and the facts of the server, and fails once, with one message that
    names every variable at fault, its value, and what to do.
  - The value of a secret is never part of the message.
  - Runs on the controller and asks the server nothing. The facts V(distribution), V(hardware) and V(network) must have
    been gathered.
options:
  required:
    description: Names of variables that must be set, not empty, and not left as the example has them.
    type: list
    elements: str
    default: []
  secrets:
    description:
      - Names of variables that hold secrets. Each must be set, long enough, free of placeholders, and different from
        all others.
    type: list
    elements: str
    default: []
  secret_min_length:
    description: Characters that a secret must at least have.
    type: int
    default: 16
  domain:
    description: The domain of the system, reported as C(somos_domain).
    type: str
  groups:
    description: Inventory groups that must have a host each.
    type: list
    elements: str
    default: []
  absent_groups:
    description: Groups of O(groups) that are left out on purpose.
    type: list
    elements: str
    default: []
  min_cpus:
    description: Processors that the server must at least have.
    type: int
    default: 0
  min_memory_mb:
    description: Memory that the server must at least have, in MB as C(/proc/meminfo) counts them.
    type: int
    default: 0
  min_disk_gb:
    description: >-
      Size that the file system of C(/var/lib/docker) must at least have, in units of 10^9 bytes. Not judged where the
      facts know no such file system, as in a container.
    type: int
    default: 0
  ram:
    description: >-
      The parameters of the filter P(somos.infra.ram_plan#filter), to find out whether there is a plan for this server.
    type: dict
    suboptions:
      profile:
        description: The profile.
        type: str
        default: auto
      services:
        description: The services on this server; all of them if not given.
        type: list
        elements: str
      overrides:
        description: The operator's own lines of the plan.
        type: dict
        default: {}
  address_pools:
    description: Docker's C(default-address-pools), which must not collide with a network of the server.
    type: list
    elements: dict
    default: []
  ipv6_subnet:
    description: IPv6 network of containers, which must not collide with one of the server either.
    type: str
  compose_version:
    description: Compose release that the server has or is to have, to compare with what the controller can drive.
    type: str
attributes:
  check_mode:
    description: Can run in C(check_mode) and return changed status prediction without modifying target.
    support: full
  diff_mode:
    description: Changes nothing, so there is nothing to show.
    support: none
"""

EXAMPLES = r"""
- name: Judge inventory, vault, controller and server
  somos.infra.preflight:
    required: [somos_domain, base_deploy_authorized_keys]
    secrets: [vault_postgres_password, vault_redis_password]
    domain: "{{ somos_domain | default('') }}"
    min_cpus: 4
    min_disk_gb: 200
    ram:
      profile: "{{ somos_ram_profile | default('auto') }}"
    address_pools: [{base: 172.20.0.0/16, size: 24}]
"""

RETURN = r""" # """
