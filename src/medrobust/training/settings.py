"""What the loop is told, one step of it as a module, and the line that it says about an epoch."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from ..data.images.batch import Batch
from ..errors import UserError
from ..models.classifier import Classifier
from ..objectives.base import TrainingLoss, TrainingObjective
from ..recipes.train import AugmentSpec, AverageSpec

Row = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class LoopSettings:
    """What the loop does in all phases; the fields are those of TrainRecipe, and fast is its precision=fast.

    on_collapse="restart" raises CollapsedError, for the caller to start again with another seed.
    """

    batch_size: int
    seed: int = 0
    augment: AugmentSpec = field(default_factory=AugmentSpec)
    average: AverageSpec = field(default_factory=AverageSpec)
    on_collapse: str = "continue"
    patience: int = 0
    balance: bool = False
    accumulate: int = 1
    clip_norm: float | None = None
    save_every: int = 0
    num_workers: int = 0
    fast: bool = False
    compile: bool = False


class TrainingStep(nn.Module):
    """Model and objective as one module: a trainer wraps one forward pass, inside which all see the bare model."""

    def __init__(self, model: Classifier, objective: TrainingObjective, low: torch.dtype | None) -> None:
        super().__init__()
        self.model, self.objective, self.low = model, objective, low

    def forward(self, x: Tensor, y: Tensor, index: Tensor) -> TrainingLoss:
        """The loss of the batch x (n, c, *spatial), y (n,), index (n,).

        Errors: UserError when a batch normalization has one value per channel only, of which there is no variance.
        """
        # Not the trainer's own mixed precision: it would round the pixels before anything else sees them.
        with torch.autocast(x.device.type, self.low, enabled=self.low is not None):
            try:
                return self.objective(self.model, Batch(x, y, index))
            except ValueError as error:
                if "more than 1 value per channel" not in str(error):
                    raise
                reason = f"{len(x)} on each device is too few: the network has batch normalization"
                raise UserError("batch_size", reason, "use 2 or more, or a network without it") from error


def epoch_line(row: Row, num_epochs: int) -> str:
    """One epoch in one line.

    Example:
        >>> epoch_line({"epoch": 0, "train_total": 0.51234, "accuracy": 0.9, "robust_accuracy": 0.75, "best": True}, 5)
        'epoch 1/5: loss 0.512, validation accuracy 90.0 %, under attack 75.0 %, best so far'
    """
    text = f"epoch {row['epoch'] + 1}/{num_epochs}: loss {row['train_total']:.3f}"
    for name, title in (("accuracy", "validation accuracy"), ("robust_accuracy", "under attack")):
        text += f", {title} {100 * row[name]:.1f} %" if name in row else ""
    return text + (", best so far" if row["best"] else "")
