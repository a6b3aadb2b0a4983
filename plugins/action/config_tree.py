# Copyright (c) 2026, Somos Infra maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Renders a source directory on the controller and has the module of the same name make the server equal to it."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ansible import constants
from ansible.errors import AnsibleActionFail, AnsibleError
from ansible.module_utils.common.text.converters import to_bytes
from ansible.plugins.action import ActionBase
from ansible.template import generate_ansible_template_vars, trust_as_template

from ansible_collections.somos.infra.plugins.module_utils._config_tree import ARGUMENT_SPEC, Manifest, Refusal
from ansible_collections.somos.infra.plugins.plugin_utils._config_tree import (
    SourceFile,
    digest,
    hash_globs,
    manifest,
    matches,
    pack,
    read_source,
)
from ansible_collections.somos.infra.plugins.plugin_utils._config_tree_diff import diff, paths

_HASHES = "config_tree_hashes"
_SERVER_OPTIONS = ("name", "src", "dest", "validate", "record_dir")


class ActionModule(ActionBase):
    # A directory on the server is made only when there is something to send.
    TRANSFERS_FILES = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        super().run(tmp, task_vars)
        _result, args = self.validate_argument_spec(ARGUMENT_SPEC)
        try:
            return self._run(args, task_vars or {})
        except Refusal as refusal:
            raise AnsibleActionFail(str(refusal)) from refusal

    def _run(self, args: dict[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        root = self._find_sources(args)
        for option in ("dest", "record_dir"):
            args[option] = _absolute(option, args[option])
        args["hashes"] = hash_globs(args["hashes"])
        files = read_source(root, args)
        with self._real_files(files):
            hashes = self._render_in_order(files, root, args, task_vars)
            tree = manifest(files, args)
            result = self._converge(files, tree, args, task_vars)
            # The server was told digests and paths, and answers with both: neither is for the user.
            for internal in ("invocation", "missing"):
                result.pop(internal, None)
            changes = result.pop("changes", None)
            if result.get("failed") or changes is None:
                return result
            if self._task.diff:
                result["diff"] = diff(changes, files, tree, args["dest"])
            return {
                **result,
                "hash": digest(files),
                "hashes": hashes,
                "written": paths(changes, removed=False),
                "removed": paths(changes, removed=True),
            }

    def _find_sources(self, args: dict[str, Any]) -> str:
        """Return the directory of the templates, and put the path of each further one in its place."""
        args["also"] = [{**item, "src": self._find_source(item["src"])} for item in args["also"]]
        return self._find_source(args["src"])

    def _find_source(self, src: str) -> str:
        if ".." in Path(src).parts:
            raise Refusal(f"src is {src!r}: a path with '..' is not taken.")
        root = self._find_needle("templates", src)
        if not Path(root).is_dir():
            raise Refusal(f"src is {src!r}, and {root} is not a directory.")
        return str(root)

    @contextmanager
    def _real_files(self, files: list[SourceFile]) -> Iterator[None]:
        """Let files that are copied and that Ansible Vault has encrypted be read in clear, from temporary files."""
        try:
            for file in files:
                if not file.template:
                    file.source = self._loader.get_real_file(file.source)
            yield
        finally:
            for file in files:
                self._loader.cleanup_tmp_file(file.source)

    def _render_in_order(
        self, files: list[SourceFile], root: str, args: dict[str, Any], task_vars: dict[str, Any]
    ) -> dict[str, str]:
        """Render the files that are hashed, then the others, which see the hashes."""
        hashed = [glob for globs in args["hashes"].values() for glob in globs]
        variables = {**task_vars, **args["variables"]}
        self._measure([file for file in files if matches(file.path, hashed)], root, args, variables)
        hashes = {
            name: digest(file for file in files if matches(file.path, globs)) for name, globs in args["hashes"].items()
        }
        variables[_HASHES] = hashes
        self._measure([file for file in files if not matches(file.path, hashed)], root, args, variables)
        return hashes

    def _measure(self, files: list[SourceFile], root: str, args: dict[str, Any], variables: dict[str, Any]) -> None:
        for file in files:
            if file.template:
                file.content = self._render(file, root, args, variables)
            file.measure()

    def _render(self, file: SourceFile, root: str, args: dict[str, Any], variables: dict[str, Any]) -> bytes:
        """Render one file as ansible.builtin.template does."""
        about = generate_ansible_template_vars(
            path=str(Path(args["src"], Path(file.source).relative_to(root))),
            fullpath=file.source,
            dest_path=str(Path(args["dest"], file.path)),
        )
        if "ansible_managed" in variables:
            del about["ansible_managed"]
        search = [*variables.get("ansible_search_path", []), self._loader.get_basedir(), str(Path(file.source).parent)]
        templar = self._templar.copy_with_new_env(
            searchpath=[path for base in search for path in (f"{base}/templates", base)],
            available_variables={**variables, **about},
        )
        try:
            text = trust_as_template(self._loader.get_text_file_contents(file.source))
            rendered = templar.template(text, escape_backslashes=False, overrides={"trim_blocks": True})
        except AnsibleError as error:
            hint = f" ({_HASHES} is not known to a file that is hashed itself.)" if _HASHES in str(error) else ""
            raise AnsibleActionFail(f"{file.source} cannot be rendered.{hint}") from error
        return to_bytes("" if rendered is None else rendered, errors="surrogate_or_strict")

    def _converge(
        self, files: list[SourceFile], tree: Manifest, args: dict[str, Any], task_vars: dict[str, Any]
    ) -> dict[str, Any]:
        """Call the server with the manifest alone, and again with the contents that it says it lacks."""
        call = {option: args[option] for option in _SERVER_OPTIONS} | {"_manifest": tree.dump()}
        result: dict[str, Any] = self._execute_module(module_args=dict(call), task_vars=task_vars)
        missing = set(result.get("missing", ()))
        if not missing:
            return result
        if not self._connection._shell.tmpdir:
            self._make_tmp_path()
        remote = self._connection._shell.join_path(self._connection._shell.tmpdir, "config_tree.tar")
        with tempfile.NamedTemporaryFile(dir=constants.DEFAULT_LOCAL_TMP) as archive:  # type: ignore[attr-defined]
            pack((file for file in files if file.path in missing), archive)
            archive.flush()
            self._transfer_file(archive.name, remote)
        self._fixup_perms2((self._connection._shell.tmpdir, remote), execute=False)
        answer: dict[str, Any] = self._execute_module(module_args={**call, "_archive": remote}, task_vars=task_vars)
        return answer


def _absolute(option: str, path: str) -> str:
    parts = Path(path)
    if not parts.is_absolute() or ".." in parts.parts:
        raise Refusal(f"{option} is {path!r}: an absolute path without '..' is needed.")
    return str(parts)
