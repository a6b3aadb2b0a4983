"""config_tree from end to end: `ansible-playbook` on a local connection, with the module in its own Python process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.parsing.vault import VaultLib, VaultSecret
from config_tree_case import ME, MY_GROUP, snapshot

PROJECT = Path(__file__).parents[4]
SECRET = "correct-horse-battery"  # noqa: S105
LIMIT_MB = 120


@dataclass
class Outcome:
    """What a playbook printed, and what it says of each task."""

    rc: int
    text: str
    tasks: dict[str, dict[str, Any]]
    peak_mb: int


class Controller:
    """A directory with a playbook and templates, and a directory that plays the server."""

    def __init__(self, tmp: Path) -> None:
        self.tmp = tmp
        self.dest = tmp / "server/dest"
        self.records = tmp / "server/records"
        self.temporary = tmp / "temporary"

    def put(self, path: str, content: str | bytes) -> Path:
        target = self.tmp / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content.encode() if isinstance(content, str) else content)
        return target

    def task(self, title: str, **options: Any) -> dict[str, Any]:
        defaults = {
            "name": "demo", "src": "templates", "dest": str(self.dest), "record_dir": str(self.records),
            "owner": ME, "group": MY_GROUP,
        }  # fmt: skip
        return {"name": title, "somos.infra.config_tree": defaults | options}

    def play(self, tasks: list[dict[str, Any]], *arguments: str, **settings: Any) -> Outcome:
        play = {"hosts": "all", "gather_facts": False, "tasks": tasks, **settings}
        self.put("play.yml", yaml.safe_dump([play], sort_keys=False))
        command = [Path(sys.executable).with_name("ansible-playbook"), "-i", "localhost,", "-c", "local", "play.yml"]
        environment = {
            **os.environ, "ANSIBLE_CONFIG": str(PROJECT / "ansible.cfg"),
            "ANSIBLE_STDOUT_CALLBACK": "ansible.posix.json", "ANSIBLE_LOG_PATH": str(self.tmp / "log"),
            "ANSIBLE_REMOTE_TEMP": str(self.temporary / "remote"), "ANSIBLE_LOCAL_TEMP": str(self.temporary / "local"),
        }  # fmt: skip
        measured = self.put("measure.py", MEASURE)
        done = subprocess.run(
            [sys.executable, measured, *command, *arguments],
            cwd=self.tmp, env=environment, capture_output=True, text=True, check=False,
        )  # fmt: skip
        text = done.stdout + done.stderr
        assert "\n{\n" in f"\n{done.stdout}", text
        report, _, peak = f"\n{done.stdout}".partition("\n{\n")[2].rpartition("\npeak ")
        plays = json.loads("{" + report)["plays"]
        tasks_done = {task["task"]["name"]: task["hosts"]["localhost"] for task in plays[0]["tasks"]}
        return Outcome(done.returncode, text, tasks_done, int(peak) // 1024)


# The most that any one process of the run has held, in kilobytes.
MEASURE = """
import resource, subprocess, sys
rc = subprocess.run(sys.argv[1:]).returncode
print("\\npeak", resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
sys.exit(rc)
"""


@pytest.fixture
def controller(tmp_path: Path) -> Controller:
    return Controller(tmp_path)


def remote_operations(outcome: Outcome) -> int:
    return sum(line.startswith(("<localhost> EXEC", "<localhost> PUT")) for line in outcome.text.splitlines())


def test_a_role_checked_run_checked_and_run_again(controller: Controller) -> None:
    role = "roles/demo"
    controller.put(f"{role}/templates/etc/app.conf.j2", "{% if true %}\nname {{ name_of_app }}\n{% endif %}\n")
    controller.put(f"{role}/templates/etc/blob.bin", bytes(range(256)))
    controller.put(f"{role}/templates/secrets/token.j2", "TOKEN={{ token }}\n")
    controller.put(f"{role}/templates/compose.yml.j2", "label: {{ config_tree_hashes.app }}\n")
    controller.put(f"{role}/templates/off.conf.j2", "{{ not_defined_where_it_is_switched_off }}\n")
    controller.put(f"{role}/files/program/main.py", "print('{{ no template }}')\n")
    task = controller.task(
        "Render",
        entries=[{"path": "secrets/**", "mode": "0400", "secret": True}, {"path": "**/*.bin", "mode": "0600"}],
        directories=[{"path": "secrets", "mode": "0711"}],
        hashes={"app": ["secrets/**", "etc/*"]},
        exclude=["off.conf"],
        also=[{"src": "files/program", "path": "lib"}],
        variables={"token": SECRET},
        validate=[{"argv": ["grep", "-q", "^name somos$", "{stage}/etc/app.conf"]}],
    )
    controller.put(f"{role}/tasks/main.yml", yaml.safe_dump([task]))
    roles = [{"role": "demo", "name_of_app": "somos"}]

    outcomes = []
    for arguments in (["--check"], [], ["--check"], []):
        before = snapshot(controller.dest)
        outcomes.append(controller.play([], "--diff", "-vvvv", *arguments, roles=roles))
        assert not arguments or snapshot(controller.dest) == before
    results = [outcome.tasks["demo : Render"] for outcome in outcomes]

    assert [result["changed"] for result in results] == [True, True, False, False]
    directories = ["./", "etc/", "lib/", "secrets/"]
    files = ["compose.yml", "etc/app.conf", "etc/blob.bin", "lib/main.py", "secrets/token"]
    assert [result["written"] for result in results[:2]] == [directories + files] * 2
    assert results[0]["diff"] == results[1]["diff"]
    assert {key: results[3][key] for key in ("written", "removed", "validated", "diff")} == {
        "written": [], "removed": [], "validated": [], "diff": [],
    }  # fmt: skip
    assert results[1]["validated"][0]["status"] == "passed"
    assert len({(result["hash"], result["hashes"]["app"]) for result in results}) == 1
    assert {path: (item[0][-4:], item[3]) for path, item in snapshot(controller.dest).items()} == {
        ".": ("0755", None), "etc": ("0755", None), "lib": ("0755", None), "secrets": ("0711", None),
        "lib/main.py": ("0644", b"print('{{ no template }}')\n"),
        "etc/app.conf": ("0644", b"name somos\n"),
        "etc/blob.bin": ("0600", bytes(range(256))),
        "secrets/token": ("0400", f"TOKEN={SECRET}\n".encode()),
        "compose.yml": ("0644", f"label: {results[0]['hashes']['app']}\n".encode()),
    }  # fmt: skip

    assert [remote_operations(outcome) for outcome in outcomes[2:]] == [1, 1]
    assert remote_operations(outcomes[1]) <= 6
    for outcome in outcomes:
        assert SECRET not in outcome.text
        assert "_manifest" not in outcome.text
    assert SECRET not in (controller.tmp / "log").read_text()
    assert not list(controller.tmp.rglob("*.stage"))
    assert not [path for path in controller.temporary.rglob("*") if path.is_file()]
    shown = {pair["after_header"].removeprefix(str(controller.dest)): pair for pair in results[0]["diff"]}
    assert (shown["/etc/app.conf"]["before"], shown["/etc/app.conf"]["after"]) == ("", "name somos\n")
    assert shown["/secrets/token"]["after"] == "new content, secret, not shown\n"
    assert shown["/etc/blob.bin"]["after"].startswith("binary, 256 bytes, sha256 ")
    assert shown["/secrets"]["after"] == {"state": "directory", "owner": ME, "group": MY_GROUP, "mode": "0711"}


TEMPLATES = {
    "usual": "{{ ansible_managed | comment }}\n{{ template_path | basename }} {{ template_host }} {{ template_uid }}\n"
    "{{ template_destpath }} {{ template_fullpath }} {{ template_mtime }}\n"
    "{% for n in [1, 2] %}\n  n {{ n }}\n{% endfor %}\n"
    "{% include 'parts/part.inc' %}|{% include 'beside.inc' %}|{{ nested }}|{{ untrusted }}\n"
    "a\\nb {{ 'c\\td' }} ação {{ 'é' }}\r\nend",
    "header": "#jinja2: trim_blocks: False, lstrip_blocks: True, variable_start_string: '[%', "
    "variable_end_string: '%]'\n  {% if true %}\n[% word %] {{ word }}\n  {% endif %}\n",
    "none": "{{ none }}",
    "number": "{{ 42 }}",
    "structure": "{{ {'a': [1, 2]} }}",
}


def test_templates_come_out_as_ansible_builtin_template_makes_them(controller: Controller) -> None:
    for name, text in TEMPLATES.items():
        controller.put(f"templates/{name}.j2", text)
    controller.put("templates/parts/part.inc", "part {{ word }}\n")
    controller.put("templates/beside.inc", "beside\n")
    theirs = controller.tmp / "theirs"
    theirs.mkdir()
    template = {"src": "{{ item }}.j2", "dest": f"{controller.dest}/{{{{ item }}}}"}
    outcome = controller.play(
        [
            controller.task("Ours"),
            {"name": "Keep", "ansible.builtin.command": f"cp -rT {controller.dest} {theirs}"},
            {"name": "Spoil", "ansible.builtin.command": f"rm -r {controller.dest}"},
            {"name": "Make room", "ansible.builtin.command": f"mkdir {controller.dest}"},
            {"name": "Theirs", "ansible.builtin.template": template, "loop": list(TEMPLATES)},
        ],
        vars={
            "word": "word",
            "nested": "{{ word }} nested",
            "untrusted": "{{ lookup('ansible.builtin.env', 'UNTRUSTED') }}",
        },
    )
    assert outcome.rc == 0, outcome.text
    for name in TEMPLATES:
        assert (theirs / name).read_bytes() == (controller.dest / name).read_bytes(), name


REFUSED: list[tuple[str, dict[str, Any], str]] = [
    ("undefined", {"src": "undefined"}, "undefined/deep/broken.conf.j2 cannot be rendered"),
    ("early", {"src": "early", "hashes": {"app": ["*"]}}, "config_tree_hashes is not known to a file that is hashed"),
    ("link", {"src": "link"}, "link/passwd is a symbolic link"),
    ("linked directory", {"src": "linked"}, "linked/etc is a symbolic link"),
    ("traversal", {"src": "../outside"}, "a path with '..' is not taken"),
    ("missing", {"src": "missing"}, "missing"),
    ("file", {"src": "good/a.conf.j2"}, "is not a directory"),
    ("twice", {"src": "twice"}, "both become a.conf"),
    ("both", {"src": "both"}, "becomes a file where a/b needs a directory"),
    ("mode", {"src": "good", "mode": 644}, "write it as a quoted octal string"),
    ("entry", {"src": "good", "entries": [{"path": "secret/**"}]}, "'secret/**' in entries matches no file"),
    ("hash", {"src": "good", "hashes": {"app": ["b.conf"]}}, "'b.conf' in hashes matches no file"),
    ("hash type", {"src": "good", "hashes": {"app": "a.conf"}}, "hashes.app has to be a list of globs"),
    ("directory", {"src": "good", "directories": [{"path": "../x"}]}, "'../x' is not a relative path"),
    ("relative dest", {"src": "good", "dest": "somewhere"}, "an absolute path without '..' is needed"),
    ("dest traversal", {"src": "good", "dest": "/tmp/../etc"}, "an absolute path without '..' is needed"),  # noqa: S108
    ("unknown option", {"src": "good", "force": True}, "Unsupported parameters"),
    ("internal option", {"src": "good", "_archive": "/etc/shadow"}, "Unsupported parameters"),
    ("owner", {"src": "good", "owner": "no-such-user"}, "user 'no-such-user', which does not exist here"),
]


def test_refusals_name_what_is_wrong_and_write_nothing(controller: Controller) -> None:
    controller.put("outside/a.conf", "a\n")
    templates = "templates"
    controller.put(f"{templates}/undefined/deep/broken.conf.j2", "{{ nowhere_defined }}\n")
    controller.put(f"{templates}/early/a.conf.j2", "{{ config_tree_hashes.app }}\n")
    controller.put(f"{templates}/good/a.conf.j2", "a\n")
    controller.put(f"{templates}/twice/a.conf.j2", "a\n")
    controller.put(f"{templates}/twice/a.conf", "a\n")
    controller.put(f"{templates}/both/a.j2", "a\n")
    controller.put(f"{templates}/both/a/b", "a\n")
    controller.put(f"{templates}/link/a.conf", "a\n").with_name("passwd").symlink_to("/etc/passwd")
    controller.put(f"{templates}/linked/a.conf", "a\n").with_name("etc").symlink_to("/etc")
    tasks = [{**controller.task(name, **options), "ignore_errors": True} for name, options, _message in REFUSED]
    outcome = controller.play(tasks)
    for name, _options, message in REFUSED:
        assert outcome.tasks[name].get("failed"), name
        assert message in outcome.tasks[name]["msg"], name
    assert not controller.dest.exists()


def test_sources_are_found_like_templates_and_vault_files_are_decrypted(controller: Controller) -> None:
    secret = VaultSecret(b"vault password")
    encrypted = VaultLib([("default", secret)]).encrypt(SECRET, secret)
    controller.put("vault-password", secret.bytes)
    controller.put("tree/key.pem", encrypted)
    absolute = controller.put("elsewhere/abs/x", "absolute\n").parent
    secret_file = {"path": "**", "secret": True, "mode": "0400"}
    outcome = controller.play(
        [
            controller.task("Relative", src="tree", entries=[secret_file]),
            controller.task("Absolute", name="absolute", src=str(absolute), dest=f"{controller.dest}/absolute"),
        ],
        *("--diff", "-vvvv", "--vault-password-file", "vault-password"),
    )
    assert outcome.rc == 0, outcome.text
    assert (controller.dest / "key.pem").read_text() == SECRET
    assert (controller.dest / "absolute/x").read_text() == "absolute\n"
    assert SECRET not in outcome.text


def test_a_secret_quoted_by_a_check_is_in_no_output(controller: Controller) -> None:
    controller.put("templates/token.j2", "TOKEN={{ token }}\n")
    checks = [{"argv": ["sh", "-c", "cat {stage}/token; cat {stage}/token >&2; false"]}]
    entries = [{"path": "token", "secret": True, "mode": "0400"}]
    task = controller.task("Refused", variables={"token": SECRET}, entries=entries, validate=checks)
    outcome = controller.play([task], "--diff", "-vvvv")
    assert outcome.tasks["Refused"]["rc"] == 1
    assert outcome.tasks["Refused"]["stdout"].startswith("********")
    assert SECRET not in outcome.text
    assert not controller.dest.exists()


def test_a_large_file_is_never_held_in_memory(controller: Controller) -> None:
    size = 200 << 20
    with controller.put("templates/large.bin", b"start").open("r+b") as large:
        large.truncate(size)
    outcome = controller.play([controller.task("Ship")], "--diff")
    assert outcome.rc == 0, outcome.text
    assert (controller.dest / "large.bin").stat().st_size == size
    assert outcome.peak_mb < LIMIT_MB
