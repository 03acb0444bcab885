"""Adaptive-margin adversarial training."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from ..attacks.base import Attack
from ..data.images.batch import Batch
from ..models.classifier import Classifier
from ..norms import per_sample
from ..threat import Threat
from .adversarial import Adversarial
from .epsilon import Adaptive, Feedback


class Amat(Adversarial):
    """SAT with a budget that each image earns (AMAT; Li et al. 2024, arXiv:2403.06798, eqs. 5 to 7).

    Losses and distances are taken in evaluation mode, on the example that is then trained on; the new budget holds
    from the next time the image is seen. The paper says neither where budgets start nor how far they may go: `start`
    and `largest` do.

    Args:
        threat: its epsilon is the unit of start, growth and largest.
        num_images: of the training set.
        start, growth, largest: of the budgets, as multiples of epsilon.
        threshold: xi, of the adversarial loss.
        crossing: without the threshold; where the attack won, the budget becomes the distance of the point at which the
            decision flips on the line from the image to its example, as in the public code of this line of work.
        num_bisections: halvings of that line.
        clean_weight, attack, seed: see Adversarial.

    Errors: ValueError unless 0 <= start <= largest and growth >= 0.
    """

    full_budget = False

    def __init__(
        self,
        threat: Threat,
        *,
        num_images: int,
        start: float = 1.0,
        growth: float = 0.1,
        largest: float = 2.0,
        threshold: float = math.log(2),
        crossing: bool = False,
        num_bisections: int = 10,
        clean_weight: float = 0.5,
        attack: Attack | None = None,
        seed: int = 0,
    ) -> None:
        if not 0 <= start <= largest or growth < 0:
            raise ValueError(f"needs 0 <= start <= largest and growth >= 0, got {start}, {largest}, {growth}")
        unit = float(threat.epsilon)
        rule = Adaptive(
            num_images,
            start=start * unit,
            growth=growth * unit,
            largest=largest * unit,
            threshold=None if crossing else threshold,
        )
        super().__init__(threat, clean_weight=clean_weight, attack=attack, epsilon=rule, seed=seed)
        self.crossing, self.num_bisections = crossing, num_bisections

    def search(self, model: Classifier, batch: Batch) -> Tensor:
        with self.searching(model) as still, torch.no_grad():
            x_adv = self.attack(still, batch.x, batch.y, self.threat_of(batch), generator=self.streams(batch))
            logits = still(x_adv)
            reached = logits.argmax(1) != batch.y
            end = self._crossing(still, batch, x_adv) if self.crossing else x_adv
            distance = self.threat.norm.size(end - batch.x)
            loss = F.cross_entropy(logits, batch.y, reduction="none")
        self.epsilon.record(batch.index, Feedback(loss, reached, distance))
        return x_adv

    def _crossing(self, model: Classifier, batch: Batch, x_adv: Tensor) -> Tensor:
        """(n, ...) where the line from the image to x_adv turns to a wrong answer, if x_adv has one; else x_adv."""
        low = torch.zeros(len(x_adv), dtype=x_adv.dtype, device=x_adv.device)
        high = torch.ones_like(low)
        for _ in range(self.num_bisections):
            middle = (low + high) / 2
            wrong = model(batch.x + per_sample(middle, x_adv) * (x_adv - batch.x)).argmax(1) != batch.y
            low, high = torch.where(wrong, low, middle), torch.where(wrong, middle, high)
        return batch.x + per_sample(high, x_adv) * (x_adv - batch.x)
