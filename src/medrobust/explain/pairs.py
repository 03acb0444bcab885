"""Maps of images untouched and attacked, side by side, and all that is said of them: explain.json."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from ..errors import UserError
from ..models.classifier import Classifier
from ..models.wrap import device_of
from ..progress import Report
from ..records.intervals import Estimate, Grouping
from ..streams import Streams
from .agreement import agreement, means
from .layer import Layer, find_layer
from .lesion import inside_lesions
from .pictures import write_pictures
from .registry import MAPS, TITLES
from .sanity import MOST, sanity
from .score import predicted
from .smooth import gaussian

SCHEMA = "medrobust.explain/1"
SIGMA = 5.0  # pixels, as Rodriguez et al. 2022; an eighth of the shorter side where that is less
PASSES = {"smooth_grad": {"num_samples": 8}, "integrated_gradients": {"num_steps": 16}}
MOST_IMAGES, MOST_COSTLY, MOST_TESTED, MOST_SHOWN = 200, 12, 24, 3


class Pairs(NamedTuple):
    """Images and what an attack made of them.

    Args:
        x, x_adv: (n, c, *spatial).
        ids, groups: of the images.
        masks: (n, *spatial) bool, the lesion; False everywhere where there is none.
    """

    x: Tensor
    x_adv: Tensor
    ids: tuple[str, ...]
    groups: tuple[str, ...]
    masks: Tensor

    def drawn(self, most: int, seed: int) -> list[int]:
        """Positions of at most so many, drawn by their ids, in their order."""
        return drawn(self.ids, most, seed)

    def at(self, kept: Sequence[int]) -> Pairs:
        """Those at these positions."""
        ids, groups = (tuple(names[i] for i in kept) for names in (self.ids, self.groups))
        index = torch.tensor(kept, dtype=torch.long)
        return Pairs(self.x[index], self.x_adv[index], ids, groups, self.masks[index])


class _Before(NamedTuple):
    """Maps of the same images that another map is made of."""

    clean: Tensor
    attacked: Tensor


class _Work(NamedTuple):
    model: Classifier
    seed: int
    batch_size: int
    sigma: float
    layer: Layer | None

    def make(self, name: str, ids: Sequence[str], model: Any, x: Tensor, target: Tensor) -> Tensor:
        """Maps (n, *spatial) of images, a batch at a time, on the CPU."""
        device = device_of(self.model)
        parts = []
        for begin in range(0, len(x), self.batch_size):
            part = slice(begin, begin + self.batch_size)
            more: dict[str, Any] = dict(PASSES.get(name, {}))
            if name.startswith("grad_cam"):
                more["layer"] = self.layer
            if name == "smoothed_saliency":
                more["sigma"] = self.sigma
            if name == "smooth_grad":
                more["generator"] = Streams.of(self.seed, ids[part], device)
            parts.append(MAPS[name](model, x[part].to(device), target[part].to(device), **more).float().cpu())
        return torch.cat(parts)

    def answers(self, x: Tensor) -> Tensor:
        device = device_of(self.model)
        return torch.cat([predicted(self.model, part.to(device)).cpu() for part in x.split(self.batch_size)])


def explain_pairs(
    model: Classifier,
    pairs: Pairs,
    names: Sequence[str] = tuple(MAPS),
    *,
    seed: int = 0,
    batch_size: int = 32,
    folder: Path | None = None,
    report: Report | None = None,
) -> dict[str, Any]:
    """What the classifier looks at, before and after, as explain.json holds it.

    Each map explains the margin of the class that the classifier answers for that image: after an attack it is another
    class. At most 200 images count, and 12 for the maps that cost many passes, drawn by their ids. A map that fails the
    sanity test has its numbers and no pictures.

    Args:
        model: frozen while this runs.
        pairs: one or more.
        names: of MAPS.
        seed: of the choice, of noise and of the new weights of the sanity test.
        batch_size: images shown at once.
        folder: where pictures are written; none without it.
        report: called with (what, done, of).
    """
    pairs = pairs.at(pairs.drawn(MOST_IMAGES, seed))
    sigma = min(SIGMA, min(pairs.x.shape[2:]) / 8)
    with model.frozen():
        layer, reason = _layer(model, pairs.x)
        work = _Work(model, seed, batch_size, sigma, layer)
        answers = torch.stack([work.answers(pairs.x), work.answers(pairs.x_adv)], 1)
        rows: list[dict[str, Any]] = []
        plain: _Before | None = None
        for done, name in enumerate(names):
            if report:
                report("maps", done, len(names))
            if name.startswith("grad_cam") and layer is None:
                rows.append({"name": name, "title": TITLES[name], "reason": reason})
            else:
                row, maps = _row(work, name, pairs, answers, folder, plain)
                rows.append(row)
                plain = maps if name == "saliency" else plain
        if report:
            report("maps", len(names), len(names))
    return {
        "schema": SCHEMA,
        "score": "margin",
        "sigma": sigma,
        "layer": layer.words if layer else "",
        "threshold": MOST,
        "num_images": len(pairs.ids),
        "num_groups": len(set(pairs.groups)),
        "num_masks": int(pairs.masks.flatten(1).any(1).sum()),
        "size": list(pairs.x.shape[2:]),
        "maps": rows,
    }


def _layer(model: Classifier, x: Tensor) -> tuple[Layer | None, str]:
    try:
        return find_layer(model, x[:2].to(device_of(model))), ""
    except UserError as error:
        return None, error.problem


def _row(
    work: _Work, name: str, pairs: Pairs, answers: Tensor, folder: Path | None, plain: _Before | None
) -> tuple[dict[str, Any], _Before]:
    if name in PASSES:
        kept = pairs.drawn(MOST_COSTLY, work.seed)
        pairs, answers = pairs.at(kept), answers[kept]
    target, target_adv = answers.T
    if name == "smoothed_saliency" and plain is not None:
        clean, attacked = gaussian(plain.clean, work.sigma), gaussian(plain.attacked, work.sigma)
    else:
        clean = work.make(name, pairs.ids, work.model, pairs.x, target)
        attacked = work.make(name, pairs.ids, work.model, pairs.x_adv, target_adv)
    grouping = Grouping(np.array(pairs.groups, dtype=object))
    few = slice(0, MOST_TESTED)
    tested = sanity(
        partial(work.make, name, pairs.ids[few]),
        work.model,
        pairs.x[few],
        clean[few],
        target[few],
        Grouping(grouping.groups[few]),
        work.seed,
    )
    has = pairs.masks.flatten(1).any(1)
    lesion = None
    if bool(has.any()):
        inside = inside_lesions(clean[has], attacked[has], pairs.masks[has], Grouping(grouping.groups[has.numpy()]))
        lesion = {"num_images": int(has.sum())} | {key: _plain(row) for key, row in inside.items()}
    row = {
        "name": name,
        "title": TITLES[name],
        "num_images": len(pairs.ids),
        "passes": next(iter(PASSES.get(name, {"": 1}).values())),
        "sanity": {
            "verdict": tested.verdict,
            "rank_correlation": tested.rank_correlation.as_dict(),
            "num_images": tested.num_images,
            "reason": tested.reason,
        },
        "agreement": _plain(means(agreement(clean, attacked), tuple(clean.shape[1:]), grouping)),
        "lesion": lesion,
        "pictures": [],
    }
    if folder is not None and tested.verdict == "passed":
        ids = pairs.ids[:MOST_SHOWN]
        written = write_pictures(folder, name, ids, pairs.x, pairs.x_adv, clean, attacked, pairs.masks)
        both = zip(target.tolist(), target_adv.tolist(), strict=True)
        row["pictures"] = [
            picture | {"answer": before, "answer_attacked": after}
            for picture, (before, after) in zip(written, both, strict=False)
        ]
    return row, _Before(clean, attacked)


def _plain(found: dict[str, Estimate]) -> dict[str, Any]:
    return {name: estimate.as_dict() for name, estimate in found.items()}


def drawn(ids: Sequence[str], most: int, seed: int) -> list[int]:
    """Positions of at most so many images, drawn by their ids, in their order."""
    rank = sorted(range(len(ids)), key=lambda i: _draw(seed, ids[i]))
    return sorted(rank[:most])


def _draw(seed: int, image_id: str) -> bytes:
    return hashlib.blake2b(f"explain/{seed}/{image_id}".encode(), digest_size=8).digest()
