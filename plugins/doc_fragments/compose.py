# Copyright (c) 2026, Somos Infra maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the modules that drive a Compose project document alike."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  project_directory:
    description: Directory with the C(.env) file that names the project and its Compose files.
    type: path
    required: true
requirements:
  - Docker CLI with the Compose plugin, version 2.
attributes:
  check_mode:
    description: Can run in C(check_mode) and return changed status prediction without modifying target.
    support: full
  diff_mode:
    description: Returns details on what has changed (or possibly needs changing in C(check_mode)), in diff mode.
    support: full
  idempotent:
    description: When run twice in a row, with the same arguments, the second invocation indicates no change.
    support: full
"""
