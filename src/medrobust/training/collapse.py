"""Whether training has collapsed, said in words as soon as an epoch shows it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

Row = dict[str, Any]
NEAR = 0.01  # of ln C: an output that carries nothing
WELL_ABOVE, NEAR_ZERO = 0.3, 0.05  # robust accuracies
LEARNED = 0.05  # share of ln C by which a loss is lower once something is learned
LASTING, ABOVE_CHANCE = 3, 0.1  # epochs; balanced accuracy
FITTED = 0.5  # robust accuracy on training images
ACTIONS = ("continue", "stop", "restart")
MOST_RESTARTS = 3


class Collapse(NamedTuple):
    """kind: chance_loss, one_class or catastrophic_overfitting; text: what was seen."""

    kind: str
    text: str


class CollapsedError(Exception):
    """Training collapsed and is to be started again."""

    def __init__(self, collapse: Collapse, epoch: int) -> None:
        super().__init__(collapse, epoch)
        self.collapse, self.epoch = collapse, epoch


def find_collapse(rows: Sequence[Row], classes: Sequence[str], *, full_budget: bool = False) -> Collapse | None:
    """What the last of these epochs of one phase shows, None when it is sound.

    - one_class: all validation images get one answer; and an earlier epoch did better than chance without that, or the
      loss is above 2 ln C, or it is the third such epoch in a row and training learned nothing either. (A network that
      has just begun may do that for two epochs, and running statistics lag behind what was learned.)
    - chance_loss: the cross-entropies of training and of validation are within 1 % of ln C, for the third epoch in a
      row.
    - catastrophic_overfitting (Wong et al. 2020, arXiv:2001.03994): robust accuracy on validation images is at most
      5 %; and it was 30 % or more in an earlier epoch, or, after the first epoch, 50 % or more of the training images
      resist their attack at the same budget.

    Args:
        rows: of the history, see validate; the last rule needs robust_accuracy.
        classes: names of the outputs.
        full_budget: training examples have the budget of validation.

    Example:
        >>> row = {"predicted": [1.0, 0.0], "loss": 9.0, "balanced_accuracy": 0.5}
        >>> find_collapse([row], ["benign", "malignant"]).text
        "all validation images are called 'benign'"
    """
    row, lasting = rows[-1], rows[-LASTING:]
    robust = row.get("robust_accuracy")
    if robust is not None and robust <= NEAR_ZERO and "train_robust_accuracy" in row:
        before = max((earlier["robust_accuracy"] for earlier in rows[:-1]), default=0.0)
        if before >= WELL_ABOVE:
            return _overfitted(f"robust accuracy fell from {before:.0%} to {robust:.0%}")
        fitted = row["train_robust_accuracy"]
        if full_budget and fitted >= FITTED and len(rows) > 1:
            return _overfitted(f"{fitted:.0%} of training images resist their attack and {robust:.0%} in validation")
    if "predicted" not in row:
        return None
    chance = math.log(len(classes))
    if _one_class(row):
        fell = any(not _one_class(r) and r["balanced_accuracy"] > 1 / len(classes) + ABOVE_CHANCE for r in rows)
        if (
            fell
            or row["loss"] > 2 * chance
            or (
                len(lasting) == LASTING
                and all(_one_class(r) and min(_losses(r)) > (1 - LEARNED) * chance for r in lasting)
            )
        ):
            answer = classes[row["predicted"].index(1)]
            return Collapse("one_class", f"all validation images are called {answer!r}")
    if len(lasting) == LASTING and all(_at(chance, r) for r in lasting):
        return Collapse("chance_loss", f"the loss is ln {len(classes)} = {chance:.3f}, as if nothing was learned")
    return None


def _one_class(row: Row) -> bool:
    return bool(max(row["predicted"]) == 1)


def _at(chance: float, row: Row) -> bool:
    losses = _losses(row)
    return len(losses) > 1 and all(abs(loss - chance) <= NEAR * chance for loss in losses)


def _losses(row: Row) -> list[float]:
    return [row[name] for name in ("train_clean_loss", "train_adversarial_loss", "loss") if name in row]


def _overfitted(text: str) -> Collapse:
    return Collapse("catastrophic_overfitting", f"{text} (catastrophic overfitting)")
