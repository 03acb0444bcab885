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
from .looks import looks, together
from .pictures import write_pictures
from .registry import MAPS, TITLES
from .sanity import MOST, Step, cascade, sanity
from .score import predicted
from .smooth import gaussian

SCHEMA = "medrobust.explain/1"
SIGMA = 5.0  # pixels, as Rodriguez et al. 2022; an eighth of the shorter side where that is less
PASSES = {"smooth_grad": {"num_samples": 8}, "integrated_gradients": {"num_steps": 16}}
MOST_IMAGES, MOST_COSTLY, MOST_TESTED, MOST_SHOWN = 200, 12, 24, 3
MOST_CASCADED = 12  # images for the test layer by layer, of the maps that take one pass


class Pairs(NamedTuple):
    """Images and what an attack made of them.

    Args:
        x, x_adv: (n, c, *spatial); x_adv is None where nothing was attacked.
        ids, groups: of the images.
        masks: (n, *spatial) bool, the lesion; False everywhere where there is none.
    """

    x: Tensor
    x_adv: Tensor | None
    ids: tuple[str, ...]
    groups: tuple[str, ...]
    masks: Tensor

    def drawn(self, most: int, seed: int) -> list[int]:
        """Positions of at most so many; see `drawn`."""
        return drawn(self.ids, most, seed)

    def at(self, kept: Sequence[int]) -> Pairs:
        """Those at these positions."""
        ids, groups = (tuple(names[i] for i in kept) for names in (self.ids, self.groups))
        index = torch.tensor(kept, dtype=torch.long)
        x_adv = None if self.x_adv is None else self.x_adv[index]
        return Pairs(self.x[index], x_adv, ids, groups, self.masks[index])


class _Before(NamedTuple):
    """Maps of the same images that another map is made of."""

    clean: Tensor
    attacked: Tensor | None


class _Work(NamedTuple):
    model: Classifier
    seed: int
    batch_size: int
    sigma: float
    layer: Layer | None
    most_costly: int
    most_shown: int

    def places(self, name: str) -> int | None:
        """Places of the layer that a map is made of; None where a map has one for each pixel."""
        return int(np.prod(self.layer.shape)) if self.layer and name.startswith("grad_cam") else None

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
    most_costly: int = MOST_COSTLY,
    most_shown: int = MOST_SHOWN,
) -> dict[str, Any]:
    """What the classifier looks at, before and after, as explain.json holds it.

    Each map explains the margin of the class that the classifier answers for that image: after an attack it is another
    class. At most 200 images count, and most_costly for the maps that cost many passes, drawn by their ids. A map that
    fails the sanity test has its numbers and no pictures. Images that nothing attacked have no agreement.

    Args:
        model: frozen while this runs.
        pairs: one or more.
        names: of MAPS.
        seed: of the choice, of noise and of the new weights of the sanity test.
        batch_size: images shown at once.
        folder: where pictures are written; none without it.
        report: called with (what, done, of).
        most_costly: images for the maps that take many passes.
        most_shown: images with pictures.
    """
    pairs = pairs.at(pairs.drawn(MOST_IMAGES, seed))
    sigma = min(SIGMA, min(pairs.x.shape[2:]) / 8)
    with model.frozen():
        layer, reason = _layer(model, pairs.x)
        work = _Work(model, seed, batch_size, sigma, layer, most_costly, most_shown)
        answers = [work.answers(x) for x in (pairs.x, pairs.x_adv) if x is not None]
        rows: list[dict[str, Any]] = []
        plain: _Before | None = None
        for done, name in enumerate(names):
            if report:
                report("maps", done, len(names))
            if name.startswith("grad_cam") and layer is None:
                rows.append({"name": name, "title": TITLES[name], "reason": reason})
                continue
            try:
                row, maps = _row(work, name, pairs, torch.stack(answers, 1), folder, plain)
            except UserError as error:
                rows.append({"name": name, "title": TITLES[name], "reason": error.problem})
                continue
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
        "answered": dict(zip(pairs.ids, answers[0].tolist(), strict=True)),
        "looks": _looks(rows),
        "maps": rows,
    }


