"""A folder of tiny images and a recipe that trains on it in a second."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from medrobust.recipes.train import DataSpec, ModelSpec, ObjectiveSpec, TrainRecipe


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """On tensors this small, threads cost more than they give."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def image_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("images")
    rng = np.random.default_rng(0)
    for label, name in enumerate(("benign", "malignant")):
        (folder / name).mkdir()
        for i in range(30):
            pixels = rng.integers(0, 200, (8, 8)) + 50 * label
            Image.fromarray(pixels.astype(np.uint8)).save(folder / name / f"{i:02}.png")
    return folder


@pytest.fixture
def make_recipe(image_folder: Path) -> Callable[..., TrainRecipe]:
    def make(objective: str = "adversarial", options: dict[str, Any] | None = None, **changes: Any) -> TrainRecipe:
        settings: dict[str, Any] = {
            "model": ModelSpec(name="training_nets:small"),
            "data": DataSpec(name=f"folder:{image_folder}"),
            "objective": ObjectiveSpec(name=objective, options=options or {}),
            "epochs": 3,
            "batch_size": 8,
            "device": "cpu",
        }
        return TrainRecipe(**{**settings, **changes})

    return make
