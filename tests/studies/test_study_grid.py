"""From a recipe to places: what writes over what, and what is refused."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from medrobust.errors import UserError
from medrobust.recipes.yaml import read_recipe, study_recipe
from medrobust.study.grid import Grid, make_grid
from medrobust.study.merge import at_profile, expand, merge, options_at, places
from studies.toys import MINI, mini


def grid(profile: str = "paper", **changes: Any) -> Grid:
    return make_grid(mini(**changes), profile)


def recipe_of(made: Grid, kind: str, **axes: str) -> Mapping[str, Any]:
    """The recipe of the training or of the first audit at a place."""
    job = next(job for job in made.jobs if axes.items() <= job.axes.items())
    return made.cells[getattr(job, kind)].recipe


def test_the_grid_is_the_product_of_its_axes() -> None:
    made = grid()
    assert len(made.jobs) == 2 * 2 * 2
    assert len({job.train for job in made.jobs}) == 4  # a training is the same under both protocols
    assert len({job.audit for job in made.jobs}) == 8
    assert len(made.cells) == 12
    seen: set[str] = set()
    for key, cell in made.cells.items():
        assert set(cell.needs) <= seen  # those that come first stand first
        seen.add(key)
    small = grid("smoke")
    assert [job.axes["seed"] for job in small.jobs] == ["0"] * 4
    assert small.all_axes["seed"] == ("0", "1")
    assert set(small.cells) < set(made.cells)  # a profile shares cells with the whole


def test_a_training_starts_from_the_cell_that_its_axis_names() -> None:
    made = grid()
    for seed in ("0", "1"):
        standard, adversarial = (
            next(job.train for job in made.jobs if job.axes == {"training": name, "seed": seed})
            for name in ("standard", "adversarial")
        )
        assert made.cells[adversarial].needs == (standard,)
        assert made.cells[adversarial].values["recipe"]["model"]["init"] == standard
        assert made.cells[standard].needs == ()


def test_later_writes_over_earlier() -> None:
    changes = {
        "train": {"epochs": 2, "optimizer.lr": 0.5},
        "axes": {"training": {"standard": {"train": {"epochs": 3}}}, "seed": {"1": {"train": {"epochs": 4}}}},
        "rules": [
            {"where": {"training": "standard", "seed": ["1"]}, "train": {"epochs": 5}},
            {"where": {"seed": 1, "training": ["standard", "adversarial"]}, "train": {"batch_size": 8}},
            {"where": {"training": "standard", "seed": "1"}, "train": {"epochs": 6}},
        ],
    }
    made = grid(**changes)
    epochs = {
        (name, seed): recipe_of(made, "train", training=name, seed=seed)["epochs"]
        for name in ("standard", "adversarial")
        for seed in "01"
    }
    # The base; an axis; a later axis; the last rule.
    assert epochs == {
        ("adversarial", "0"): 2,
        ("standard", "0"): 3,
        ("adversarial", "1"): 4,
        ("standard", "1"): 6,
    }
    assert recipe_of(made, "train", training="standard", seed="1")["batch_size"] == 8
    assert recipe_of(made, "train", training="standard", seed="0")["batch_size"] == 16
    assert {cell.recipe["optimizer"]["lr"] for cell in made.cells.values() if cell.kind == "train"} == {0.5}


def test_a_profile_writes_over_the_base_and_its_rules_come_last() -> None:
    profile = {
        "keep": {"seed": [1]},
        "train": {"epochs": 7},
        "axes": {"training": {"standard": {"train": {"batch_size": 4}}}},
        "rules": [{"where": {"training": "adversarial"}, "train": {"epochs": 9}}],
        "protocols": {"paper": {"audit": {"data.limit": 2}}},
    }
    changes = {"rules": [{"where": {"training": "adversarial"}, "train": {"epochs": 8}}], "profiles": {"cpu": profile}}
    made = grid("cpu", **changes)
    assert [job.axes["seed"] for job in made.jobs] == ["1"] * 4
    standard, adversarial = (recipe_of(made, "train", training=name) for name in ("standard", "adversarial"))
    assert (standard["epochs"], standard["batch_size"], adversarial["epochs"]) == (7, 4, 9)
    limits = {job.protocol: made.cells[job.audit].recipe["data"]["limit"] for job in made.jobs}
    assert limits == {"paper": 2, "honest": 8}


def test_a_rule_of_a_protocol_touches_its_audits_alone() -> None:
    made = grid(rules=[{"where": {"protocol": "honest"}, "audit": {"data.limit": 3}}])
    limits = {(job.protocol, made.cells[job.audit].recipe["data"]["limit"]) for job in made.jobs}
    assert limits == {("paper", 8), ("honest", 3)}
    assert {(job.protocol, made.cells[job.audit].recipe["protocol"]) for job in made.jobs} == {
        ("paper", "paper"),
        ("honest", "honest"),
    }


def test_dotted_and_nested_keys_are_the_same() -> None:
    assert expand({"a.b": 1, "a": {"c.d": 2}}) == {"a": {"b": 1, "c": {"d": 2}}}
    assert merge({"model": "x"}, {"model": {"name": "y"}}) == {"model": {"name": "y"}}
    first, second = {"threat": {"norm": "l2"}}, {"threat": {"epsilon": 1}}
    assert merge(first, second) == {"threat": {"norm": "l2", "epsilon": 1}}
    assert (first, second) == ({"threat": {"norm": "l2"}}, {"threat": {"epsilon": 1}})  # what is given stays
    dotted, nested = grid(train={"optimizer.lr": 0.3}), grid(train={"optimizer": {"lr": 0.3}})
    assert list(dotted.cells) == list(nested.cells)


def test_numbers_of_yaml_are_names_of_values(tmp_path: Path) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text("study: s\naxes: {seed: {0: {train: {seed: 0}}, 1: }}\nrules: [{where: {seed: 1}}]\n")
    recipe = study_recipe(read_recipe(path))
    assert places(recipe) == [{"seed": "0"}, {"seed": "1"}]
    assert options_at(recipe, {"seed": "0"}, "honest")[0] == {"seed": 0}


WRONG = {
    "axis of a rule": ({"rules": [{"where": {"modle": "x"}}]}, r"rules\.0\.where\.modle"),
    "value of a rule": ({"rules": [{"where": {"training": "standrd"}}]}, r"standrd.*standard"),
    "value in a list": ({"rules": [{"where": {"seed": ["0", "7"]}}]}, r"'7'"),
    "cannot": ({"cannot": [{"where": {"training": "x"}, "why": "no"}]}, r"cannot\.0\.where\.training"),
    "protocol of a rule": ({"rules": [{"where": {"protocol": "honst"}}]}, r"honst"),
    "init": ({"axes": {"training": {"standard": {"init": {"training": "adversrial"}}}}}, r"axes\.training\.standard"),
    "key": ({"train": {"epochz": 1}}, r"training=standard, seed=0: epochz.*epochs"),
    "value of a key": ({"audit": {"data.limit": "many"}}, r"training=standard, seed=0: data\.limit"),
    "checks": ({"checks": "some"}, r"checks"),
    "name": ({"study": " "}, r"study"),
    "word": ({"axis": {}}, r"axis.*axes"),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_names_are_refused(name: str) -> None:
    changes, said = WRONG[name]
    with pytest.raises(UserError, match=said):
        grid(**changes)


def test_wrong_profiles_are_refused() -> None:
    with pytest.raises(UserError, match=r"smok.*smoke"):
        at_profile(mini(), "smok")
    for profile, said in (
        ({"keep": {"sed": ["0"]}}, "sed"),
        ({"keep": {"seed": ["3"]}}, "'3'"),
        ({"axes": {"sed": {}}}, "sed"),
        ({"hypotheses": ["none of them"]}, "none of them"),
    ):
        with pytest.raises(UserError, match=said):
            grid("mine", profiles={"mine": profile})


def test_a_training_cannot_start_from_itself_or_from_what_a_profile_leaves_out() -> None:
    axes = {"training": {"standard": {"init": {"training": "adversarial"}}}}
    with pytest.raises(UserError, match="starts from its own weights"):
        grid(axes=axes)
    with pytest.raises(UserError, match=r"training=adversarial.*leaves out"):
        grid("mine", profiles={"mine": {"keep": {"training": ["adversarial"]}}})


def test_what_cannot_run_says_why_and_has_no_cells() -> None:
    made = grid(cannot=[{"where": {"training": "adversarial", "seed": "1"}, "why": "the weights are not public"}])
    left = [job for job in made.jobs if job.cannot]
    assert {(*job.axes.values(), job.train, job.audit, job.cannot) for job in left} == {
        ("adversarial", "1", "", "", "the weights are not public")
    }
    assert len(left) == 2
    assert len(made.cells) == 3 + 6


@pytest.mark.parametrize("key", ["train", "audit"])
def test_data_that_are_not_here_are_a_reason_without_a_path(
    key: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SCANS", str(tmp_path / "nowhere"))
    changes = {"axes": {"seed": {"1": {key: {"data.name": "folder:${SCANS}/images"}}}}}
    made = grid(**changes)
    why = {job.cannot for job in made.jobs if job.axes["seed"] == "1"}
    assert {job.cannot for job in made.jobs if job.axes["seed"] == "0"} == {None}
    (said,) = why
    assert said is not None
    assert said.startswith("folder cannot be opened here: ")
    assert "nowhere" not in said
    assert str(tmp_path) not in said


@pytest.mark.parametrize("key", ["train", "audit"])
def test_a_variable_that_is_not_set_is_a_reason(key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SCANS", raising=False)
    made = grid(axes={"seed": {"1": {key: {"data.name": "folder:${SCANS}/images"}}}})
    (said,) = {job.cannot for job in made.jobs if job.axes["seed"] == "1"}
    assert said is not None
    assert said.startswith("the variable SCANS of the environment")
    assert {job.cannot for job in made.jobs if job.axes["seed"] == "0"} == {None}


def test_a_variable_that_is_set_is_put_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KIND", "ultrasound")
    made = grid(train={"data.name": "phantom:${KIND}@32,count=60"})
    assert list(made.cells) == list(grid().cells)
    assert "${KIND}" not in str([cell.recipe for cell in made.cells.values()])


def test_the_recipe_of_the_tests_is_not_changed_by_them() -> None:
    assert "rules" not in MINI
    assert mini() == mini()
