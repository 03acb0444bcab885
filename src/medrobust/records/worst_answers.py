"""The answers of the worst case: what the classifier says of each image when the strongest attack was chosen for it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from .rows import Rows


class Answers(NamedTuple):
    """What the classifier says of each image, in the order of the data set.

    Args:
        norm: "" for the unchanged images.
        epsilon: 0 for the unchanged images.
        prediction: (n,) classes.
        scores: (n, k) probabilities.
        ever: (n, k) bool, whether some attack that is allowed made the classifier answer this class.
    """

    norm: str
    epsilon: float
    prediction: np.ndarray
    scores: np.ndarray
    ever: np.ndarray


def untouched(rows: Rows) -> Answers:
    """The answers to the unchanged images."""
    clean = rows.clean
    said, scores = clean["clean_prediction"].astype(int), clean["scores"]
    return Answers("", 0.0, said, scores, np.eye(scores.shape[1], dtype=bool)[said])


def worst_answers(rows: Rows, norm: str) -> Iterator[Answers]:
    """The answers of the worst case at each budget of a norm, the smallest first.

    Of an image that some attack broke it is the answer of an attack that broke it, else that of any attack; of several
    the one that leaves the true class the smallest margin, its probability less the largest other. Protocol honest:
    among all attacks at this and at every smaller budget and the unchanged image, which are all allowed at this
    budget, so that the accuracy is that of `worst_case`. Protocol paper: among the attacks at this budget alone.

    Args:
        rows: of one run.
        norm: linf, l2 or l1.

    Example:
        >>> import torch, medrobust as mr
        >>> net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(16, 2))
        >>> images = mr.ImageSet.of(torch.rand(6, 1, 4, 4), torch.arange(6) % 2)
        >>> records = mr.measure(net, images, ["fgsm"], linf=["1/255", "4/255"])
        >>> [answers.scores.shape for answers in worst_answers(records, "linf")]
        [(6, 2), (6, 2)]
    """
    first = untouched(rows)
    label = rows.clean["label"].astype(int)
    n, k = first.scores.shape
    own = np.flatnonzero(rows["norm"] == norm)
    ids = {name: i for i, name in enumerate(rows.clean["image_id"].tolist())}
    image = np.array([ids[name] for name in rows["image_id"][own].tolist()], dtype=int)
    budget, said, scores = rows["epsilon"][own], rows["prediction"][own].astype(int), rows["scores"][own]
    wrong, left = said != label[image], margins(label[image], scores)
    everyone = np.arange(n)
    best = (first.prediction != label, margins(label, first.scores), first.prediction.copy(), first.scores.copy())
    ever = first.ever.copy()
    for epsilon in np.unique(budget):
        here = np.flatnonzero(budget == epsilon)
        if not rows.honest:
            best = (np.zeros(n, dtype=bool), np.full(n, np.inf), first.prediction.copy(), first.scores.copy())
            ever = np.zeros((n, k), dtype=bool)
        # The last row of an image in this order is its worst.
        order = here[np.lexsort((-left[here], wrong[here], image[here]))]
        last = np.append(image[order][1:] != image[order][:-1], True) if len(order) else np.empty(0, bool)
        chosen, where = order[last], image[order[last]]
        worse = (wrong[chosen] & ~best[0][where]) | (
            (wrong[chosen] == best[0][where]) & (left[chosen] < best[1][where])
        )
        for kept, found in zip(best, (wrong, left, said, scores), strict=True):
            kept[where[worse]] = found[chosen[worse]]
        ever[image[here], said[here]] = True
        ever[everyone[~ever.any(1)], first.prediction[~ever.any(1)]] = True
        yield Answers(norm, float(epsilon), best[2].copy(), best[3].copy(), ever.copy())


def margins(label: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """(n,) the probability of the true class less the largest other; NaN counts as infinitely bad."""
    everyone = np.arange(len(label))
    others = scores.astype(np.float64)
    own = others[everyone, label]
    others[everyone, label] = -np.inf
    found = own - others.max(1)
    return np.where(np.isnan(found), -np.inf, found)
