"""Small classifiers of different kinds, trained on real images for the tables that must hold for more than one model.

    python benchmarks/trained_models.py [--only NAME ...]   # into runs/trained_models, 40 minutes on one core
    python benchmarks/trained_models.py --only speed_resnet18 speed_shufflenet speed_cbr   # 112 px, another 20

Architectures, numbers of classes, heads, and standard or adversarial training all vary; the images, 64 px, are those of
MEDROBUST_DATA, half of each set (split by patient or lesion) for training. A model that is there already is left alone.
`load(name)` gives a model and images of the other half. Those of SPEED, 112 px, are for `all.py`; their images lie
beside them in class folders as well.
"""

from __future__ import annotations

import argparse
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

import numpy as np
import torch
from torch import Tensor, nn

import medrobust as mr
from medrobust.data.images.view import View
from medrobust.data.open import open_images
from medrobust.models import Classifier, load_checkpoint, new_classifier, save_checkpoint

FOLDER = Path(__file__).resolve().parents[1] / "runs" / "trained_models"
SIZE = 64
HAM4, HAM7 = ["nv", "mel", "bkl", "bcc"], ["nv", "mel", "bkl", "bcc", "akiec", "vasc", "df"]
DATA = {
    "xray": ("chest_xray:chest_xray", None, 700),
    "busi": ("busi:Dataset_BUSI_with_GT", None, 437),
    "lidc": ("lidc:lidc_nodules", None, 600),
    "ham4": ("ham10000:ham10000", HAM4, 500),
    "ham7": ("ham10000:ham10000", HAM7, 300),
}


@dataclass(frozen=True)
class Recipe:
    """What is trained, on what, and against which budget (of 255, in linf); 0 is standard training."""

    network: str
    data: str
    epochs: int
    epsilon: float = 0
    lr: float = 1e-3
    one_logit: bool = False
    factor: float = 1  # of the logits, after training: a saturated model answers alike
    size: int = SIZE


RECIPES = {
    "xray_resnet18": Recipe("torchvision:resnet18", "xray", 5),
    "xray_resnet18_saturated": Recipe("torchvision:resnet18", "xray", 5, factor=30),
    "busi_cbr": Recipe("zoo:cbr_tiny", "busi", 14),
    "ham4_shufflenet": Recipe("torchvision:shufflenet_v2_x0_5", "ham4", 14),
    "ham7_resnet18_adversarial": Recipe("torchvision:resnet18", "ham7", 8, epsilon=2),
    "lidc_cbr_one_logit": Recipe("zoo:cbr_tiny", "lidc", 10, one_logit=True),
    "xray_vit": Recipe("timm:vit_tiny_patch16_224(patch_size=8,depth=6)", "xray", 8, lr=3e-4),
    "ham4_vit_adversarial": Recipe("timm:vit_tiny_patch16_224(patch_size=8,depth=6)", "ham4", 12, epsilon=1, lr=3e-4),
    "busi_shufflenet_adversarial": Recipe("torchvision:shufflenet_v2_x0_5", "busi", 16, epsilon=1),
    "ham7_cbr": Recipe("zoo:cbr_tiny", "ham7", 12),
    "lidc_resnet18_adversarial": Recipe("torchvision:resnet18", "lidc", 6, epsilon=2),
}

SPEED = {
    "speed_resnet18": Recipe("torchvision:resnet18", "ham4", 4, size=112),
    "speed_shufflenet": Recipe("torchvision:shufflenet_v2_x0_5", "ham4", 8, size=112),
    "speed_cbr": Recipe("zoo:cbr_large_t(padding=same)", "ham4", 4, size=112),
}
KNOWN = RECIPES | SPEED


class Scaled(nn.Module):
    """A network with its outputs times a factor: the same answers, with other confidence."""

    def __init__(self, network: nn.Module, factor: float) -> None:
        super().__init__()
        self.network, self.factor = network, factor

    def forward(self, x: Tensor) -> Tensor:
        """(n, c, h, w) -> (n, k)."""
        return self.network(x) * self.factor


