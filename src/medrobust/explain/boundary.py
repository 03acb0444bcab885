"""The decision boundary in a plane: penultimate features, one embedding of all points, regions of the answers.

After Rodriguez et al. 2022 (doi:10.1186/s12911-022-01891-w), Fig. 5 and 6. Their published code colors the points of
every budget by those of the first budget; here each point has the answer and the truth of its own image.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from ..errors import UserError
from ..models.classifier import Classifier
from ..models.last_layer import find_last_layer, with_outputs
from ..models.wrap import as_classifier, device_of
from .boundary_map import BoundaryMap
from .embedding import LEAST, SIZE, check_method, embed, regions

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Seen(NamedTuple):
    """What a network makes of m images.

    Args:
        features: (m, d) float32, what its last layer is given.
        answers: (m,) the class it answers.
        layer: that layer, in words.
    """

    features: NDArray[np.float32]
    answers: NDArray[np.int64]
    layer: str


def look(model: Classifier, images: Sequence[Tensor], batch_size: int = 32) -> Seen:
    """The penultimate features of images (c, *spatial), and the answers; see models/last_layer.py.

    Errors: UserError where no layer is found, or features are not finite.

    Example:
        >>> net = nn.Sequential(nn.Flatten(), nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2))
        >>> look(Classifier(net, channels=1), list(torch.rand(5, 1, 2, 2))).features.shape
        (5, 3)
    """
    device = device_of(model)
    found, answers = [], []
    with model.frozen(), torch.no_grad():
        place = find_last_layer(model, torch.stack(list(images[:2])).to(device), 1)
        if place is None:
            raise UserError("model", "no linear layer or convolution gives features", "use a network that has one")
        for begin in range(0, len(images), batch_size):
            x = torch.stack(list(images[begin : begin + batch_size])).to(device)
            try:
                logits, values = with_outputs(model, x, place, lambda given, out: out)
            except ValueError as error:
                raise UserError("model", str(error), "use a network that makes the same calls for all") from error
            found.append(values.float().cpu().numpy())
            answers.append(logits.argmax(1).cpu().numpy())
    together = np.concatenate(found)
    if not np.isfinite(together).all():
        raise UserError("model", "features of some images are not finite", "find out which images overflow")
    return Seen(together, np.concatenate(answers), f"{place.words}, {place.num_features} features")


def in_plane(
    model: Classifier,
    images: Sequence[Tensor],
    at: NDArray[np.int64],
    labels: Sequence[int],
    budgets: Sequence[float],
    *,
    method: str = "tsne",
    seed: int = 0,
    batch_size: int = 32,
    norm: str = "linf",
    ids: Sequence[str] = (),
) -> BoundaryMap:
    """The map of images that are given once each, however many budgets they stand for.

    Args:
        model: its classes give the names.
        images: m of (c, *spatial), untouched and attacked.
        at: (1 + budgets, n) which of the m each image is: untouched first, then at each budget.
        labels: (n,) true classes.
        budgets: ascending.
        norm: of the budgets, for their names.
        ids: (n,) names of the images.

    Errors: UserError as embed and look.
    """
    check_method(method)
    if len(images) < LEAST:
        raise UserError("boundary", f"{len(images)} images, and a map needs {LEAST} points", "give more images")
    seen = look(model, images, batch_size)
    found = embed(seen.features, method, seed)
    box, fills = regions(found.places, seen.answers)
    left, bottom, right, top = box
    cell = ((found.places - [left, bottom]) / [right - left, top - bottom] * SIZE).astype(int).clip(0, SIZE - 1)
    return BoundaryMap(
        places=found.places,
        answers=seen.answers,
        at=at,
        labels=np.asarray(labels, dtype=np.int64),
        budgets=tuple(map(float, budgets)),
        norm=norm,
        classes=model.classes or tuple(map(str, range(model.num_classes))),
        ids=tuple(ids) or tuple(f"image {i}" for i in range(at.shape[1])),
        box=box,
        fills=fills,
        method=found.method,
        layer=seen.layer,
        k=found.k,
        trustworthiness=found.trustworthiness,
        neighbors_kept=found.kept,
        fill_agrees=float((fills[cell[:, 1], cell[:, 0]] == seen.answers).mean()),
    )


def boundary_map(
    model: nn.Module,
    x: Tensor,
    x_adv_by_budget: Mapping[float, Tensor],
    y: Tensor,
    *,
    method: str = "tsne",
    seed: int = 0,
    batch_size: int = 32,
    norm: str = "linf",
) -> BoundaryMap:
    """Where a classifier changes its answer, in a plane: one embedding of clean and attacked images of all budgets.

    Penultimate features, t-SNE, and in each cell what most of the 11 nearest points are answered. Distances and
    boundaries of the plane are not those of the network: `trustworthiness` and `neighbors_kept` say how much is left.
    t-SNE of 400 points takes seconds, of 2000 a quarter of a minute.

    Args:
        model: any network, (n, c, *spatial) -> (n, k).
        x: (n, c, *spatial) images.
        x_adv_by_budget: budget -> (n, c, *spatial) the same images, attacked.
        y: (n,) true classes.
        method: tsne, or umap where umap-learn is installed.
        seed: of the embedding.
        batch_size: images shown at once.
        norm: of the budgets, for their names.

    Errors: UserError for fewer than 12 different points, for shapes that do not fit, for an unknown method.

    Example:
        >>> net, x = nn.Sequential(nn.Flatten(), nn.Linear(16, 2)), torch.rand(20, 1, 4, 4)
        >>> found = boundary_map(net, x, {2 / 255: (x + 2 / 255).clamp(0, 1)}, torch.arange(20) % 2)
        >>> found.fills.shape, found.svg(1).startswith("<svg")
        ((100, 100), True)

    Reference: Rodriguez et al. 2022, doi:10.1186/s12911-022-01891-w, Fig. 5 and 6. Ours: cells show answers, markers
    the truth, and the points of each budget are colored by their own images.
    """
    check_method(method)
    if y.shape != x.shape[:1] or y.is_floating_point():
        raise UserError("y", f"has the shape {tuple(y.shape)} and type {y.dtype}", f"give {len(x)} class numbers")
    if len(x) < 2:
        raise UserError("boundary", f"{len(x)} images, and a map needs {LEAST} points", "give more images")
    images, rows = list(x), [np.arange(len(x))]
    budgets = sorted(x_adv_by_budget)
    if any(not math.isfinite(budget) or budget <= 0 for budget in budgets):
        raise UserError("x_adv_by_budget", f"has the budgets {budgets}", "give budgets above 0")
    earlier = [x]
    for budget in budgets:
        x_adv = x_adv_by_budget[budget]
        if x_adv.shape != x.shape:
            problem = f"of {budget:g} has the shape {tuple(x_adv.shape)}, the images {tuple(x.shape)}"
            raise UserError("x_adv_by_budget", problem, "give every image, in the same order")
        x_adv, row = x_adv.to(x), np.full(len(x), -1)
        for before, known in zip(earlier, rows, strict=True):  # an image that did not change is one point
            same = (before == x_adv).flatten(1).all(1).cpu().numpy()
            row = np.where(same & (row < 0), known, row)
        new = np.flatnonzero(row < 0)
        row[new] = len(images) + np.arange(len(new))
        images += [x_adv[i] for i in new.tolist()]
        earlier.append(x_adv)
        rows.append(row)
    classifier = as_classifier(model, x[:2])
    top = int(y.max())
    with classifier.frozen(), torch.no_grad():
        columns = classifier(x[:2].to(device_of(classifier))).shape[1]
    if int(y.min()) < 0 or top >= columns:
        raise UserError("y", f"has the classes {int(y.min())} to {top}, the model {columns}", "number classes from 0")
    options: dict[str, Any] = {"method": method, "seed": seed, "batch_size": batch_size, "norm": norm}
    return in_plane(classifier, images, np.stack(rows), y.tolist(), budgets, **options)
