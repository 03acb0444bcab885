"""(e) Seconds an image of adversarial training: medrobust against ART's trainer and plain loops, in one run.

    python benchmarks/training_speed.py [--data busi:FOLDER] [--network torchvision:resnet18 --size 112 --images 96]

Every side trains the same network from the same weights on the same images for one epoch, PGD-7 in linf at 8/255 by
default. medrobust is `train` with precision=fast and float32, its epoch timed with reading the images. ART is its Madry
trainer, torchattacks a plain loop around its PGD, `bare` the gradients that PGD-7 needs in bfloat16 and nothing else.
The TRADES step stands beside the published loop, MIRST beside RST with equal steps; forwards are counted.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from time import perf_counter

import torch
import torch.nn.functional as F
from common import Counting, interleaved, write
from torch import Tensor, nn

from medrobust.attacks.build import build_attack
from medrobust.data import Batch, View, open_images
from medrobust.models import Classifier, new_classifier
from medrobust.models.search_copy import low_precision
from medrobust.numbers import parse_number
from medrobust.objectives import make_objective
from medrobust.recipes.yaml import train_recipe
from medrobust.threat import Threat
from medrobust.training import train

NUM_STEPS, SHARE, LR = 7, 0.25, 1e-3
INSTANCE_STEPS = {"name": "pgd", "num_steps": 10, "relative_step_size": 0.1, "random_start": False}
TRAIN_SHARE = 0.7


class Task:
    """The images of the epoch in memory, and a network in its first state."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.epsilon, self.batch_size = parse_number(options.epsilon, "--epsilon"), options.batch_size
        classes = options.classes.split(",") if options.classes else None
        view, limit = View(options.size, "rgb", "pad"), round(options.images / TRAIN_SHARE)
        while True:  # splits have whole groups, so their sizes are not known before
            whole = open_images(options.data, view=view, split="all", limit=limit, classes=classes)
            images = whole.with_split("train")
            if len(images) >= options.images or len(whole) < limit:
                break
            limit += 1
        self.data = {
            "name": options.data,
            "image_size": options.size,
            "color": "rgb",
            "fit": "pad",
            "classes": classes,
            "limit": limit,
        }
        self.classes, self.num_images = images.classes, len(images) // self.batch_size * self.batch_size
        if not self.num_images:
            raise SystemExit(f"{options.data} has {len(images)} training images, fewer than a batch")
        batch = images.batch(range(self.num_images))
        self.x, self.y = batch.x.to(options.device), batch.y.to(options.device)

    def model(self) -> Classifier:
        """The network of all sides."""
        size = self.options.size
        made = new_classifier(self.options.network, classes=self.classes, image_size=size, seed=0)
        return made.to(self.options.device)

    def batches(self) -> Iterator[tuple[Tensor, Tensor]]:
        """One epoch in random order."""
        for part in torch.randperm(self.num_images).split(self.batch_size):
            yield self.x[part], self.y[part]


def ours(task: Task, objective: str, attack: dict[str, object], precision: str = "fast") -> float:
    """Seconds of the epoch of `medrobust train`."""
    recipe = {
        "model": task.options.network,
        "data": task.data,
        "objective": objective,
        "attack": attack,
        "threat": {"epsilon": task.epsilon},
        "optimizer": {"name": "adam", "lr": LR},
        "augment": {"flip": False},
        "validation": {"limit": 1, "metric": "accuracy", "attack": {"name": "pgd", "num_steps": 1}},
        "epochs": 1,
        "batch_size": task.batch_size,
        "precision": precision,
        "device": "cpu" if task.options.device == "cpu" else "cuda",
    }
    with tempfile.TemporaryDirectory() as folder:
        out = train(train_recipe(recipe), Path(folder) / "run")
        return float(json.loads((out / "history.json").read_text())[-1]["seconds"])


