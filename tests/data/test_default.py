"""The bundled classifier: small, as good on unseen phantom images as its card says, and easy to fool."""

from __future__ import annotations

from pathlib import Path

import pytest
from torch import Tensor

import medrobust
from medrobust.attacks import pgd
from medrobust.data import View, batches, open_images
from medrobust.files import read_json
from medrobust.models import load_checkpoint
from medrobust.threat import Threat

FOLDER = Path(medrobust.__file__).parent / "default"


@pytest.fixture(scope="module")
def judged() -> dict[str, Tensor]:
    """Labels of the phantom's test split, which images are classified right, and which also within 2/255."""
    images = open_images("phantom", view=View(color="grey"))
    batch = next(iter(batches(images, len(images))))
    model = load_checkpoint(FOLDER)
    with model.frozen():
        right = model(batch.x).argmax(1) == batch.y
        x_adv = pgd(num_steps=10)(model, batch.x, batch.y, Threat(epsilon=2 / 255), generator=0)
        robust = model(x_adv).argmax(1) == batch.y
    return {"y": batch.y, "right": right, "robust": right & robust}


def test_files_are_small_and_the_card_says_how_they_were_made() -> None:
    assert sum(file.stat().st_size for file in FOLDER.iterdir()) < 1_000_000
    card = read_json(FOLDER / "card.json")
    assert (Path(__file__).parents[2] / card["command"].split()[1]).is_file()
    assert card["recipe"]["data"]["name"] == "phantom:ultrasound@64,seed=0"
    assert card["channels"] == 1
    assert "/" not in card["split"]


def test_accuracy_is_that_of_the_card_and_neither_poor_nor_perfect(judged: dict[str, Tensor]) -> None:
    figures = read_json(FOLDER / "card.json")["figures"]
    assert len(judged["y"]) == figures["num_images"] == 240
    accuracy, sensitivity = (float(v.double().mean()) for v in (judged["right"], judged["right"][judged["y"] == 1]))
    assert 0.85 <= accuracy <= 0.97
    assert accuracy == pytest.approx(figures["accuracy"], abs=0.01)
    assert sensitivity == pytest.approx(figures["sensitivity"], abs=0.021)


def test_a_small_budget_fools_it_often_but_not_always(judged: dict[str, Tensor]) -> None:
    assert 0.3 < judged["robust"].double().mean() < 0.65


def test_other_phantoms_are_no_harder() -> None:
    for figures in read_json(FOLDER / "card.json")["figures_of_other_phantoms"]:
        assert 0.85 <= figures["accuracy"] <= 0.97
