"""The CW attack as published with MIRST-DM (Sun et al. 2022), on a drop-max network on BUSI: does it measure anything?

    python benchmarks/published_cw.py        # MEDROBUST_DATA has busi; minutes

Ten steps of 0.001 cannot cross a ball of 5/255 = 0.0196. The table has the accuracy that this leaves, what the checks
say of it, and the accuracy under the same loss with enough steps and under the set `standard`, on the same images.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path
from typing import Any

import torch
from common import write
from trained_models import images_of

import medrobust as mr
from medrobust.models.create import new_classifier

BUDGET = "5/255"
SETTINGS: dict[str, Any] = {
    "CW as published: 10 steps of 0.001": {"cw_linf": {"num_steps": 10, "step_size": 0.001, "random_start": False}},
    "CW, 100 steps of 1/40 of the budget": {"cw_linf": {"num_steps": 100, "relative_step_size": 0.025}},
    "standard": ["standard"],
}
CHECKS = ("reach", "closed-form", "active-test", "convergence")


def drop_max_network(folder: Path) -> tuple[mr.Classifier, mr.ImageSet]:
    """A small drop-max network trained against PGD on one part of BUSI, and the images of the other."""
    parts = {split: images_of("busi", split) for split in ("train", "val", "test")}
    classes = parts["train"][3]
    model = new_classifier("zoo:cbr_tiny(drop_max=true)", classes=classes, data_channels=3, image_size=64)
    x, y = (torch.cat([parts[split][k] for split in ("train", "val")]) for k in (0, 1))
    splits = ["train"] * len(parts["train"][0]) + ["val"] * len(parts["val"][0])
    images = mr.ImageSet.of(x, y, classes=classes, groups=parts["train"][2] + parts["val"][2], splits=splits)
    attack = mr.attacks.pgd(num_steps=3, relative_step_size=0.5)
    objective = mr.objectives.adversarial(mr.Threat("2/255"), attack=attack)
    mr.train(model, objective, images, out=folder / "run", epochs=8, lr=1e-3, batch_size=32)
    test = mr.ImageSet.of(*parts["test"][:2], classes=classes, groups=parts["test"][2])
    return model.eval(), test


def main() -> int:
    options = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    options.add_argument("--threads", type=int, default=1)
    options.add_argument("--name")
    arguments = options.parse_args()
    arguments.device = "cpu"
    torch.set_num_threads(arguments.threads)
    rows = []
    with tempfile.TemporaryDirectory() as place:
        model, images = drop_max_network(Path(place))
        for number, (words, attacks) in enumerate(SETTINGS.items()):
            run = mr.audit(model, images, out=Path(place) / str(number), attacks=attacks, linf=[BUDGET])
            said = {finding.id: finding.severity for finding in run.findings}
            robust = run.worst_case[0]["robust_accuracy"]["value"]
            quotable = run.content["quotable"]["value"]
            rows.append([words, 100 * robust, *(said[name] for name in CHECKS), quotable])
            clean = 100 * run.clean["accuracy"]["value"]
    header = ["attack", f"accuracy at {BUDGET}", *CHECKS, "quotable"]
    write(arguments, "published_cw", {"images": len(images), "clean_accuracy": clean}, header, rows)
    return 0


if __name__ == "__main__":
    sys.exit(main())
