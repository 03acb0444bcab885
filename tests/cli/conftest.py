"""A folder of real files and a checkpoint, as a user has them."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from medrobust.models.checkpoint import save_checkpoint
from medrobust.models.classifier import Classifier
from medrobust.models.zoo import build_network


def write_images(folder: Path, per_class: int = 6, side: int = 32) -> Path:
    rng = np.random.default_rng(0)
    for k, name in enumerate(("benign", "malignant")):
        (folder / name).mkdir(parents=True)
        for i in range(per_class):
            pixels = rng.integers(0, 120, (side, side), dtype=np.uint8) + np.uint8(100 * k)
            Image.fromarray(pixels).save(folder / name / f"{i}.png")
    return folder


@pytest.fixture
def images(tmp_path: Path) -> Path:
    return write_images(tmp_path / "images")


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    net = build_network("zoo:cbr_tiny(width=4)", num_classes=2, in_channels=1)
    model = Classifier(net, classes=("benign", "malignant"), channels=1, spec="zoo:cbr_tiny(width=4)", input_size=32)
    save_checkpoint(tmp_path / "model", model.eval())
    return tmp_path / "model"
