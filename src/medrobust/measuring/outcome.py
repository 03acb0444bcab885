"""What measuring one attack on one batch over a grid of budgets gives."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..engine.tree import take
from ..norms import Norm, as_norm
from ..threat import not_above

Model = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Grid:
    """Budgets of one norm, ascending.

    Example:
        >>> Grid("linf", (0.2, 0.1)).epsilons
        (0.1, 0.2)
    """

    norm_name: str
    epsilons: tuple[float, ...]
    domain: tuple[float, float] = (0.0, 1.0)

    def __post_init__(self) -> None:
        object.__setattr__(self, "epsilons", tuple(sorted(set(self.epsilons))))

    @property
    def norm(self) -> Norm:
        """The norm, or the family of corruptions, of this name."""
        return as_norm(self.norm_name)

    @property
    def radii(self) -> Tensor:
        """(e,) the budgets in float64, rounded down to float32, in which images are: see threat.not_above."""
        return not_above(torch.tensor(self.epsilons, dtype=torch.float64), torch.empty(0)).double()


@dataclass
class Outcome:
    """Per image and budget (n, e): reached, prediction, distance, survives, forwards, backwards; logits (n, e, k).

    It starts as `nothing`: the clean decision at distance 0. points (n, c, *spatial), where they are known: what broke
    each image at its smallest budget.
    """

    grid: Grid
    reached: Tensor
    prediction: Tensor
    distance: Tensor
    survives: Tensor
    logits: Tensor
    forwards: Tensor
    backwards: Tensor
    points: Tensor | None = None

    @staticmethod
    def nothing(clean_logits: Tensor, grid: Grid) -> Outcome:
        """n images with clean logits (n, k), before any attack."""
        n, num_budgets = len(clean_logits), len(grid.epsilons)
        clean_logits = clean_logits.cpu()
        no = torch.zeros(n, num_budgets, dtype=torch.bool)
        count = torch.zeros(n, num_budgets, dtype=torch.int64)
        prediction = clean_logits.argmax(1)[:, None].repeat(1, num_budgets)
        logits = clean_logits[:, None].repeat(1, num_budgets, 1)
        return Outcome(grid, no, prediction, count.double(), no.clone(), logits, count.clone(), count.clone())

    def set(self, index: Tensor, budgets: Any, found: Any) -> None:
        """Write a Verdict of the images at index (m,) to some budgets (int or slice)."""
        for name in ("reached", "distance", "survives", "logits"):
            target = getattr(self, name)
            value = getattr(found, name).to(target)
            target[index, budgets] = value[:, None] if isinstance(budgets, slice) else value
        prediction = found.logits.argmax(1).cpu()
        self.prediction[index, budgets] = prediction[:, None] if isinstance(budgets, slice) else prediction

    def set_from(self, index: Tensor, first: Tensor, found: Any) -> None:
        """Write a Verdict of the images at index (m,), each from its budget at position first (m,) on."""
        for at in first.unique().tolist():
            chosen = first == at
            self.set(index[chosen], slice(at, None), take(found, chosen.to(found.x.device)))

    def put(self, rows: slice, part: Outcome) -> None:
        """Take over the outcome of some of the images."""
        for name, value in vars(part).items():
            if name not in ("grid", "points"):
                getattr(self, name)[rows] = value

    def rows(self, attack: str, goal: str, common: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Rows for the records, one per image and budget; common holds what all rows of an image say."""
        scores = self.logits.softmax(-1).numpy().astype(np.float32)
        out = []
        for i, shared in enumerate(common):
            for j, epsilon in enumerate(self.grid.epsilons):
                out.append(
                    shared
                    | {
                        "attack": attack,
                        "norm": self.grid.norm_name,
                        "epsilon": epsilon,
                        "goal": goal,
                        "reached": bool(self.reached[i, j]),
                        "prediction": int(self.prediction[i, j]),
                        "scores": scores[i, j],
                        "distance": float(self.distance[i, j]),
                        "forwards": int(self.forwards[i, j]),
                        "backwards": int(self.backwards[i, j]),
                        "survives_source_bit_depth": bool(self.survives[i, j]),
                    }
                )
        return out
