"""The generated page of what survives is what `scripts/what_survives.py` makes of the committed results."""

from __future__ import annotations

import importlib.util
import sys
from types import ModuleType

import numpy as np
import pytest

from medrobust.study.expected import Expected, Wanted
from medrobust.study.read import Study
from studies.make_outcomes import BETTER, RANK, both, condition, first, outcome, study

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


def number(
    table: str, row: str, where: dict[str, str], reported: float, metric: str = "accuracy", subset: str = "all"
) -> Expected:
    """A percentage of a paper."""
    return Expected(table, row, "PGD", Wanted(metric, where, subset), reported, None, "%", f"{reported:.1f}")


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
    assert "- **As published.** It holds. Under pgd at" in text
    assert "- **Under an honest attack.** The sides could not be told apart. Under the worst case at" in text
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
    assert "- **As published.** It came out the other way round. " in text
    assert "- **As published.** Not run: accuracy under pgd at linf 9/255 was not measured" in text
    assert "| not run | not run |" in text


def rows(script: ModuleType, expected: list[Expected], study_: Study, check: str = "") -> tuple[list[str], str]:
    """The rows of the table of numbers, and the whole page."""
    text = script.page([script.Result(study_, tuple(expected), "", check)])
    return [line for line in text.splitlines() if line.startswith("| Table")], text


def two_models() -> Study:
    """Old and new training of the models a and b under PGD; the paper has c as well."""
    cells = []
    for model, shift in (("a", 0), ("b", 4)):
        cells += both({"model": model, "training": "old"}, first(40 + shift))
        cells += both({"model": model, "training": "new"}, first(60 + shift))
    every = {"model": ("a", "b", "c"), "training": ("old", "new")}
    return study(cells, [BETTER], all_axes=every, axes={**every, "model": ("a", "b")})


def test_a_number_that_two_tables_print_is_one_row_and_what_was_not_run_is_none(script: ModuleType) -> None:
    new = {"training": "new", "attack": "pgd"}
    expected = [
        number("1", "a", {**new, "model": "a"}, 81.0),
        number("S5", "a again", {**new, "model": "a"}, 81.0),  # the same selection and number
        number("7", "a, otherwise", {**new, "model": "a"}, 82.0),  # the same selection, another number
        number("1", "c", {**new, "model": "c"}, 83.0),  # not in this profile
        number("1", "b", {**new, "model": "b"}, 81.0),  # the same number of another selection
    ]
    found, text = rows(script, expected, two_models(), "../studies/made/results/cpu/check.md")
    assert [row.rpartition(" % | ")[0] + " %" for row in found] == [
        "| Table 1, a, PGD: Accuracy (also Table S5) | 81.0 % | 60.0 %",
        "| Table 7, a, otherwise, PGD: Accuracy | 82.0 % | 60.0 %",
        "| Table 1, b, PGD: Accuracy | 81.0 % | 64.0 %",
    ]
    link = "[studies/made/results/cpu/check.md](../studies/made/results/cpu/check.md)"
    assert (
        f"All 5 numbers of the paper, 1 of them not listed here, are in {link}, with the reason where one was not run."
        in text
    )


def test_a_mean_over_networks_that_were_not_run_gives_way_to_one_over_fewer(script: ModuleType) -> None:
    new, old = {"training": "new", "attack": "pgd"}, {"training": "old", "attack": "pgd"}
    expected = [
        number("1", "all", {**new, "model": "a,b,c"}, 80.0),
        number("1", "two", {**new, "model": "a,b"}, 79.0),
        number("1", "all old", {**old, "model": "a,b,c"}, 70.0),
    ]
    found, _ = rows(script, expected, two_models())
    assert [row.rpartition(" % | ")[0] + " %" for row in found] == [
        "| Table 1, two, PGD: Accuracy | 79.0 % | 62.0 %",
        "| Table 1, all old, PGD: Accuracy | 70.0 % | 42.0 %",
    ]


def test_at_most_16_numbers_and_the_others_are_counted(script: ModuleType) -> None:
    where = {"training": "new", "attack": "pgd", "model": "a"}
    expected = [number("1", f"row {i}", where, 50.0 + i) for i in range(20)]
    found, text = rows(script, expected, two_models(), "check.md")
    assert len(found) == 16
    assert "All 20 numbers of the paper, 4 of them not listed here, are in [check.md](check.md)" in text
    _, text = rows(script, [number("1", "c", {**where, "model": "c"}, 50.0)], two_models(), "check.md")
    assert "All 1 numbers of the paper, 1 of them not listed here, are in " in text


