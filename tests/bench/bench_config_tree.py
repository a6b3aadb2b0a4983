"""Claim: forty files cost one config_tree several times less than forty ansible.builtin.template tasks do.

Both write the same files over a local connection with pipelining; both are timed when nothing differs, which is what
every run but the first one is. Ansible's own start is measured too, and taken off.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).parents[2]
FILES = 40
ROUNDS = {"nothing": 3, "config_tree": 3, "template": 1}


def main() -> None:
    with tempfile.TemporaryDirectory() as directory:
        here = Path(directory)
        names = [f"d{number % 4}/file{number}.conf" for number in range(FILES)]
        for name in names:
            template = here / "templates" / f"{name}.j2"
            template.parent.mkdir(parents=True, exist_ok=True)
            template.write_text(
                "{{ ansible_managed | comment }}\n{% for n in range(20) %}\nkey{{ n }} {{ word }}\n{% endfor %}\n"
            )
            (here / "loop" / name).parent.mkdir(parents=True, exist_ok=True)
        tree = {
            "name": "bench", "src": "templates", "dest": str(here / "tree"), "record_dir": str(here / "records"),
            "owner": str(os.getuid()), "group": str(os.getgid()),
        }  # fmt: skip
        loop = {"src": "{{ item }}.j2", "dest": f"{here}/loop/{{{{ item }}}}", "mode": "0644"}
        plays: dict[str, list[dict[str, Any]]] = {
            "nothing": [{"ansible.builtin.meta": "noop"}],
            "config_tree": [{"somos.infra.config_tree": tree}],
            "template": [{"ansible.builtin.template": loop, "loop": names}],
        }
        for name, tasks in plays.items():
            play = {"hosts": "all", "gather_facts": False, "vars": {"word": "w"}, "tasks": tasks}
            (here / f"{name}.yml").write_text(json.dumps([play]))
            run(here, name)
        seconds = {name: min(run(here, name) for _round in range(rounds)) for name, rounds in ROUNDS.items()}
        same = all((here / "tree" / name).read_bytes() == (here / "loop" / name).read_bytes() for name in names)
        assert same, "the two did not write the same"
    one, many = (seconds[name] - seconds["nothing"] for name in ("config_tree", "template"))
    print(f"{FILES} unchanged files: config_tree {one:.2f} s, template {many:.2f} s, ratio {many / one:.0f}")


def run(here: Path, play: str) -> float:
    command = [Path(sys.executable).with_name("ansible-playbook"), "-i", "localhost,", "-c", "local", f"{play}.yml"]
    environment = {**os.environ, "ANSIBLE_CONFIG": str(PROJECT / "ansible.cfg")}
    start = time.monotonic()
    subprocess.run(command, cwd=here, env=environment, check=True, stdout=subprocess.DEVNULL)
    return time.monotonic() - start


if __name__ == "__main__":
    main()
