"""Footprints: what each node of a workflow stands on in its source, so that it can be seen what a change touches.

A function stands on its own definition and on every top-level statement of its module that gives it a name, and so on;
of what it imports, on whole files below the same directory. Comments and layout count for nothing.
"""

from __future__ import annotations

import ast
import hashlib
import inspect
import json
import sys
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from heliostat.code import digest, leads_to, project_files
from heliostat.job import finishing

if TYPE_CHECKING:
    from collections.abc import Iterator

    from heliostat.workflow import Workflow


def footprints(workflow: Workflow) -> dict[str, str]:
    """By node: a digest of what it stands on. Equal digests mean that it would do the same again."""
    modules: dict[str, _Module] = {}
    found = {}
    for node in workflow.graph:
        called = [workflow.signatures.get(key) for key in (node.name, finishing(node.name))]
        own = json.dumps([asdict(node)[name] for name in ("job", "review", "env", "kind")], default=str, sort_keys=True)
        code = "".join(_code(signature.function, modules) for signature in called if signature is not None)
        if (part := workflow.parts.get(node.name)) is not None:
            code = json.dumps(footprints(part), sort_keys=True)
        found[node.name] = hashlib.sha256(f"{own}\n{code}".encode()).hexdigest()
    return found


def files(workflow: Workflow) -> list[Path]:
    """The source files that a workflow stands on."""
    own = {file for signature in workflow.signatures.values() for file in project_files(signature.function)}
    return sorted(own.union(*map(files, workflow.parts.values())))


def _code(function: object, modules: dict[str, _Module]) -> str:
    while isinstance(function, partial):
        function = function.func
    plain: Any = inspect.unwrap(function) if callable(function) else function
    name, top = getattr(plain, "__module__", None) or "", str(getattr(plain, "__qualname__", "")).partition(".")[0]
    module = modules.get(name) or _read(name)
    if module is None or top not in module.binds:
        return digest([function])  # made inside another function, or without a file
    modules[name] = module
    return module.below(top)


def _read(name: str) -> _Module | None:
    module = sys.modules.get(name)
    file = getattr(module, "__file__", None)
    if not isinstance(file, str) or not file.endswith(".py"):
        return None
    try:
        return _Module(ast.parse(Path(file).read_text("utf-8")), vars(module))
    except (OSError, SyntaxError, ValueError):
        return None


class _Module:
    """The top-level statements of a module, by the names that they give."""

    def __init__(self, tree: ast.Module, held: dict[str, Any]) -> None:
        self._held = held
        self.binds: dict[str, list[ast.stmt]] = {}
        for statement in tree.body:
            for name in _bound(statement):
                self.binds.setdefault(name, []).append(statement)

    def below(self, name: str) -> str:
        """All that a name stands on, as text."""
        seen: dict[int, str] = {}
        waiting, known = [name], set[str]()
        while waiting:
            if (each := waiting.pop()) in known:
                continue
            known.add(each)
            for statement in self.binds.get(each, ()):
                if id(statement) not in seen:
                    seen[id(statement)] = ast.dump(statement)
                    waiting += _free(statement)
                    if isinstance(statement, ast.Import | ast.ImportFrom):
                        seen[id(statement)] += "".join(self._imported(statement))
        return "\n".join(sorted(seen.values()))

    def _imported(self, statement: ast.Import | ast.ImportFrom) -> Iterator[str]:
        """The digests of the modules that an import leads to, where they are of the same project."""
        for name in leads_to(statement, self._held.get("__package__")):
            module = sys.modules.get(name)
            if module is not None and project_files(module):
                yield digest([module])


def _bound(statement: ast.stmt) -> set[str]:
    """The names that a top-level statement gives; one that gives none may change those that it mentions."""
    if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return {statement.name}
    if isinstance(statement, ast.Import | ast.ImportFrom):
        return {alias.asname or alias.name.partition(".")[0] for alias in statement.names}
    if isinstance(statement, ast.Assign | ast.AnnAssign):
        targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
        return {node.id for target in targets for node in ast.walk(target) if isinstance(node, ast.Name)}
    return {node.id for node in ast.walk(statement) if isinstance(node, ast.Name)}


_SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
_LOOPS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)


def _free(tree: ast.AST) -> set[str]:
    """The names that a piece of code takes from around it: what a function binds itself is its own."""
    if isinstance(tree, ast.Name):
        return {tree.id}
    children = list(ast.iter_child_nodes(tree))
    if not isinstance(tree, _SCOPES + _LOOPS):
        return {name for child in children for name in _free(child)}
    if isinstance(tree, _LOOPS):
        own = {name for loop in tree.generators for name in _stored(loop.target)}
        return {name for child in children for name in _free(child)} - own
    body = tree.body if isinstance(tree.body, list) else [tree.body]
    own = {node.arg for node in ast.walk(tree.args) if isinstance(node, ast.arg)}
    own |= {name for part in body for name in _stored(part)}
    own -= {name for node in ast.walk(tree) if isinstance(node, ast.Global) for name in node.names}
    inside = {name for part in body for name in _free(part)} - own
    return inside | {name for child in children if child not in body for name in _free(child)}


def _stored(tree: ast.AST) -> set[str]:
    """The names that a statement binds in its own scope."""
    if isinstance(tree, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return {tree.name}
    if isinstance(tree, ast.Name):
        return {tree.id} if isinstance(tree.ctx, ast.Store) else set()
    if isinstance(tree, (ast.Lambda, *_LOOPS)):
        return set()
    if isinstance(tree, ast.Import | ast.ImportFrom):
        return _bound(tree)
    return {name for child in ast.iter_child_nodes(tree) for name in _stored(child)}