def art(task: Task) -> float:
    """AdversarialTrainerMadryPGD.fit for one epoch."""
    from art.defences.trainer import AdversarialTrainerMadryPGD
    from art.estimators.classification import PyTorchClassifier

    model, budget = task.model(), task.epsilon
    classifier = PyTorchClassifier(
        model,
        nn.CrossEntropyLoss(),
        tuple(task.x.shape[1:]),
        len(task.classes),
        optimizer=torch.optim.Adam(model.parameters(), LR),
        clip_values=(0.0, 1.0),
        device_type="cpu" if task.options.device == "cpu" else "gpu",
    )
    trainer = AdversarialTrainerMadryPGD(
        classifier, 1, task.batch_size, eps=budget, eps_step=SHARE * budget, max_iter=NUM_STEPS
    )
    x, y = task.x.cpu().numpy(), task.y.cpu().numpy()
    began = perf_counter()
    trainer.fit(x, y, nb_epochs=1, batch_size=task.batch_size)
    return perf_counter() - began


def plain(task: Task, attack_loss: Callable[[nn.Module, Tensor, Tensor], Tensor]) -> float:
    """The loop of a tutorial: attack_loss(model, x, y), backward, step."""
    model = task.model()
    optimizer = torch.optim.Adam(model.parameters(), LR)
    began = perf_counter()
    for x, y in task.batches():
        model.train()
        loss = attack_loss(model, x, y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    if task.options.device != "cpu":
        torch.cuda.synchronize()
    return perf_counter() - began


def torchattacks_loss(model: nn.Module, x: Tensor, y: Tensor, *, epsilon: float) -> Tensor:
    """Cross-entropy of torchattacks' PGD-7."""
    import torchattacks

    x_adv = torchattacks.PGD(model, eps=epsilon, alpha=SHARE * epsilon, steps=NUM_STEPS)(x, y)
    return F.cross_entropy(model(x_adv), y)


def published_trades(model: nn.Module, x: Tensor, y: Tensor, *, epsilon: float) -> Tensor:
    """TRADES as its paper's algorithm 1 is usually written: the clean logits anew in every step."""
    model.eval()
    x_adv = x + 0.001 * torch.randn_like(x)
    for _ in range(NUM_STEPS):
        x_adv.requires_grad_()
        gap = F.kl_div(model(x_adv).log_softmax(1), model(x).softmax(1), reduction="sum")
        (slope,) = torch.autograd.grad(gap, x_adv)
        x_adv = x_adv.detach() + SHARE * epsilon * slope.sign()
        x_adv = torch.min(torch.max(x_adv, x - epsilon), x + epsilon).clamp(0, 1)
    model.train()
    clean = model(x)
    gap = F.kl_div(model(x_adv).log_softmax(1), clean.softmax(1), reduction="batchmean")
    return F.cross_entropy(clean, y) + 6.0 * gap


def bare(task: Task) -> float:
    """7 gradients by the image and one by the weights, bfloat16 where the device has it, channels last."""
    model = task.model().to(memory_format=torch.channels_last)
    low = low_precision(torch.device(task.options.device))
    began = perf_counter()
    for x, y in task.batches():
        x = x.contiguous(memory_format=torch.channels_last)
        for step in range(NUM_STEPS + 1):
            last = step == NUM_STEPS
            model.train(last).requires_grad_(last)
            leaf = x.detach().requires_grad_(not last)
            with torch.autocast(task.options.device.partition(":")[0], low, enabled=low is not None):
                loss = F.cross_entropy(model(leaf), y)
            loss.backward()
            model.zero_grad()
    if task.options.device != "cpu":
        torch.cuda.synchronize()
    return perf_counter() - began


def forwards(task: Task) -> dict[str, float]:
    """Forwards an image in one TRADES step: ours and as published. Ours has one clean pass for all steps."""
    model = task.model()
    x, y = task.x[:2], task.y[:2]
    counted = Classifier(Counting(model.network), channels=model.channels).train()
    steps = pgd_steps()
    built = build_attack("pgd", {key: value for key, value in steps.items() if key != "name"}, "attack")
    objective = make_objective("trades", {}, threat=Threat(epsilon=task.epsilon), attack=built)
    objective.to(x.device)(counted, Batch(x, y, torch.arange(2, device=x.device)))
    mine = counted.network.counts()[0] / 2  # type: ignore[operator]
    published_trades(counted, x, y, epsilon=task.epsilon)
    return {"medrobust": mine, "published": counted.network.counts()[0] / 2}  # type: ignore[operator]


def pgd_steps() -> dict[str, object]:
    """The attack of all PGD-7 sides."""
    return {"name": "pgd", "num_steps": NUM_STEPS, "relative_step_size": SHARE}


def parsed() -> argparse.Namespace:
    """The command line."""
    root = os.environ.get("MEDROBUST_DATA", "")
    found = root and (Path(root) / "Dataset_BUSI_with_GT").is_dir()
    out = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    out.add_argument("--data", default=f"busi:{root}/Dataset_BUSI_with_GT" if found else "phantom")
    out.add_argument("--classes", default="benign,malignant" if found else "", help="of the data set, all by default")
    out.add_argument("--network", default="torchvision:resnet18")
    out.add_argument("--size", type=int, default=112)
    out.add_argument("--images", type=int, default=96, help="of the epoch, about")
    out.add_argument("--batch-size", type=int, default=16)
    out.add_argument("--epsilon", default="8/255")
    out.add_argument("--repeats", type=int, default=3)
    out.add_argument("--threads", type=int, default=os.cpu_count())
    out.add_argument("--device", default="cpu")
    out.add_argument("--name")
    return out.parse_args()


def sides_of(task: Task) -> dict[str, Callable[[], float]]:
    """Name -> an epoch, which returns its seconds; the first of a group is what the group is compared with."""
    steps, eps = pgd_steps(), task.epsilon
    return {
        "PGD-7: medrobust fast": partial(ours, task, "adversarial", steps),
        "PGD-7: medrobust float32": partial(ours, task, "adversarial", steps, "float32"),
        "PGD-7: ART Madry trainer": partial(art, task),
        "PGD-7: torchattacks loop": partial(plain, task, partial(torchattacks_loss, epsilon=eps)),
        "PGD-7: bare gradients, low precision": partial(bare, task),
        "TRADES: medrobust fast": partial(ours, task, "trades", steps),
        "TRADES: published loop": partial(plain, task, partial(published_trades, epsilon=eps)),
        "10 steps: RST, medrobust fast": partial(ours, task, "rst", INSTANCE_STEPS),
        "10 steps: MIRST, medrobust fast": partial(ours, task, "mirst", INSTANCE_STEPS),
    }


def main() -> int:
    options = parsed()
    warnings.simplefilter("ignore")
    torch.set_num_threads(options.threads)
    task = Task(options)
    sides = sides_of(task)
    one_batch = argparse.Namespace(**{**vars(options), "images": options.batch_size})
    interleaved(sides_of(Task(one_batch)), 1)  # imports and first calls are not part of the comparison
    print("  warm", file=sys.stderr)
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(options.repeats):
        for name, run in interleaved(sides, 1).items():
            seconds[name].append(run.result or 0.0)
    each = {name: statistics.median(values) / task.num_images for name, values in seconds.items()}
    firsts = {name.partition(":")[0]: name for name in reversed(sides)}
    rows = [[name, value, value / each[firsts[name.partition(":")[0]]]] for name, value in each.items()]
    counted = forwards(task)
    names = ("network", "size", "batch_size", "repeats", "epsilon")
    setting = {name: getattr(options, name) for name in names}
    setting |= {"data": options.data.partition(":")[0], "images": task.num_images}
    header = ["side", "seconds/image", "ratio"]
    write(options, "training_speed", setting, header, rows, seconds=seconds, trades_forwards_per_image=counted)
    fast = each["PGD-7: medrobust fast"]
    print(f"{each['PGD-7: ART Madry trainer'] / fast:.2f} times the speed of ART's trainer (goal 4)")
    print(f"{each['PGD-7: torchattacks loop'] / fast:.2f} times the speed of a loop around torchattacks (goal 2.5)")
    print(f"{each['PGD-7: bare gradients, low precision'] / fast:.2f} of the rate of bare gradients")
    mirst = each["10 steps: MIRST, medrobust fast"] / each["10 steps: RST, medrobust fast"]
    print(f"MIRST costs {mirst:.2f} times RST with equal steps (goal 1.2)")
    print(f"forwards per image in a TRADES step: {counted['medrobust']:g}, published loop {counted['published']:g}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