class OneLogit(nn.Module):
    """A network of two outputs as one of a single logit, their difference: the same answers and probabilities."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> Tensor:
        """(n, c, h, w) -> (n, 1)."""
        logits = self.network(x)
        return logits[:, 1:] - logits[:, :1]


def images_of(name: str, split: str, size: int = SIZE) -> tuple[Tensor, Tensor, list[str], list[str]]:
    """Pixels uint8 (n, 3, 64, 64), labels, groups and class names. Errors: KeyError without MEDROBUST_DATA."""
    spec, classes, cap = DATA[name]
    kind, path = spec.split(":")
    images = open_images(
        f"{kind}:{Path(os.environ['MEDROBUST_DATA']) / path}",
        view=View(size, "rgb"),
        split=split,
        classes=classes,
        splits="group:0.45/0.05/0.5",
        cap=cap,
    )
    x, y = zip(*(images[i][:2] for i in range(len(images))), strict=True)
    return (torch.stack(x) * 255).round().byte(), torch.tensor(y), list(images.groups), list(images.classes)


def make(name: str, folder: Path) -> None:
    """Train one model and write it with the images of the other half."""
    recipe, began = KNOWN[name], perf_counter()
    parts = {split: images_of(recipe.data, split, recipe.size) for split in ("train", "val", "test")}
    classes = parts["train"][3]
    model = new_classifier(recipe.network, classes=classes, data_channels=3, image_size=recipe.size)
    x, y = (torch.cat([parts[split][k] for split in ("train", "val")]) for k in (0, 1))
    splits = ["train"] * len(parts["train"][0]) + ["val"] * len(parts["val"][0])
    images = mr.ImageSet.of(x, y, classes=classes, groups=parts["train"][2] + parts["val"][2], splits=splits)
    objective: mr.objectives.TrainingObjective = mr.objectives.clean()
    if recipe.epsilon:
        attack = mr.attacks.pgd(num_steps=3, relative_step_size=0.5)
        objective = mr.objectives.adversarial(mr.Threat(recipe.epsilon / 255), attack=attack)
    run = mr.train(model, objective, images, out=folder / "run", epochs=recipe.epochs, lr=recipe.lr, batch_size=32)
    np.savez_compressed(folder / "images.npz", x=parts["test"][0].numpy(), y=parts["test"][1].numpy())
    if name in SPEED:
        write_images(folder / "test", *parts["test"][:2], classes)
    save_checkpoint(folder, model)
    print(f"{name}: best {run.best}, {perf_counter() - began:.0f} s", flush=True)


def write_images(folder: Path, x: Tensor, y: Tensor, classes: list[str]) -> None:
    """Images (n, 3, h, w) of bytes as PNG files in a folder for each class."""
    from torchvision.io import write_png

    for number, (image, label) in enumerate(zip(x, y.tolist(), strict=True)):
        (folder / classes[label]).mkdir(parents=True, exist_ok=True)
        write_png(image, str(folder / classes[label] / f"{number:05d}.png"))


def load(name: str, limit: int | None = None) -> tuple[Classifier, mr.ImageSet]:
    """A model, and the first `limit` of the images left out that it has right.

    Errors: KeyError for a name that is not in KNOWN; UserError where it was not trained yet.
    """
    recipe, folder = KNOWN[name], FOLDER / name
    model = load_checkpoint(folder)
    if recipe.factor != 1 or recipe.one_logit:
        network = OneLogit(model.network) if recipe.one_logit else Scaled(model.network, recipe.factor)
        mean, std = (v.flatten().tolist() if model.normalizes else None for v in (model.mean, model.std))
        head = "one_logit" if recipe.one_logit else "softmax"
        model = Classifier(network, mean=mean, std=std, head=head, classes=model.classes, channels=model.channels)
    with np.load(folder / "images.npz") as held:
        x, y = torch.from_numpy(held["x"]), torch.from_numpy(held["y"])
    model.eval()
    with torch.no_grad():
        right = torch.cat([model(part / 255).argmax(1) for part in x.split(64)]) == y
    order = torch.randperm(len(x), generator=torch.Generator().manual_seed(0))
    chosen = order[right[order]][:limit]
    return model, mr.ImageSet.of(x[chosen], y[chosen], classes=model.classes, name=name)


def main() -> int:
    options = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    options.add_argument("--only", nargs="*", default=list(RECIPES), choices=list(KNOWN), metavar="NAME")
    options.add_argument("--threads", type=int, default=1)
    arguments = options.parse_args()
    torch.set_num_threads(arguments.threads)
    for name in arguments.only:
        if not (FOLDER / name / "card.json").exists():
            make(name, FOLDER / name)
        model, images = load(name)
        print(f"{name}: {len(images)} right images, {model.num_classes} classes", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
