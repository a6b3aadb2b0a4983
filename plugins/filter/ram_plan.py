# Copyright (c) 2026, Somos Infra maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filter ram_plan: documented in ram_plan.yml beside this file."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from ansible.errors import AnsibleFilterError

from ansible_collections.somos.infra.plugins.module_utils import _ram_plan


def ram_plan(
    total_mb: int,
    profile: str = "auto",
    services: Iterable[str] | None = None,
    overrides: Mapping[str, Mapping[str, Any]] | None = None,
) -> dict[str, Any]:
    try:
        return _ram_plan.ram_plan(total_mb, profile, services, overrides)
    except _ram_plan.PlanError as error:
        raise AnsibleFilterError(f"ram_plan: {error}") from error


class FilterModule:
    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"ram_plan": ram_plan}
