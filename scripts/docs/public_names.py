"""The public names of medrobust and where each is documented. Nothing is listed here but modules: names are theirs."""

from __future__ import annotations

import ast
import importlib
import importlib.util
import inspect
from dataclasses import dataclass
from types import ModuleType
from typing import Any

MODULES = (
    "medrobust",
    "medrobust.attacks",
    "medrobust.objectives",
    "medrobust.models",
    "medrobust.data",
    "medrobust.data.check",
    "medrobust.records",
    "medrobust.measuring",
    "medrobust.training",
    "medrobust.testing",
    "medrobust.auditing",
    "medrobust.auditing.checks",
    "medrobust.auditing.active",
    "medrobust.report",
    "medrobust.report.sections",
    "medrobust.report.exports",
    "medrobust.explain",
    "medrobust.recipes.parts",
    "medrobust.recipes.audit",
    "medrobust.recipes.train",
    "medrobust.recipes.study",
    "medrobust.study.hypotheses",
    "medrobust.study.pictured",
    "medrobust.study.launchers",
    "medrobust.engine",
    "medrobust.engine.abilities",
    "medrobust.findings",
    "medrobust.norms",
    "medrobust.goals",
    "medrobust.losses",
    "medrobust.corruptions",
    "medrobust.threat",
)
# Entries of a registry are public whether or not the module names them: registering is all that is asked.
REGISTRIES = {
    "medrobust.attacks": "ATTACKS",
    "medrobust.objectives": "OBJECTIVES",
    "medrobust.auditing.checks": "CHECKS",
}


@dataclass(frozen=True)
class Name:
    """A public name.

    Args:
        module: that offers it.
        name: as it is imported from there.
        home: dotted path of its definition, which is what the reference shows.
        value: what it is.
    """

    module: str
    name: str
    home: str
    value: Any

    @property
    def path(self) -> str:
        """The dotted path that users write."""
        return f"{self.module}.{self.name}"


def names(module: str) -> list[Name]:
    """The public names of a module in their order, then the entries of its registry that it does not name."""
    loaded = importlib.import_module(module)
    offered = list(getattr(loaded, "__all__", None) or _defined(loaded))
    found = [Name(module, name, home(loaded, name), getattr(loaded, name)) for name in offered]
    registry = getattr(loaded, REGISTRIES.get(module, ""), {})
    entries = registry.items() if isinstance(registry, dict) else ((entry.__name__, entry) for entry in registry)
    known = {one.home for one in found}
    for name, value in entries:
        where = f"{value.__module__}.{value.__qualname__}"
        if where not in known:
            known.add(where)
            found.append(Name(module, name, where, value))
    return found


def owners() -> dict[str, str]:
    """Home of every public name -> the module that documents it: of those that offer it the nearest to its home."""
    offered: dict[str, list[str]] = {}
    for module in MODULES:
        for one in names(module):
            offered.setdefault(one.home, []).append(module)

    def nearness(module: str, where: str) -> int:
        return len(module) if f"{where}.".startswith(f"{module}.") else 0

    return {where: max(modules, key=lambda module: nearness(module, where)) for where, modules in offered.items()}


def home(module: ModuleType, name: str) -> str:
    """The dotted path of the definition of a name that a module offers."""
    value = getattr(module, name)
    if inspect.ismodule(value):
        return value.__name__
    if inspect.isclass(value) or inspect.isfunction(value):
        return f"{value.__module__}.{value.__qualname__}"
    for node in _tree(module).body:
        if isinstance(node, ast.ImportFrom):
            for alias in node.names:
                if (alias.asname or alias.name) == name:
                    return home(importlib.import_module(_source(module, node)), alias.name)
    return f"{module.__name__}.{name}"


def has_definition(where: str) -> bool:
    """Whether a path has a statement of its own, which `a, b = A(), B()` has not."""
    module, _, name = where.rpartition(".")
    return name in _defined(importlib.import_module(module), several=False)


def _source(module: ModuleType, node: ast.ImportFrom) -> str:
    """The module that a statement imports from."""
    package = module.__name__ if hasattr(module, "__path__") else module.__name__.rpartition(".")[0]
    return importlib.util.resolve_name("." * node.level + (node.module or ""), package)


def _defined(module: ModuleType, *, several: bool = True) -> list[str]:
    """The public names that a module defines itself; those that share a statement with others only on demand."""
    found: list[str] = []
    for node in _tree(module).body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef):
            found.append(node.name)
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            leaves = [leaf for target in targets for leaf in (ast.walk(target) if several else [target])]
            found += [leaf.id for leaf in leaves if isinstance(leaf, ast.Name)]
    return [name for name in found if not name.startswith("_")]


def _tree(module: ModuleType) -> ast.Module:
    return ast.parse(inspect.getsource(module))