def _looks(rows: Sequence[dict[str, Any]]) -> dict[str, str] | None:
    """What the maps that passed the sanity test say together; None without masks."""
    known = [row for row in rows if row.get("lesion")]
    passed = {row["title"]: row["lesion"]["looks"]["verdict"] for row in known if row["sanity"]["verdict"] == "passed"}
    return together(passed)._asdict() if known else None


def _layer(model: Classifier, x: Tensor) -> tuple[Layer | None, str]:
    try:
        return find_layer(model, x[:2].to(device_of(model))), ""
    except UserError as error:
        return None, error.problem


def _row(
    work: _Work, name: str, pairs: Pairs, answers: Tensor, folder: Path | None, plain: _Before | None
) -> tuple[dict[str, Any], _Before]:
    if name in PASSES:
        kept = pairs.drawn(work.most_costly, work.seed)
        pairs, answers = pairs.at(kept), answers[kept]
    target = answers[:, 0]
    shown = [x for x in (pairs.x, pairs.x_adv) if x is not None]
    if name == "smoothed_saliency" and plain is not None:
        maps = [gaussian(before, work.sigma) for before in plain if before is not None]
    else:
        maps = [work.make(name, pairs.ids, work.model, x, answers[:, k]) for k, x in enumerate(shown)]
    clean, attacked = maps[0], maps[1] if len(maps) > 1 else None
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
    steps = [] if name in PASSES else _layers(work, name, pairs, clean, target)
    has = pairs.masks.flatten(1).any(1)
    lesion: dict[str, Any] | None = None
    if bool(has.any()):
        after = None if attacked is None else attacked[has]
        inside = inside_lesions(clean[has], after, pairs.masks[has], Grouping(grouping.groups[has.numpy()]))
        lesion = {"num_images": int(has.sum())} | {key: _plain(row) for key, row in inside.items()}
        lesion["looks"] = looks(inside["mass"], work.places(name))._asdict()
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
            "layers": [step._asdict() | {"rank_correlation": step.rank_correlation.as_dict()} for step in steps],
        },
        "agreement": {},
        "lesion": lesion,
        "pictures": [],
    }
    if attacked is not None:
        row["agreement"] = _plain(means(agreement(clean, attacked), tuple(clean.shape[1:]), grouping))
    if folder is not None and tested.verdict == "passed":
        ids = pairs.ids[: work.most_shown]
        written = write_pictures(folder, name, ids, shown, maps, pairs.masks)
        row["pictures"] = [
            picture | dict(zip(("answer", "answer_attacked"), given, strict=False))
            for picture, given in zip(written, answers.tolist(), strict=False)
        ]
    return row, _Before(clean, attacked)


def _layers(work: _Work, name: str, pairs: Pairs, clean: Tensor, target: Tensor) -> list[Step]:
    few = slice(0, MOST_CASCADED)
    grouping = Grouping(np.array(pairs.groups[few], dtype=object))
    make = partial(work.make, name, pairs.ids[few])
    return cascade(make, work.model, pairs.x[few], clean[few], target[few], grouping, work.seed)


def _plain(found: dict[str, Estimate]) -> dict[str, Any]:
    return {name: estimate.as_dict() for name, estimate in found.items()}


def drawn(ids: Sequence[str], most: int, seed: int) -> list[int]:
    """Positions of at most so many, drawn by their ids, in their order."""
    rank = sorted(range(len(ids)), key=lambda i: _draw(seed, ids[i]))
    return sorted(rank[:most])


def _draw(seed: int, image_id: str) -> bytes:
    return hashlib.blake2b(f"explain/{seed}/{image_id}".encode(), digest_size=8).digest()
