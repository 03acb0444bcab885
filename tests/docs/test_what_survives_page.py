"""The generated page of what survives is what `scripts/what_survives.py` makes of the committed results."""

from __future__ import annotations

import importlib.util
import sys
from types import ModuleType

import numpy as np
import pytest

from medrobust.study.expected import Expected, Wanted
from studies.make_outcomes import BETTER, RANK, both, first, study

from .pages import ROOT

PAGE = ROOT / "docs" / "what-survives.md"


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("what_survives", ROOT / "scripts" / "what_survives.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["what_survives"] = module
    spec.loader.exec_module(module)
    return module


def test_the_page_is_what_the_script_makes(script: ModuleType) -> None:
    results = script.read_results(ROOT / "studies")
    if not results:
        pytest.skip("no results are committed")
    assert PAGE.read_text(encoding="utf-8") == script.page(results), "run python scripts/what_survives.py"


def test_the_page_is_in_the_navigation_where_it_exists() -> None:
    assert PAGE.is_file() == ("what-survives.md" in (ROOT / "mkdocs.yml").read_text(encoding="utf-8"))


def result(script: ModuleType, **paper: object) -> object:
    """A study of two trainings in which the claim holds as published, and not under an honest attack."""
    old, new = first(41), np.roll(first(63), 20)
    cells = [*both({"training": "old"}, old), both({"training": "new"}, new)[0], both({"training": "new"}, old)[1]]
    made = study(cells, [BETTER], paper={"authors": "A, B", "year": 2020, "headline": "New is better.", **paper})
    expected = tuple(
        Expected(
            "1", name, "PGD", Wanted("accuracy", {"training": name, "attack": "pgd"}), value, None, "%", str(value)
        )
        for name, value in (("new", 70.5), ("old", 40.0))
    )
    return script.Result(made, expected, "Few images.")


def test_both_columns_and_fair_words(script: ModuleType) -> None:
    text = script.page([result(script)])
    assert "| A et al. 2020 | the new training is better | **holds** | could not be told |" in text
    assert "- **As published.** In this smaller re-run it holds. Under pgd at" in text
    assert "- **Under an honest attack.** In this smaller re-run the sides could not be told apart." in text
    assert "| Table 1, new, PGD: Accuracy | 70.5 % | 63.0 % | 41.0 % |" in text
    assert "would have been found in 8 of 10 such studies" in text
    assert "**The re-run.** Profile `cpu`, 4 of 4 audits. Few images." in text


def test_numbers_that_a_recipe_names(script: ModuleType) -> None:
    named = [{"select": "training=new attack=pgd", "words": "The new one under PGD"}]
    text = script.page([result(script, numbers=named)])
    assert "| The new one under PGD | 70.5 % |" in text
    assert "Table 1, old" not in text


def test_a_claim_that_was_not_run_or_came_out_the_other_way(script: ModuleType) -> None:
    rights = dict(zip("edcba", [first(c, 300) for c in (270, 200, 150, 80, 20)], strict=True))
    cells = [one for name, right in rights.items() for one in both({"model": name}, right)]
    none = RANK | {"name": "far", "where": {"attack": "pgd", "epsilon": "9/255"}}
    text = script.page([script.Result(study(cells, [RANK, none]), (), "")])
    assert "it came out the other way round" in text
    assert "- **As published.** Not run: " in text
    assert "| not run | not run |" in text
