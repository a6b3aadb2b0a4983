"""Install Ansible's collection loader before a test module imports from `ansible_collections`.

An import without it would leave a plain namespace package behind, in which Ansible finds neither roles nor plugins.
"""

from __future__ import annotations

import os
from pathlib import Path

os.environ.setdefault("ANSIBLE_CONFIG", str(Path(__file__).resolve().parents[2] / "ansible.cfg"))

# Ansible reads its configuration while it is imported.
from ansible.plugins.loader import init_plugin_loader

init_plugin_loader()
