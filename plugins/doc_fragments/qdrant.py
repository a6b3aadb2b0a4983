# Copyright (c) 2026, Somos Infra maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the modules that talk to a Qdrant server document alike."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  url:
    description:
      - URL of the server's REST API, as seen from the host that the module runs on.
      - If not set, the value of the environment variable E(QDRANT_URL) is used.
    type: str
    default: http://127.0.0.1:6333
  api_key:
    description:
      - API key of the server. Restoring, aliases and snapshots of the whole storage need the main key.
      - If not set, the value of the environment variable E(QDRANT_API_KEY) is used.
    type: str
  ca_path:
    description: File with the certificates of the authorities that may sign the server's, instead of the system's own.
    type: path
  client_cert:
    description: File with a certificate to show to the server, in PEM format. It may contain the key too.
    type: path
  client_key:
    description: File with the key of O(client_cert).
    type: path
  validate_certs:
    description: Whether the server's certificate is checked. If not, anybody on the way can read the API key.
    type: bool
    default: true
  timeout:
    description:
      - Seconds to wait for a connection, for an ordinary answer, and for the next bytes of a transfer.
      - Making and restoring a snapshot is waited for without a limit, as the server goes on with it in any case.
    type: float
    default: 60
notes:
  - The modules need nothing but Python on the host they run on. Proxies are not used.
  - Servers from version 1.16 on are supported, alone or as a cluster of one peer.
attributes:
  check_mode:
    description: Can run in C(check_mode) and return changed status prediction without modifying target.
    support: full
  diff_mode:
    description: Returns details on what has changed (or possibly needs changing in C(check_mode)), in diff mode.
    support: full
"""