def cleans() -> Study:
    """Accuracy on unchanged images of 90 (old) and 80 (new) of 100 for a, 70 and 60 for b; c was trained anew alone."""
    counts = {("a", "old"): 90, ("a", "new"): 80, ("b", "old"): 70, ("b", "new"): 60, ("c", "new"): 10}
    cells = [
        outcome(
            {"model": model, "training": training},
            [condition(first(count)), condition(first(count // 2), attack, 1 / 255)],
            100,
            protocol=protocol,
        )
        for (model, training), count in counts.items()
        for protocol, attack in (("paper", "pgd"), ("honest", "worst"))
    ]
    return study(cells, [BETTER])


def test_accuracy_on_unchanged_images_stands_beside_the_published_one(script: ModuleType) -> None:
    expected = [
        number("1", f"{model} {training}", {"training": training, "model": model, "attack": "none"}, reported)
        for model, training, reported in (
            ("a", "old", 95.0), ("b", "old", 94.0), ("a", "new", 93.5), ("b", "new", 93.5), ("c", "new", 99.0),
        )
    ]  # fmt: skip
    said = "- **On unchanged images.** Accuracy here (published): "
    _, text = rows(script, expected, cleans())
    assert f"{said}new 60.0 to 80.0 % (93.5 %), old 70.0 to 90.0 % (94.0 to 95.0 %)." in text
    assert text.count("On unchanged images") == 1
    _, text = rows(script, expected[:1], cleans())
    assert f"{said}old 90.0 % (95.0 %)." in text
    aware = [number("1", "a", {"training": "new", "model": "a", "attack": "none"}, 93.0, subset="aware")]
    for unknown in ([], aware, [number("1", "d", {"training": "new", "model": "d", "attack": "none"}, 93.0)]):
        assert "On unchanged images" not in rows(script, unknown, cleans())[1]


def test_two_values_of_unchanged_images_are_told_by_protocol(script: ModuleType) -> None:
    cells = cleans()
    moved = [
        outcome(one.axes, [condition(first(55)), condition(first(20), "worst", 1 / 255)], 100)
        if one.protocol == "honest"
        else one
        for one in cells.outcomes
    ]
    expected = [number("1", "a", {"training": "new", "model": "a", "attack": "none"}, 93.0)]
    _, text = rows(script, expected, study(moved, [BETTER]))
    assert "- **On unchanged images, as published.** Accuracy here (published): new 80.0 % (93.0 %)." in text
    assert "- **On unchanged images, under an honest attack.** Accuracy here (published): new 55.0 % (93.0 %)." in text


def test_of_several_comparisons_the_verdict_says_how_many(script: ModuleType) -> None:
    rights = {"new": np.roll(first(63), 20), "old": first(41), "same": np.roll(first(62), 20), "far": first(98)}
    cells = [one for name, right in rights.items() for one in both({"training": name}, right)]
    others = [{"training": "old"}, {"training": "same"}, {"training": "far"}]
    text = script.page([script.Result(study(cells, [BETTER | {"than": others}]), (), "")])
    assert "| the other way round (1 of 3) | the other way round (1 of 3) |" in text
    assert "Of its 3 comparisons 1 came out as claimed, 1 came out the other way round and 1 could not be told." in text
    text = script.page([script.Result(study(cells, [BETTER | {"than": others[:2]}]), (), "")])
    assert "| could not be told (1 of 2) | could not be told (1 of 2) |" in text
    twice = [{"training": "same"}, {"training": "same"}]
    text = script.page([script.Result(study(cells, [BETTER | {"than": twice}]), (), "")])
    assert "| could not be told | could not be told |" in text
    assert "None of its 2 comparisons could be told." in text


def test_what_both_protocols_say_alike_stands_once(script: ModuleType) -> None:
    absent = BETTER | {"name": "far", "better": {"model": "c"}, "than": [{"model": "a"}], "where": {"attack": "pgd"}}
    made = study(two_models().outcomes, [absent], all_axes=two_models().all_axes)
    _, text = rows(script, [], made)
    said = "- **As published and under an honest attack.** Not run: the profile cpu leaves out model c."
    assert said in text.splitlines()
