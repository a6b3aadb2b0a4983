#!/usr/bin/python
# Copyright (c) 2026, Somos Infra maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: ufw_policy
short_description: Keep UFW, and the ports that Docker publishes, at one policy
version_added: 0.1.0
author: Somos Infra maintainers (@somos-infra)
description:
  - Brings UFW to a list of rules in one call, its defaults, its logging and its start with the machine included.
    Everything that comes in and is not in the list is denied.
  - Holds the ports that Docker publishes to the same list, for IPv4 and IPv6, by a block at the end of
    C(/etc/ufw/after.rules) and C(/etc/ufw/after6.rules).
  - Compares what the kernel filters by with what UFW would load, rule by rule, and reloads UFW if they differ.
  - The port of the SSH connection in use is always let in, before UFW is enabled. If UFW was off, a timer switches it
    off again unless the caller proves that a new connection gets in; see O(proof_seconds).
  - Rules of UFW that were not written by this module stay and are reported. Its own are known by a comment, C(somos:).
options:
  rules:
    description: What may come in, to this server and to the ports of its containers.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: What the rule is for, in a few words. It becomes the comment.
        type: str
        required: true
      port:
        description: The port that visitors ask for.
        type: int
        required: true
      proto:
        description: The protocol.
        type: str
        choices: [tcp, udp]
        default: tcp
      from:
        description: Addresses and networks that may come in, IPv4 and IPv6. Everybody, if it is not given.
        type: list
        elements: str
  outgoing:
    description: What happens to what this server itself sends. What its containers send is not affected.
    type: str
    choices: [allow, deny, reject]
    default: allow
  outgoing_rules:
    description: What may go out nevertheless.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: What the rule is for.
        type: str
        required: true
      port:
        description: The port that is asked for elsewhere.
        type: int
        required: true
      proto:
        description: The protocol.
        type: str
        choices: [tcp, udp]
        default: tcp
      to:
        description: Addresses and networks that may be reached. Everything, if it is not given.
        type: list
        elements: str
  logging:
    description: What UFW writes to the log.
    type: str
    choices: ["off", low, medium, high, full]
    default: low
  sysctl_file:
    description: >-
      Kernel settings that UFW applies whenever it starts, over those of the server. Empty, it applies none, and
      C(/etc/sysctl.d) alone says how the kernel is set.
    type: str
    default: ""
  docker_bridges:
    description: Interfaces of Docker's networks, or beginnings of their names. What comes from there may go anywhere.
    type: list
    elements: str
    default: [docker0, docker_gwbridge, br-+]
  isolated_bridges:
    description: Interfaces of Docker's networks that nothing may leave.
    type: list
    elements: str
    default: []
  docker_rules:
    description: >-
      Further rules for the chain C(DOCKER-USER), as C(iptables) takes them after C(-A DOCKER-USER). They stand before
      what is let in, and are for both families unless they name an address.
    type: list
    elements: str
    default: []
  remove:
    description: Rules of others to remove, as this module reports them in RV(foreign).
    type: list
    elements: str
    default: []
  connection_port:
    description: The port of SSH to keep open if the connection in use cannot be found out.
    type: int
    default: 22
  proof_seconds:
    description: >-
      Seconds after which UFW is switched off again if this call has switched it on. The caller stops the timer
      C(somos-firewall-undo.timer) when a new connection has come in.
    type: int
    default: 180
attributes:
  check_mode:
    description: >-
      Can run in C(check_mode) and return changed status prediction without modifying target. Without UFW on the server
      it predicts that everything will be written.
    support: full
  diff_mode:
    description: Shows the settings and rules that differ, the blocks, and where the kernel differs from the files.
    support: full
"""

EXAMPLES = r"""
- name: Let SSH and the web in
  somos.infra.ufw_policy:
    rules:
      - {name: SSH, port: 2222}
      - {name: HTTPS, port: 443, from: [173.245.48.0/20, "2400:cb00::/32"]}
    isolated_bridges: [br-internal]
"""

RETURN = r"""
commands:
  description: The commands that were run, or would be.
  returned: success
  type: list
  elements: str
  sample: ["ufw allow proto tcp from any to any port 2222 comment somos: SSH", "ufw --force enable"]
foreign:
  description: Rules of UFW that others have written. They stay.
  returned: success
  type: list
  elements: str
  sample: [allow 8080/tcp]
holes:
  description: Rules of others in the kernel that let something in past the policy, and are in no file of UFW.
  returned: success
  type: list
  elements: str
kept:
  description: Rules of others in the chain DOCKER-USER that take something away. They were given back after a reload.
  returned: success
  type: list
  elements: str
connection:
  description: The SSH connection in use, as the server sees it.
  returned: if there is one
  type: dict
  sample: {"client": "203.0.113.7", "server": "198.51.100.2", "port": 2222}
unproven:
  description: Whether UFW will be switched off again unless a new connection comes in.
  returned: success
  type: bool
"""

import os
from dataclasses import asdict

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.somos.infra.plugins.module_utils._ssh_connection import connection
from ansible_collections.somos.infra.plugins.module_utils._ufw_policy import Policy, PolicyError
from ansible_collections.somos.infra.plugins.module_utils._ufw_rules import RuleError

ARGUMENT_SPEC = {
    "rules": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {
            "name": {"type": "str", "required": True},
            "port": {"type": "int", "required": True},
            "proto": {"type": "str", "choices": ["tcp", "udp"], "default": "tcp"},
            "from": {"type": "list", "elements": "str"},
        },
    },
    "outgoing": {"type": "str", "choices": ["allow", "deny", "reject"], "default": "allow"},
    "outgoing_rules": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {
            "name": {"type": "str", "required": True},
            "port": {"type": "int", "required": True},
            "proto": {"type": "str", "choices": ["tcp", "udp"], "default": "tcp"},
            "to": {"type": "list", "elements": "str"},
        },
    },
    "logging": {"type": "str", "choices": ["off", "low", "medium", "high", "full"], "default": "low"},
    "sysctl_file": {"type": "str", "default": ""},
    "docker_bridges": {"type": "list", "elements": "str", "default": ["docker0", "docker_gwbridge", "br-+"]},
    "isolated_bridges": {"type": "list", "elements": "str", "default": []},
    "docker_rules": {"type": "list", "elements": "str", "default": []},
    "remove": {"type": "list", "elements": "str", "default": []},
    "connection_port": {"type": "int", "default": 22},
    "proof_seconds": {"type": "int", "default": 180},
}


def main() -> None:
    """Read the server, say what differs, bring it in line, look again."""
    module = AnsibleModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True)
    # UFW speaks the person's language; and some logins leave the administrator's programs out of the path.
    path = f"{os.environ.get('PATH', '/usr/bin:/bin')}:/usr/sbin:/sbin"
    module.run_command_environ_update = {"LC_ALL": "C", "LANGUAGE": "C", "PATH": path}
    here = connection()
    try:
        policy = Policy(module, here)
        policy.converge()
    except (RuleError, PolicyError) as error:
        module.fail_json(msg=str(error))
    except OSError as error:
        module.fail_json(msg=f"The firewall could not be completed, run again when fixed: {error}")
    for warning in policy.warnings:
        module.warn(warning)
    found = {"connection": asdict(here)} if here else {}
    module.exit_json(**policy.result(), **found)


if __name__ == "__main__":
    main()
