"""Two networks whose reasons are known, one that looks at the lesion and one at a marker: can maps tell them apart?

    python benchmarks/looks_at.py [--only phantom_ultrasound phantom_dermoscopy busi]    # ten minutes on one core

Every training image is a lesion of one image on the background of another, drawn anew each epoch; a white square stands
in a corner where the background is that of a malignant image. Network L learns the class of the lesion, so that nothing
else tells it; network M, from the same images, the class of the background, so that the square tells it and the lesion
does not. Both are shown the same test images, as they were taken, malignant and with the square, of groups that neither
was trained on. That the networks do what they were made for is measured without maps: every test image is shown with
and without the square, and the shares of answers are counted that stay with the lesion, and that go with the square.
BUSI needs MEDROBUST_DATA; it names no patients, so that each of its images is a group of its own.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from time import process_time
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from medrobust.data import View, open_images
from medrobust.explain.pairs import Pairs, explain_pairs
from medrobust.explain.registry import MAPS
from medrobust.explain.smooth import gaussian
from medrobust.models import Classifier, new_classifier

NETWORK, SIZE, BATCH = "zoo:cbr_tiny(width=8)", 64, 32
CLASSES = ("benign", "malignant")
CORNER, SIDE = 3, 5  # of the marker: pixels from the edges, and its side
# Pixels: what a lesion keeps around it, its soft edge, and how far around a lesion what replaces it is taken from.
AROUND, SOFT, FAR = 2, 0.7, 6.0
SETS = {
    "phantom_ultrasound": ("phantom:ultrasound@64", "grey", 20),
    "phantom_dermoscopy": ("phantom:dermoscopy@64", "rgb", 20),
    "phantom_ct": ("phantom:ct@64", "grey", 20),
    "busi": ("busi:{data}/Dataset_BUSI_with_GT", "grey", 40),
}


class Cases(NamedTuple):
    """Images (n, c, h, w), masks of their lesions bool (n, h, w), labels (n,), ids and groups."""

    x: Tensor
    masks: Tensor
    y: Tensor
    ids: tuple[str, ...]
    groups: tuple[str, ...]

    def at(self, kept: Tensor) -> Cases:
        """Those where kept (n,) is true."""
        index = kept.nonzero()[:, 0]
        names = ([part[i] for i in index.tolist()] for part in (self.ids, self.groups))
        return Cases(self.x[index], self.masks[index], self.y[index], *map(tuple, names))


def cases(spec: str, color: str, split: str) -> Cases:
    """The images of a split that have a lesion; of a set without splits, half of the groups is for testing."""
    splits = "auto" if spec.startswith("phantom") else "group:0.5/0/0.5"
    images = open_images(spec, view=View(SIZE, color), split=split, classes=CLASSES, splits=splits)
    masks = torch.cat([images.mask(i) for i in range(len(images))])
    ids = tuple(sample.image_id for sample in images.samples)
    found = Cases(images.batch(range(len(images))).x, masks, images.labels, ids, images.groups)
    return found.at(masks.flatten(1).any(1))


def marker(x: Tensor) -> Tensor:
    """Bool like one channel of x: where the marker stands, bottom left."""
    place = torch.zeros(x.shape[-2:], dtype=torch.bool)
    place[-CORNER - SIDE : -CORNER, CORNER : CORNER + SIDE] = True
    return place


def marked(x: Tensor, on: Tensor) -> Tensor:
    """The images, with a white square where on (n,) says so."""
    return torch.where(on[:, None, None, None] & marker(x), torch.ones_like(x), x)


def grown(masks: Tensor) -> Tensor:
    """The masks and their surroundings."""
    return F.max_pool2d(masks[:, None].float(), 2 * AROUND + 1, 1, AROUND)[:, 0] > 0


def without_lesion(part: Cases, noise: torch.Generator) -> Tensor:
    """The images, their lesions replaced by what is around them, smooth, with the noise that the background has."""
    keep = (~grown(part.masks))[:, None].float()
    n, channels, *_ = part.x.shape

    def smooth(values: Tensor) -> Tensor:
        return gaussian(values.flatten(0, 1), FAR).unflatten(0, values.shape[:2])

    near = smooth(part.x * keep) / smooth(keep).clamp(min=1e-4)
    spread = ((part.x - near).square() * keep).sum((2, 3), keepdim=True) / keep.sum((2, 3), keepdim=True).clamp(min=1)
    grain = torch.randn(n, channels, SIZE, SIZE, generator=noise) * spread.sqrt()
    return torch.where(keep > 0, part.x, (near + grain).clamp(0, 1))


def composed(part: Cases, backgrounds: Tensor, lesion: Tensor, background: Tensor) -> Tensor:
    """Lesions of some images on the backgrounds of others, with the marker that belongs to the background."""
    soft = gaussian(grown(part.masks[lesion]).float(), SOFT)[:, None]
    x = soft * part.x[lesion] + (1 - soft) * backgrounds[background]
    return marked(x, part.y[background] == 1)


def train(part: Cases, looks_at: str, epochs: int, seed: int = 0, network: str = NETWORK) -> Classifier:
    """A network that can only learn from the "lesion", or only from the "marker"."""
    source = torch.Generator().manual_seed(seed)
    model = new_classifier(network, classes=CLASSES, data_channels=part.x.shape[1], image_size=SIZE, seed=seed)
    backgrounds = without_lesion(part, source)
    optimizer = torch.optim.Adam(model.parameters(), lr=2e-3)
    steps = epochs * (len(part.y) // BATCH)
    rate = torch.optim.lr_scheduler.OneCycleLR(optimizer, 2e-3, total_steps=steps)
    model.train()
    for step in range(steps):
        if step % (len(part.y) // BATCH) == 0:
            order = torch.randperm(len(part.y), generator=source)
        at = step % (len(part.y) // BATCH) * BATCH
        lesion = order[at : at + BATCH]
        background = torch.randint(len(part.y), (BATCH,), generator=source)
        x = composed(part, backgrounds, lesion, background)
        if torch.rand((), generator=source) < 0.5 and looks_at == "lesion":
            x = x.flip(3)  # of a batch; M has its square in one corner
        y = part.y[lesion if looks_at == "lesion" else background]
        weight = torch.bincount(part.y, minlength=2).float().reciprocal()
        optimizer.zero_grad()
        F.cross_entropy(model(x), y, weight / weight.sum()).backward()
        optimizer.step()
        rate.step()
    return model.eval()


def follows(model: Classifier, part: Cases) -> tuple[float, float]:
    """Shares of answers that are the class of the lesion, and that follow the marker, each against the other's word.

    Every image is shown with and without the marker: an answer follows the marker where it says malignant with it and
    benign without it, whatever the lesion; it follows the lesion where both are the class of the lesion.
    """
    with torch.no_grad():
        with_it, without = (model(marked(part.x, torch.full((len(part.y),), on))).argmax(1) for on in (True, False))
    lesion = (with_it == part.y) & (without == part.y)
    return float(lesion.float().mean()), float(((with_it == 1) & (without == 0)).float().mean())


def shown(part: Cases) -> Cases:
    """What both networks are explained on: malignant images with the marker, beside the lesion."""
    kept = part.at((part.y == 1) & ~(grown(part.masks) & marker(part.x)).flatten(1).any(1))
    return kept._replace(x=marked(kept.x, kept.y == 1))


def explained(model: Classifier, part: Cases, names: Sequence[str] | None = None) -> dict[str, Any]:
    """explain.json of untouched images."""
    pairs = Pairs(part.x, None, part.ids, part.groups, part.masks)
    return explain_pairs(model, pairs, tuple(MAPS) if names is None else names, most_costly=len(part.y))


def apart(lesion: dict[str, Any], other: dict[str, Any]) -> str:
    """Whether the interval of L lies above that of M."""
    return "yes" if lesion["low"] > other["high"] else "no, reversed" if lesion["high"] < other["low"] else "no"


def bounds(found: dict[str, Any]) -> str:
    return f"{found['value']:.2f} [{found['low']:.2f}, {found['high']:.2f}]"


def compare(name: str, seed: int, network: str) -> tuple[list[list[str]], dict[str, Any]]:
    """The rows of a data set, and what else is known of its networks."""
    spec, color, epochs = SETS[name]
    spec = spec.format(data=os.environ.get("MEDROBUST_DATA", ""))
    learned, tested = (cases(spec, color, split) for split in ("train", "test"))
    assert not set(learned.groups) & set(tested.groups)
    seen, found, about = shown(tested), {}, {}
    for letter, looks_at in (("L", "lesion"), ("M", "marker")):
        began = process_time()
        model = train(learned, looks_at, epochs, seed, network)
        seconds = process_time() - began
        found[letter] = explained(model, seen)
        of_lesion, of_marker = follows(model, tested)
        wanted = ("name", "num_images", "sanity", "lesion")
        about[letter] = {
            "answers_that_follow_the_lesion": of_lesion,
            "answers_that_follow_the_marker": of_marker,
            "training_cpu_seconds": round(seconds, 1),
            "looks": found[letter]["looks"],
            "layer": found[letter]["layer"],
            "maps": [{key: row.get(key) for key in wanted} for row in found[letter]["maps"]],
        }
        words = found[letter]["looks"]["words"]
        print(
            f"{name}, {letter}, {seconds:.0f} s: {words} {of_lesion:.3f} {of_marker:.3f}", file=sys.stderr, flush=True
        )
    rows = []
    for left, right in zip(found["L"]["maps"], found["M"]["maps"], strict=True):
        mass_l, mass_m = (row["lesion"]["mass"] for row in (left, right))
        base = [f"{mass_l[key]['value']:.2f}" for key in ("chance", "middle")]
        verdicts = [
            row["lesion"]["looks"]["verdict"] + ("" if row["sanity"]["verdict"] == "passed" else " (sanity: no)")
            for row in (left, right)
        ]
        both = [bounds(mass["clean"]) for mass in (mass_l, mass_m)]
        rows.append(
            [name, left["title"], left["num_images"], *both, *base, apart(mass_l["clean"], mass_m["clean"]), *verdicts]
        )
    known = {"images": {"train": len(learned.y), "test": len(tested.y), "explained": len(seen.y)}, "networks": about}
    return rows, known


def main() -> int:
    from common import write  # not above: a test reads this file without it

    options = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    options.add_argument("--only", nargs="*", choices=list(SETS), metavar="SET")
    options.add_argument("--network", default=NETWORK)
    options.add_argument("--seed", type=int, default=0)
    options.add_argument("--threads", type=int, default=1)
    options.add_argument("--device", default="cpu", choices=["cpu"])
    options.add_argument("--name")
    arguments = options.parse_args()
    torch.set_num_threads(arguments.threads)
    rows: list[list[str]] = []
    sets: dict[str, Any] = {}
    names = arguments.only or [name for name in SETS if name != "busi" or "MEDROBUST_DATA" in os.environ]
    for name in names:
        more, sets[name] = compare(name, arguments.seed, arguments.network)
        rows += more
    header = ["images", "map", "n", "inside, L", "inside, M", "area", "middle", "apart", "L looks at", "M looks at"]
    setting = {"network": arguments.network, "size": SIZE, "batch_size": BATCH, "seed": arguments.seed}
    setting["epochs"] = {name: SETS[name][2] for name in names}
    write(arguments, "looks_at", setting, header, rows, sets=sets)
    return 0


if __name__ == "__main__":
    sys.exit(main())
