"""Every public name is in the reference, and says what it is."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from types import ModuleType

import medrobust
from medrobust.attacks import ATTACKS
from medrobust.auditing.checks import CHECKS
from medrobust.data import DATASETS
from medrobust.objectives import OBJECTIVES
from medrobust.report.sections import SECTIONS

from .pages import anchors

# Packages that hand names on to other parts of medrobust only.
INSIDE = {"medrobust.cli"}


def test_every_public_name_has_a_place(reference: ModuleType, generated: dict[str, str]) -> None:
    missing = []
    for module in reference.MODULES:
        here = anchors(generated[reference.page_of(module)])
        missing += [one.path for one in reference.names(module) if one.path not in here]
    assert missing == []


def test_every_package_with_public_names_has_a_page(reference: ModuleType) -> None:
    found = {"medrobust"}
    for info in pkgutil.walk_packages(medrobust.__path__, "medrobust."):
        if info.ispkg and hasattr(importlib.import_module(info.name), "__all__"):
            found.add(info.name)
    assert len(found) > 10
    assert found - set(reference.MODULES) == INSIDE


def test_every_definition_stands_once(reference: ModuleType, generated: dict[str, str]) -> None:
    shown = [line for text in generated.values() for line in text.splitlines() if line.startswith("::: ")]
    assert len(shown) == len(set(shown)) > 100


def test_every_public_name_says_what_it_is(reference: ModuleType) -> None:
    silent = [
        one.path
        for module in reference.MODULES
        for one in reference.names(module)
        if (inspect.isclass(one.value) or inspect.isroutine(one.value)) and not inspect.getdoc(one.value)
    ]
    assert silent == []


def test_registries_are_listed_from_themselves(generated: dict[str, str]) -> None:
    cells = {
        path: [line.split("|")[1] for line in text.splitlines() if line.startswith("| ")]
        for path, text in generated.items()
    }
    for page, entries in (
        ("attacks", [*ATTACKS]),
        ("objectives", [*OBJECTIVES]),
        ("data", [*DATASETS]),
        ("auditing-checks", [check.__name__ for check in CHECKS]),
        ("report-sections", [section.id for section in SECTIONS]),
    ):
        listed = " ".join(cells[f"reference/api/{page}.md"])
        assert [name for name in entries if f"`{name}`" not in listed] == [], page


def test_keys_of_both_recipes_are_listed(generated: dict[str, str]) -> None:
    text = generated["reference/keys.md"]
    for key in ("threat.epsilons", "objective.options", "validation.attack.name", "data.image_size"):
        assert f"`{key}`" in text
    assert "did you mean 'epsilons'?" in text
