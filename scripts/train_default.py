"""Train the bundled classifier on the phantom and write src/medrobust/default/{model.safetensors,card.json,splits.csv}.

    python scripts/train_default.py                  train, measure, write (under two minutes on one core)
    python scripts/train_default.py --check 0 1 2    train on the phantoms of these seeds and print; writes nothing

The same versions of torch and numpy give the same weights.
"""

from __future__ import annotations

import argparse
import dataclasses
import tempfile
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from medrobust.attacks import pgd
from medrobust.data import ImageSet, View, batches, open_images
from medrobust.files import read_json, write_atomic
from medrobust.models import Classifier, load_checkpoint, save_checkpoint
from medrobust.progress import progress
from medrobust.recipes.train import AugmentSpec, DataSpec, ModelSpec, OptimizerSpec, ScheduleSpec, ValidationSpec
from medrobust.threat import Threat
from medrobust.training import TrainRecipe, train
from medrobust.training.run import SPLITS

OUT = Path(__file__).resolve().parent.parent / "src" / "medrobust" / "default"
RECIPE = TrainRecipe(
    model=ModelSpec(name="zoo:cbr_tiny(width=8)", mean=(0.35,), std=(0.2,)),
    data=DataSpec(name="phantom:ultrasound@64,seed=0", color="grey"),
    optimizer=OptimizerSpec(name="adam", lr=4e-3, weight_decay=1e-4),
    schedule=ScheduleSpec(name="one_cycle"),
    augment=AugmentSpec(flip=True, shift=0.05),
    validation=ValidationSpec(metric="loss"),
    epochs=16,
    device="cpu",
)
BUDGETS = (0.1, 0.3, 1, 2, 3, 5, 10)  # of 255
UNSEEN = (1, 2, 3)  # seeds of phantoms that the bundled classifier has never seen


def fit(seed: int) -> tuple[Classifier, dict[str, Any]]:
    """The classifier trained on the phantom of a seed, and its card."""
    data = dataclasses.replace(RECIPE.data, name=f"phantom:ultrasound@64,seed={seed}")
    with tempfile.TemporaryDirectory() as folder, progress() as report:
        out = train(dataclasses.replace(RECIPE, data=data), Path(folder) / "run", report)
        return load_checkpoint(out), read_json(out / "card.json") | {"table": (out / SPLITS).read_text()}


def measured(model: Classifier, seed: int, budgets: tuple[float, ...] = ()) -> dict[str, Any]:
    """Test accuracy on the phantom of a seed, clean and under 20 steps of PGD at each budget."""
    images = open_images(f"phantom:ultrasound@64,seed={seed}", view=View(color="grey"), split="test")
    labels = images.labels
    right = correct(model, images, None)
    row: dict[str, Any] = {"images": f"phantom:ultrasound@64,seed={seed}", "split": "test", "num_images": len(images)}
    row["accuracy"] = round(float(right.double().mean()), 4)
    row["sensitivity"], row["specificity"] = (round(float(right[labels == k].double().mean()), 4) for k in (1, 0))
    if budgets:
        shares = {f"{b:g}/255": float((right & correct(model, images, b / 255)).double().mean()) for b in budgets}
        row["robust_accuracy_pgd20_linf"] = {name: round(share, 4) for name, share in shares.items()}
    return row


def correct(model: Classifier, images: ImageSet, epsilon: float | None) -> Tensor:
    """(n,) bool: which images are classified right, attacked when there is a budget."""
    parts = []
    with model.frozen():
        for number, batch in enumerate(batches(images, 60)):
            x = batch.x
            if epsilon is not None:
                x = pgd(num_steps=20)(model, x, batch.y, Threat(epsilon=epsilon), generator=number)
            with torch.no_grad():
                parts.append(model(x).argmax(1) == batch.y)
    return torch.cat(parts)


def main() -> None:
    """Train and write, or train on several phantoms and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", type=int, nargs="+", metavar="SEED", help="print the figures of these phantoms")
    seeds = parser.parse_args().check
    torch.use_deterministic_algorithms(True)
    if seeds:
        for seed in seeds:
            print(measured(fit(seed)[0], seed, BUDGETS), flush=True)
        return
    model, card = fit(0)
    figures = measured(model, 0, BUDGETS)
    unseen = [measured(model, seed) for seed in UNSEEN]
    card |= {"command": "python scripts/train_default.py", "figures": figures, "figures_of_other_phantoms": unseen}
    write_atomic(OUT / SPLITS, card.pop("table"))
    save_checkpoint(OUT, model, card)
    print(figures, *unseen, f"written to {OUT.name}/", sep="\n")


if __name__ == "__main__":
    main()
