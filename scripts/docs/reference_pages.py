"""The generated pages of the reference: one for each module, the registries, the keys of recipes, the command line.

Everything comes from the registries, `__all__` and docstrings, so that a new attack or objective needs no line here.
"""

from __future__ import annotations

import dataclasses
import importlib
import inspect
from collections.abc import Callable, Iterable, Sequence
from typing import Any, get_type_hints

from docstrings import arguments, plain
from public_names import MODULES, Name, has_definition, names, owners

FOLDER = "reference/api"


def pages() -> dict[str, str]:
    """Path in docs/ -> Markdown."""
    owner = owners()
    found = {page_of(module): _module_page(module, owner) for module in MODULES}
    return found | {"reference/keys.md": _keys(), "reference/command-line.md": _command_line()}


def page_of(module: str) -> str:
    """The path of a module's page in docs/.

    Example:
        >>> page_of("medrobust.recipes.parts"), page_of("medrobust")
        ('reference/api/recipes-parts.md', 'reference/api/medrobust.md')
    """
    return f"{FOLDER}/{module.removeprefix('medrobust.').replace('.', '-')}.md"


def first_sentence(value: Any) -> str:
    """The first paragraph of a docstring, for a table."""
    return plain(" ".join((inspect.getdoc(value) or "").partition("\n\n")[0].split()))


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines) + "\n"


def _module_page(module: str, owner: dict[str, str]) -> str:
    offered = names(module)
    text = [f"# {module}\n", plain((inspect.getdoc(importlib.import_module(module)) or "").partition("\n\n")[0]) + "\n"]
    if module in TABLES:
        text.append(TABLES[module](offered))
    elsewhere = [one for one in offered if owner[one.home] != module or inspect.ismodule(one.value)]
    entries: dict[str, list[Name]] = {}
    for one in offered:
        if one not in elsewhere:
            entries.setdefault(one.home, []).append(one)
    text += [_entry(where, group) for where, group in sorted(entries.items(), key=lambda entry: _rank(entry[1]))]
    if elsewhere:
        text += ["## Documented on other pages\n", _table(["name", ""], [_pointer(one, owner) for one in elsewhere])]
    return "\n".join(text)


def _rank(group: list[Name]) -> int:
    """Functions and what is called like one, then classes, then constants."""
    return min(0 if one.name[0].islower() else 2 if one.name.isupper() or one.name[0] == "_" else 1 for one in group)


def _pointer(one: Name, owner: dict[str, str]) -> tuple[str, str]:
    if inspect.ismodule(one.value):
        return f"{anchor(one.path)}[`{one.name}`]({_beside(one.home)})", first_sentence(one.value)
    target = f"{_beside(owner[one.home])}#{one.home}"
    return f"{anchor(one.path)}[`{one.name}`]({target})", first_sentence(one.value)


def _beside(module: str) -> str:
    return page_of(module).removeprefix(f"{FOLDER}/")


def anchor(path: str) -> str:
    """Where links to a public name end."""
    return f'<a id="{path}"></a>'


def _entry(where: str, group: list[Name]) -> str:
    """The definition of one object, under all names by which a module offers it."""
    title = ", ".join(dict.fromkeys(one.name for one in sorted(group, key=lambda one: one.name[0].isupper())))
    anchors = "".join(anchor(one.path) for one in group if one.path != where)
    value = group[0].value
    if not (inspect.isclass(value) or inspect.isroutine(value) or where.endswith("__") or has_definition(where)):
        return f"{anchors}\n\n## {title} {{#{where}}}\n\n`{type(value).__name__}()`: {first_sentence(value)}\n"
    options = f'    options:\n      heading: "{title}"\n      toc_label: "{title}"\n'
    return f"{anchors}\n\n::: {where}\n{options}"


def _link(offered: Sequence[Name], name: str, value: Any) -> str:
    """A registry's entry, linked to its definition on the same page."""
    where = f"{value.__module__}.{value.__qualname__}" if hasattr(value, "__qualname__") else ""
    return f"[`{name}`](#{where})" if any(one.home == where for one in offered) else f"`{name}`"


def _attacks(offered: Sequence[Name]) -> str:
    from medrobust.attacks import ATTACKS

    rows = []
    for name, build in ATTACKS.items():
        said = build().abilities
        what = first_sentence(build)
        rows.append([_link(offered, name, build), what, said.kind, said.needs, ", ".join(said.norms)])
    head = ["name", "what it is", "kind", "needs", "norms"]
    return "## By name\n\nWhat `attacks=[...]`, `measure` and `audit` take.\n\n" + _table(head, rows)


