"""Render the roles' templates as a run would, without a server.

A play is loaded by Ansible's own classes, and of its tasks two kinds are done: the validation of a role's arguments,
and `config_tree`, by the plugin itself, short of the server. So defaults, inventory, role parameters, `when`,
precedence, which files there are and what is in them are the real ones. What is undefined or of the wrong type fails.

    render_role("redis", {"redis_timeout_s": 60})["redis/redis.conf"]
    render_role("postgres", inventory="multi", host="database-1")
    render_inventory("production", "somos-1")["nginx"]["nginx/nginx.conf"]
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from ansible.inventory.manager import InventoryManager
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible.parsing.dataloader import DataLoader
from ansible.playbook import Playbook
from ansible.playbook.block import Block
from ansible.playbook.play import Play
from ansible.playbook.task import Task
from ansible.template import Templar
from ansible.vars.hostvars import HostVars
from ansible.vars.manager import VariableManager

from ansible_collections.somos.infra.plugins.action.config_tree import ActionModule as ConfigTree
from ansible_collections.somos.infra.plugins.module_utils._config_tree import ARGUMENT_SPEC
from ansible_collections.somos.infra.plugins.plugin_utils._config_tree import SourceFile, read_source

ROOT = Path(__file__).resolve().parents[3]
HERE = Path(__file__).resolve().parent
CONFIG_TREE = "somos.infra.config_tree"
VALIDATE = "ansible.builtin.validate_argument_spec"


@dataclass(frozen=True)
class File:
    """One file of a tree, as `config_tree` would hand it to the server."""

    text: str
    owner: str
    group: str
    mode: str
    secret: bool


def render_role(
    role: str, overrides: Mapping[str, Any] | None = None, inventory: str = "single", host: str | None = None
) -> dict[str, str]:
    """The text of every file that the role writes on `host` (the inventory's first host unless told)."""
    return {path: file.text for path, file in render_files(role, overrides, inventory, host).items()}


def render_files(
    role: str, overrides: Mapping[str, Any] | None = None, inventory: str = "single", host: str | None = None
) -> dict[str, File]:
    """Like `render_role`, with owner, mode and secrecy of every file."""
    variable_manager, hosts = _variable_manager(HERE / "inventories" / f"{inventory}.yml", scenario(), overrides)
    play = Play.load(
        {"name": role, "hosts": "all", "gather_facts": False, "roles": [f"somos.infra.{role}"]},
        variable_manager=variable_manager,
        loader=variable_manager._loader,
    )
    return _render_play(play, variable_manager, host or hosts[0]).get(role, {})


def render_inventory(
    inventory: str, host: str, overrides: Mapping[str, Any] | None = None
) -> dict[str, dict[str, str]]:
    """Role → path → text of everything that `playbooks/site.yml` writes on `host` of `inventories/<inventory>`.

    The inventory speaks for itself: only what its vault would hold comes from the scenario.
    """
    return {
        role: {path: file.text for path, file in files.items()}
        for role, files in render_inventory_files(inventory, host, overrides).items()
    }


def render_inventory_files(
    inventory: str, host: str, overrides: Mapping[str, Any] | None = None
) -> dict[str, dict[str, File]]:
    """Like `render_inventory`, with owner, mode and secrecy of every file."""
    variable_manager, _ = _variable_manager(ROOT / "inventories" / inventory, secrets(), overrides)
    playbook = Playbook.load(
        str(ROOT / "playbooks" / "site.yml"), variable_manager=variable_manager, loader=variable_manager._loader
    )
    trees: dict[str, dict[str, File]] = {}
    for play in playbook.get_plays():
        templar = Templar(loader=variable_manager._loader, variables=variable_manager.get_vars(play=play))
        pattern = templar.template(play.hosts)
        if any(found.name == host for found in variable_manager._inventory.get_hosts(pattern)):
            for role, files in _render_play(play, variable_manager, host).items():
                trees.setdefault(role, {}).update(files)
    return trees


@cache
def scenario() -> dict[str, Any]:
    """The variables of scenario.yml, unrendered."""
    return dict(DataLoader().load_from_file(str(HERE / "scenario.yml"), trusted_as_template=True))


def secrets() -> dict[str, str]:
    """Every secret of the scenario: the values that may stand only in files marked secret."""
    return {name: value for name, value in scenario().items() if name.startswith("vault_")}


def roles_with_templates() -> list[str]:
    """The roles that have a templates directory, by name."""
    return sorted(path.parent.name for path in (ROOT / "roles").glob("*/templates"))


def _variable_manager(
    source: Path, defaults: Mapping[str, Any], overrides: Mapping[str, Any] | None
) -> tuple[VariableManager, list[str]]:
    loader = DataLoader()
    loader.set_basedir(str(ROOT / "playbooks"))
    inventory = InventoryManager(loader=loader, sources=[str(source)])
    if not inventory.hosts:
        raise AssertionError(f"{source} names no host")
    variable_manager = VariableManager(loader=loader, inventory=inventory)
    HostVars(inventory, variable_manager, loader)
    # Below everything that the inventory says itself.
    for name, value in defaults.items():
        inventory.groups["all"].vars.setdefault(name, value)
    for host in inventory.hosts:
        variable_manager.set_host_facts(host, scenario()["scenario_facts"])
    variable_manager._extra_vars = dict(overrides or {})
    return variable_manager, sorted(inventory.hosts)


def _render_play(play: Play, variable_manager: VariableManager, host_name: str) -> dict[str, dict[str, File]]:
    host = variable_manager._inventory.get_host(host_name)
    if host is None:
        raise AssertionError(f"the inventory has no host {host_name}")
    trees: dict[str, dict[str, File]] = {}
    for task in _tasks(play.compile()):
        if task.action not in (CONFIG_TREE, VALIDATE):
            continue
        variables = variable_manager.get_vars(play=play, host=host, task=task)
        variables["ansible_search_path"] = task.get_search_path()
        templar = Templar(loader=variable_manager._loader, variables=variables)
        if not all(templar.evaluate_conditional(condition) for condition in task.when):
            continue
        if task.action == VALIDATE:
            _validate_arguments(task, templar)
            continue
        role = task._role.get_name(include_role_fqcn=False).rpartition(".")[2]
        files = _render_tree(task, templar)
        clash = trees.setdefault(role, {}).keys() & files.keys()
        if clash:
            raise AssertionError(f"role {role} writes {sorted(clash)} twice")
        trees[role].update(files)
    return trees


def _tasks(blocks: list[Block | Task]) -> Iterator[Task]:
    for item in blocks:
        if isinstance(item, Block):
            yield from _tasks([*item.block, *item.rescue, *item.always])
        else:
            yield item


def _validate_arguments(task: Task, templar: Templar) -> None:
    specification = task.args["argument_spec"]
    given = {name: value for name, value in templar.available_variables.items() if name in specification}
    result = ArgumentSpecValidator(specification).validate(templar.template(given), validate_role_argument_spec=True)
    if result.error_messages:
        raise AssertionError(f"{task.get_name()}: {result.error_messages}")


def _render_tree(task: Task, templar: Templar) -> dict[str, File]:
    """What the plugin makes of the task, up to the point where it would turn to the server."""
    task = task.copy()
    task.args = templar.template(task.args)
    nothing = dict.fromkeys(("connection", "play_context", "shared_loader_obj"))
    action = ConfigTree(task, loader=templar._engine._loader, templar=templar, **nothing)
    _, arguments = action.validate_argument_spec(ARGUMENT_SPEC)
    root = action._find_sources(arguments)
    files = read_source(root, arguments)
    action._render_in_order(files, root, arguments, dict(templar.available_variables))
    return {file.path: _file(file) for file in files}


def _file(file: SourceFile) -> File:
    with file.open() as content:
        text = content.read().decode("utf-8", errors="surrogateescape")
    return File(text, file.owner, file.group, f"{file.mode:04o}", file.secret)
