"""What a broken line of the recipes would change: what is refused, what a word means, and what a recipe becomes."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from medrobust.attacks import pgd
from medrobust.attacks.build import build_attack
from medrobust.data import View, list_images
from medrobust.errors import UserError
from medrobust.numbers import parse_budgets, parse_number
from medrobust.recipes.audit import AuditRecipe
from medrobust.recipes.parts import DataSpec, ThreatSpec
from medrobust.recipes.plain import deciding
from medrobust.recipes.train import TrainRecipe
from medrobust.recipes.yaml import audit_recipe, put_key, train_recipe
from medrobust.resolve import make_threat, make_view, open_data

MAKE = {AuditRecipe: audit_recipe, TrainRecipe: train_recipe}
FOREIGN = [(kind, key) for kind in MAKE for key in kind.FOREIGN]


@pytest.mark.parametrize(("kind", "key"), FOREIGN, ids=lambda value: getattr(value, "__name__", value))
def test_a_key_that_means_nothing_here_is_refused_with_what_to_do_instead(kind: type, key: str) -> None:
    content: dict[str, Any] = {}
    put_key(content, key.split("."), 1)
    with pytest.raises(UserError, match=rf"{key}: has no meaning in {kind.WHAT}"):
        MAKE[kind](content)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"modle": "default"}, "modle: unknown key. Did you mean 'model'"),
        ({"data": {"limt": 3}}, "data.limt: unknown key. Did you mean 'limit'"),
    ],
)
@pytest.mark.parametrize("make", MAKE.values())
def test_an_unknown_key_is_refused(make: Any, content: dict[str, Any], said: str) -> None:
    with pytest.raises(UserError, match=said):
        make(content)


def test_a_budget_larger_than_the_domain_is_refused_where_it_stands() -> None:
    with pytest.raises(UserError, match=r"^threat\.epsilon: 8 is larger than the domain .* 8/255"):
        train_recipe({"threat": {"epsilon": 8}})
    with pytest.raises(UserError, match=r"^phases\.1\.threat\.epsilon: 4 is larger"):
        train_recipe({"phases": [{"epochs": 1}, {"threat": {"epsilon": 4}}]})
    assert train_recipe({"threat": {"epsilon": 8, "norm": "l2"}}).threat.budget == 8


def test_a_budget_is_a_number_however_it_was_written() -> None:
    for text, value in (("8/255", 8 / 255), ("2%", 0.02), ("1e-3", 0.001), (0.03, 0.03)):
        assert ThreatSpec(epsilon=text).epsilon == value
        assert train_recipe({"threat": {"epsilon": text}}).threat.epsilon == value
        assert parse_number(text, "x") == value
    with pytest.raises(UserError, match=r"threat\.epsilon: 'much' is not a number"):
        ThreatSpec(epsilon="much")


def test_a_grid_of_a_norm_that_is_not_wanted_is_refused() -> None:
    assert ThreatSpec(norm=("linf", "l2"), epsilons={"l2": [0.5]}).grids()["l2"] == [0.5]
    with pytest.raises(UserError, match=r"threat\.epsilons\.l2: not among threat\.norm"):
        ThreatSpec(norm="linf", epsilons={"l2": [0.5]}).grids()
    assert parse_budgets("geometric(0.01, 1, 5)", "l2") == pytest.approx([0.01, 10**-1.5, 0.1, 10**-0.5, 1])


def test_what_changes_only_the_speed_makes_no_other_run() -> None:
    recipe = AuditRecipe()
    slow = dataclasses.replace(recipe, device="cuda", batch_size=3, num_workers=2, memory_limit=1.0)
    assert deciding(slow) == deciding(recipe)
    assert deciding(dataclasses.replace(recipe, seed=1)) != deciding(recipe)
    assert deciding(TrainRecipe(save_every=5)) == deciding(TrainRecipe())
    assert deciding(TrainRecipe(batch_size=5)) != deciding(TrainRecipe())


def test_an_attack_has_the_restarts_and_parameters_that_are_written() -> None:
    assert build_attack("pgd", {"num_steps": 3, "restarts": 2}).attacks == (pgd(num_steps=3),) * 2
    with pytest.raises(UserError, match=r"attacks\.pgd\.num_step: unknown parameter\. Did you mean 'num_steps'"):
        build_attack("pgd", {"num_step": 3})


# Recipes of an audit follow the card of the model: its training said how images are shown, named and split.


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("MEDROBUST_CACHE", "off")
    for k in range(40):
        path = tmp_path / "set" / "ab"[k % 2] / f"{k}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((4, 4), k, dtype=np.uint8)).save(path)
    return f"folder:{tmp_path / 'set'}"


def card(data: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"classes": ["b", "a"], "recipe": {"data": data}, **more}


def left_out(name: str, data: dict[str, Any] | None, **spec: Any) -> set[str]:
    images = open_data(DataSpec(name=name, split="test", **spec), View(), card=None if data is None else card(data))
    return {sample.image_id for sample in images.samples}


def test_the_test_images_are_those_that_training_left_out(folder: str) -> None:
    ours, other = (
        {s.image_id for s in list_images(folder, splits=f"group@{k}").with_split("test").samples} for k in (3, 0)
    )
    assert ours != other
    trained = {"name": folder, "splits": "group@3"}
    assert left_out(folder, trained) == ours
    assert left_out(folder, {"name": folder, "seed": 3}) == ours
    assert left_out(folder, None) == other
    assert left_out(folder, trained, splits="group@0") == other
    assert left_out(folder, {**trained, "name": "busi:elsewhere"}) == other


def test_classes_are_in_the_order_of_the_model(folder: str) -> None:
    data = {"name": folder}
    assert open_data(DataSpec(name=folder), View(), card=card(data)).classes == ("b", "a")
    assert open_data(DataSpec(name=folder), View()).classes == ("a", "b")
    assert open_data(DataSpec(name=folder, classes=("a", "b")), View(), card=card(data)).classes == ("a", "b")


def test_images_are_shown_as_in_training_unless_the_recipe_says_otherwise() -> None:
    known = card({}, channels=1, view={"image_size": 32, "fit": "pad", "window": [40.0, 400.0], "scale": "image"})
    assert make_view(DataSpec(), known) == View(32, "grey", "pad", (40.0, 400.0), "image")
    said = DataSpec(image_size=16, color="rgb", fit="crop", window=(0.0, 100.0), scale="source")
    assert make_view(said, known) == View(16, "rgb", "crop", (0.0, 100.0), "source")
    assert make_view(DataSpec(), {}) == View()


def test_a_threat_is_in_the_norm_of_the_recipe() -> None:
    assert make_threat(ThreatSpec(norm="l2", epsilon=3)).norm.name == "l2"
    with pytest.raises(UserError, match="Training takes one"):
        make_threat(ThreatSpec(norm=("linf", "l2")))
