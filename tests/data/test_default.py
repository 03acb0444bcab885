"""The bundled classifier: small, as good on unseen phantom images as its card says, and easy to fool."""

from __future__ import annotations

import contextlib
from functools import partial
from pathlib import Path
from typing import Any

import pytest

import medrobust
from medrobust.attacks import pgd
from medrobust.data import View, batches, open_images
from medrobust.files import read_json
from medrobust.models import load_checkpoint
from medrobust.threat import Threat
from medrobust.training.validate import validate

FOLDER = Path(medrobust.__file__).parent / "default"


@pytest.fixture(scope="module")
def judged() -> dict[str, Any]:
    """Metrics on the phantom's test split, clean and within 2/255."""
    images = open_images("phantom", view=View(color="grey"))
    judge = partial(validate, load_checkpoint(FOLDER), batches(images, 60), seed=0, autocast=contextlib.nullcontext)
    return judge(attack=pgd(num_steps=10), threat=Threat(epsilon=2 / 255)) | {"num_images": len(images)}


def test_files_are_small_and_the_card_says_how_they_were_made() -> None:
    assert sum(file.stat().st_size for file in FOLDER.iterdir()) < 1_000_000
    card = read_json(FOLDER / "card.json")
    assert (Path(__file__).parents[2] / card["command"].split()[1]).is_file()
    assert card["recipe"]["data"]["name"] == "phantom:ultrasound@64,seed=0"
    assert card["channels"] == 1
    assert "/" not in card["split"]


def test_accuracy_is_that_of_the_card_and_neither_poor_nor_perfect(judged: dict[str, Any]) -> None:
    figures = read_json(FOLDER / "card.json")["figures"]
    assert judged["num_images"] == figures["num_images"] == 240
    assert 0.85 <= judged["accuracy"] <= 0.97
    assert judged["accuracy"] == pytest.approx(figures["accuracy"], abs=0.01)
    assert judged["balanced_accuracy"] == pytest.approx(figures["balanced_accuracy"], abs=0.012)


def test_a_small_budget_fools_it_often_but_not_always(judged: dict[str, Any]) -> None:
    assert 0.3 < judged["robust_accuracy"] < 0.65


def test_other_phantoms_are_no_harder() -> None:
    for figures in read_json(FOLDER / "card.json")["figures_of_other_phantoms"]:
        assert 0.85 <= figures["accuracy"] <= 0.97
