"""Keys: what decides a result changes the key of the cells that it touches, and nothing else does."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from medrobust.errors import UserError
from medrobust.recipes.audit import AuditRecipe
from medrobust.recipes.train import TrainRecipe
from medrobust.recipes.yaml import read_recipe, study_recipe
from medrobust.study import cells
from medrobust.study import grid as grids
from medrobust.study.cells import fingerprint
from medrobust.study.grid import Grid, make_grid
from medrobust.study.plan import plan
from medrobust.study.worker import folder_of, work
from studies.toys import at_once, mini


def grid(**changes: Any) -> Grid:
    return make_grid(mini(**changes), "smoke")


def changed(first: Grid, second: Grid) -> set[tuple[str, str, str]]:
    """Kind, training and protocol of the cells whose keys differ."""
    found = set()
    for old, new in zip(first.jobs, second.jobs, strict=True):
        assert (old.axes, old.protocol) == (new.axes, new.protocol)
        for kind in ("train", "audit"):
            if getattr(old, kind) != getattr(new, kind):
                found.add((kind, old.axes["training"], old.protocol if kind == "audit" else ""))
    return found


TRAININGS = {("train", "standard", ""), ("train", "adversarial", "")}
AUDITS = {("audit", name, protocol) for name in ("standard", "adversarial") for protocol in ("paper", "honest")}
ADVERSARIAL = {cell for cell in TRAININGS | AUDITS if cell[1] == "adversarial"}


@pytest.mark.parametrize(
    ("changes", "touched"),
    [
        ({"train": {"epochs": 2}}, TRAININGS | AUDITS),
        ({"axes": {"training": {"adversarial": {"train": {"threat.epsilon": "3/255"}}}}}, ADVERSARIAL),
        ({"axes": {"training": {"standard": {"train": {"epochs": 2}}}}}, TRAININGS | AUDITS),  # the other starts there
        ({"audit": {"data.limit": 7}}, AUDITS),
        ({"audit": {"attacks": {"fgsm": {}, "pgd": {"num_steps": 2}}}}, AUDITS),
        ({"protocols": {"honest": {"audit": {"seed": 3}}}}, {cell for cell in AUDITS if cell[2] == "honest"}),
        ({"checks": "rows"}, AUDITS),
        # What says how the machine works decides nothing, nor do words.
        ({"train": {"device": "auto", "num_workers": 3, "save_every": 9}}, set()),
        ({"audit": {"device": "auto", "num_workers": 3, "batch_size": 2, "memory_limit": 1}}, set()),
        ({"title": "Other words", "paper": {"year": 2000}, "hypotheses": []}, set()),
    ],
)
def test_a_change_touches_its_cells_alone(changes: dict[str, Any], touched: set[tuple[str, str, str]]) -> None:
    assert changed(grid(), grid(**changes)) == touched


def default_changed(monkeypatch: pytest.MonkeyPatch, recipe: type[Any], name: str, value: Any) -> None:
    """Let the default of a key be another: what a recipe does not say is that."""
    assert recipe.__dataclass_fields__[name].default not in (value, dataclasses.MISSING)
    which = "train_recipe" if recipe is TrainRecipe else "audit_recipe"
    made = getattr(grids, which)
    monkeypatch.setattr(grids, which, lambda content: made({name: value, **content}))


@pytest.mark.parametrize(
    ("recipe", "name", "value", "touched"),
    [
        (TrainRecipe, "accumulate", 2, TRAININGS | AUDITS),
        (AuditRecipe, "precision", "float32", AUDITS),
        (TrainRecipe, "save_every", 99, set()),
        (TrainRecipe, "epochs", 99, set()),  # the recipe says them itself
    ],
)
def test_a_changed_default_touches_the_cells_that_it_decides(
    recipe: type[Any], name: str, value: Any, touched: set[Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    before = grid()
    done = list(before.cells.values())
    assert set(work(done, tmp_path, do=at_once).values()) == {"done"}
    default_changed(monkeypatch, recipe, name, value)
    after = grid()
    assert changed(before, after) == touched
    missing = [one for one in plan(after, tmp_path) if one.status != "done"]
    assert {one.cell.key for one in missing} == set(after.cells) - set(before.cells)
    assert bool(missing) == bool(touched)
    for one in missing:
        assert name in one.why or "training" in one.why, one.why


def test_a_comment_and_the_order_of_keys_touch_nothing(tmp_path: Path) -> None:
    first, second = tmp_path / "a.yaml", tmp_path / "b.yaml"
    first.write_text(
        "study: s\n"
        "train: {model: zoo:cbr_tiny, epochs: 1, data: {name: 'phantom:ultrasound@32,count=60'}, optimizer.lr: 0.1}\n"
        "audit: {threat.epsilons: [1/255]}\n"
    )
    second.write_text(
        "# Another comment.\nstudy: s\naudit:\n  threat: {epsilons: [1/255]}  # as in the paper\n"
        "train:\n  optimizer: {lr: 1.0e-1}\n  data.name: phantom:ultrasound@32,count=60\n  epochs: 1\n"
        "  model: zoo:cbr_tiny\n"
    )
    made = [list(make_grid(study_recipe(read_recipe(path)), "paper").cells) for path in (first, second)]
    assert made[0] == made[1]
    assert len(made[0]) == 2


@pytest.fixture
def pictures(tmp_path: Path) -> Iterator[Path]:
    """Two classes of grey images in folders."""
    random = np.random.default_rng(0)
    for name in ("benign", "malignant"):
        (tmp_path / "first" / name).mkdir(parents=True)
        for number in range(6):
            pixels = random.integers(0, 255, (16, 16), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / "first" / name / f"{number}.png")
    yield tmp_path / "first"
    cells._fingerprint.cache_clear()


def with_data(folder: Path) -> Grid:
    cells._fingerprint.cache_clear()
    return grid(train={"data.name": f"folder:{folder}"})


def test_data_are_their_content_not_their_place(pictures: Path, tmp_path: Path) -> None:
    before = with_data(pictures)
    assert not any(job.cannot for job in before.jobs)
    shutil.copytree(pictures, tmp_path / "second" / "deeper")
    assert changed(before, with_data(tmp_path / "second" / "deeper")) == set()
    assert str(tmp_path) not in str([cell.values for cell in before.cells.values()])
    pixels = np.zeros((16, 16), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "second" / "deeper" / "benign" / "0.png")
    assert changed(before, with_data(tmp_path / "second" / "deeper")) == TRAININGS | AUDITS


def test_what_is_made_in_memory_is_named_by_what_is_made() -> None:
    assert changed(grid(), grid(train={"data.name": "phantom:ultrasound@32,count=61"})) == TRAININGS | AUDITS


def test_options_of_data_may_be_lists() -> None:
    with pytest.raises(UserError, match="nothing"):  # by who opens the data, who does not know it
        fingerprint("phantom:ct@16,count=40", nothing=["a", "b"])


def test_a_raised_version_makes_every_key_another(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    before = grid()
    work(list(before.cells.values()), tmp_path, do=at_once)
    monkeypatch.setattr(cells, "CELL_VERSION", cells.CELL_VERSION + 1)
    after = grid()
    assert changed(before, after) == TRAININGS | AUDITS
    said = {one.cell.key: one.why for one in plan(after, tmp_path)}
    words = f"version {cells.CELL_VERSION - 1} -> {cells.CELL_VERSION}"
    assert all(why.startswith(f"differs from the nearest in {words}") for why in said.values()), said


def test_a_folder_is_found_by_its_key(tmp_path: Path) -> None:
    cell = next(iter(grid().cells.values()))
    assert folder_of(tmp_path, cell).name == f"{cell.key}-standard-0"
    (tmp_path / f"{cell.key}-of-another-study").mkdir()
    assert folder_of(tmp_path, cell).name == f"{cell.key}-of-another-study"
    assert len(cell.key) == 12
