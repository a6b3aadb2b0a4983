# Copyright (c) 2026, Somos Infra maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the modules that talk to a Qdrant server share. Private to this collection."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from typing import Any

from ansible.module_utils.basic import AnsibleModule, env_fallback

from ansible_collections.somos.infra.plugins.module_utils._qdrant import Client, Http, QdrantError, Tls

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}

SERVER_SPEC: dict[str, Any] = {
    "url": {"type": "str", "default": "http://127.0.0.1:6333", "fallback": (env_fallback, ["QDRANT_URL"])},
    "api_key": {"type": "str", "no_log": True, "fallback": (env_fallback, ["QDRANT_API_KEY"])},
    "ca_path": {"type": "path"},
    "client_cert": {"type": "path"},
    "client_key": {"type": "path", "no_log": False},
    "validate_certs": {"type": "bool", "default": True},
    "timeout": {"type": "float", "default": 60},
}


def connect(module: AnsibleModule) -> Client:
    """The server that the module's options name. Raises QdrantError for options that cannot be used."""
    params = module.params
    tls = Tls(params["ca_path"], params["client_cert"], params["client_key"], params["validate_certs"])
    return Client(Http(params["url"], params["api_key"], tls=tls, timeout=params["timeout"]))


@contextlib.contextmanager
def reported(module: AnsibleModule, result: dict[str, Any]) -> Iterator[None]:
    """Turn what goes wrong into the module's failure, with *result* as far as it came."""
    try:
        yield
    except QdrantError as error:
        module.fail_json(msg=str(error), **result)


def seconds(option: str, value: str | None) -> float | None:
    """``90``, ``30m``, ``36h``, ``14d``, ``8w`` as seconds. Raises QdrantError that names the *option*."""
    if value is None:
        return None
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([smhdw]?)", value.strip())
    if match is None:
        raise QdrantError(f"{option} is {value!r}; expected seconds, or a number with a unit such as 36h or 14d.")
    return float(match[1]) * _UNITS[match[2] or "s"]
