# Copyright (c) 2026, Somos Infra maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filter backup_jobs: documented in backup_jobs.yml beside this file."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ansible_collections.somos.infra.plugins.plugin_utils._backup import jobs


class FilterModule:
    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"backup_jobs": jobs}