def _objectives(offered: Sequence[Name]) -> str:
    from medrobust.objectives import OBJECTIVES

    rows = [[_link(offered, name, kind), first_sentence(kind)] for name, kind in OBJECTIVES.items()]
    return "## By name\n\nWhat `objective.name` of a recipe takes.\n\n" + _table(["name", "what it minimizes"], rows)


def _models(offered: Sequence[Name]) -> str:
    from medrobust.models import MODELS

    rows = [[f"`zoo:{name}`", first_sentence(getattr(build, "func", build))] for name, build in MODELS.items()]
    return "## Networks of our own\n\n" + _table(["name", "what it is"], rows)


def _data(offered: Sequence[Name]) -> str:
    from medrobust.data import DATASETS, set_options
    from medrobust.data.commands import cards

    known = {card.name: card for card in cards()}
    rows = [
        [f"`{name}`", plain(known[name].title), plain(known[name].license), ", ".join(set_options(name))]
        for name in DATASETS
    ]
    return "## Data sets by name\n\n" + _table(["name", "what it is", "license", "options"], rows)


def _checks(offered: Sequence[Name]) -> str:
    from medrobust.auditing.checks import CHECKS

    rows = [[_link(offered, check.__name__, check), first_sentence(check)] for check in CHECKS]
    return "## In their order\n\n" + _table(["check", "what it asks"], rows)


def _sections(offered: Sequence[Name]) -> str:
    from medrobust.report.sections import SECTIONS

    rows = [[f"`{one.id}`", plain(one.title), f"`{one.template.name}`"] for one in SECTIONS]
    return "## In their order\n\n" + _table(["id", "heading", "template"], rows)


TABLES: dict[str, Callable[[Sequence[Name]], str]] = {
    "medrobust.attacks": _attacks,
    "medrobust.objectives": _objectives,
    "medrobust.models": _models,
    "medrobust.data": _data,
    "medrobust.auditing.checks": _checks,
    "medrobust.report.sections": _sections,
}


def _keys() -> str:
    """The keys of both recipes, from their dataclasses."""
    from medrobust.recipes.audit import AuditRecipe
    from medrobust.recipes.train import TrainRecipe

    text = [
        "# Keys of recipes\n",
        "A key is written in a YAML file, or as `key=value` on the command line. Sections that audits and training",
        "share are one class each; keys of them that have no meaning in one of the two are refused there, with the",
        "reason.\n",
    ]
    for title, recipe in (("Audit", AuditRecipe), ("Training", TrainRecipe)):
        text += [f"## {title}\n", first_sentence(recipe) + "\n"]
        text.append(_table(["key", "default", "meaning"], _rows(recipe, "", recipe.FOREIGN)))
        refused = [[f"`{key}`", plain(reason)] for key, reason in recipe.FOREIGN.items()]
        text += [f"### Refused in {recipe.WHAT}\n", _table(["key", "what is said"], refused)]
    return "\n".join(text)


def _rows(kind: Any, prefix: str, refused: Iterable[str]) -> list[list[str]]:
    meanings = {name: text for group, text in arguments(inspect.getdoc(kind) or "") for name in group}
    hints = get_type_hints(kind)
    rows: list[list[str]] = []
    for field in dataclasses.fields(kind):
        key = prefix + field.name
        if key in refused:
            continue
        if dataclasses.is_dataclass(hints[field.name]):
            rows += _rows(hints[field.name], f"{key}.", refused)
        else:
            rows.append([f"`{key}`", _default(field), plain(meanings.get(field.name, ""))])
    return rows


def _default(field: dataclasses.Field[Any]) -> str:
    if field.default is not dataclasses.MISSING:
        return "" if field.default is None else f"`{field.default}`"
    if field.default_factory is not dataclasses.MISSING and (made := field.default_factory()):
        return f"`{list(made) if isinstance(made, dict) else made}`"
    return ""


def _command_line() -> str:
    """--help of every command."""
    import typer
    from typer.testing import CliRunner

    from medrobust.cli.main import app

    text = ["# The command line\n"]

    def add(command: Any, path: list[str]) -> None:
        said = CliRunner().invoke(app, [*path, "--help"], prog_name="medrobust", env={"COLUMNS": "110"}).output
        text.append(f"## medrobust {' '.join(path)}".rstrip() + f"\n\n```text\n{said.strip()}\n```\n")
        for name, inner in getattr(command, "commands", {}).items():
            add(inner, [*path, name])

    add(typer.main.get_command(app), [])
    return "\n".join(text)
