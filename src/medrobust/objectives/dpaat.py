"""Dynamic perturbation-adaptive adversarial training."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from ..attacks.base import Attack
from ..data.images.batch import Batch
from ..models.classifier import Classifier
from ..norms import Norm, per_sample
from ..threat import Threat
from .adversarial import Adversarial
from .base import TrainingLoss, adversarial_loss, clean_loss, joint
from .distributed import joint_mean
from .epsilon import EpsilonRule

TINY = 1e-12


class Dpaat(Adversarial):
    """L_SAT + beta * L_syn, on examples whose budgets follow their losses (Li et al. 2024, arXiv:2403.06798).

    With dL = L(x_adv) - L(x) of an image and dL_avg its mean over the batch, an example is pulled in by
    gamma = epsilon * |dL - dL_avg| / |dL_avg| where dL > dL_avg, and pushed out by it elsewhere (eqs. 13 to 15); L_syn
    is the Jensen-Shannon divergence of the two softmax outputs. Where our reading differs from the paper:

    - Eq. 11 as printed equals ln 2 - JS, which is largest where the outputs agree, against the text. `as_printed`
      keeps it.
    - dL_avg can be zero or negative. So gamma divides by |dL_avg| + 1e-12, and the radius stays from 0 to
      max_scale * epsilon.
    - "returned new x_adv" runs no new attack here: the direction found is projected or extended to the new radius, and
      clipped to the domain. `regenerate` runs the attack again inside the new ball.

    The ablations of the paper: D-A is synchronization=0, D-B is adaptation=0. With both 0 it is SAT.

    Args:
        adaptation: factor on gamma.
        synchronization: beta; the paper does not give its value.
        as_printed, regenerate: see above.
        max_scale: largest radius, in units of epsilon.
        clean_weight, threat, attack, epsilon, seed: see Adversarial. The paper's attack is 7-step l2 PGD, epsilon 0.3,
            step_size 0.15, random_start=False.

    Errors: ValueError when adaptation or max_scale is negative.
    """

    full_budget = False

    def __init__(
        self,
        threat: Threat,
        *,
        adaptation: float = 1.0,
        synchronization: float = 1.0,
        as_printed: bool = False,
        regenerate: bool = False,
        max_scale: float = 2.0,
        clean_weight: float = 0.5,
        attack: Attack | None = None,
        epsilon: EpsilonRule | None = None,
        seed: int = 0,
    ) -> None:
        if adaptation < 0 or max_scale < 0:
            raise ValueError(f"adaptation and max_scale must be 0 or larger, got {adaptation}, {max_scale}")
        super().__init__(threat, clean_weight=clean_weight, attack=attack, epsilon=epsilon, seed=seed)
        self.adaptation, self.synchronization, self.max_scale = adaptation, synchronization, max_scale
        self.as_printed, self.regenerate = as_printed, regenerate

    def search(self, model: Classifier, batch: Batch) -> Tensor:
        with self.searching(model) as still:
            threat, streams = self.threat_of(batch), self.streams(batch)
            x_adv = self.attack(still, batch.x, batch.y, threat, generator=streams)
            if self.adaptation == 0:
                return x_adv
            with torch.no_grad():
                before, after = (F.cross_entropy(still(x), batch.y, reduction="none") for x in (batch.x, x_adv))
            distance = self.threat.norm.size(x_adv - batch.x)
            radius = self.radius(after - before, distance, torch.as_tensor(threat.epsilon))
            if self.regenerate:
                threat = Threat(epsilon=radius, norm=threat.norm, domain=threat.domain, mask=threat.mask)
                return self.attack(still, batch.x, batch.y, threat, generator=streams)
            return resized(batch.x, x_adv, radius, self.threat.norm).clamp(*self.threat.domain)

    def radius(self, change: Tensor, distance: Tensor, epsilon: Tensor) -> Tensor:
        """(n,) the new radii, eq. 15, from the changes of the loss (n,) and the distances (n,) of the examples."""
        mean = joint_mean(change.mean())
        gamma = self.adaptation * epsilon * (change - mean).abs() / (mean.abs() + TINY)
        moved = torch.where(change > mean, distance - gamma, distance + gamma)
        return torch.minimum(moved.clamp_min(0), self.max_scale * epsilon)

    def loss(self, model: Classifier, batch: Batch, found: Tensor) -> TrainingLoss:
        if self.synchronization == 0:
            return super().loss(model, batch, found)
        clean_logits, logits = joint(model, batch.x, found)
        clean, adversarial = clean_loss(clean_logits, batch.y), adversarial_loss(logits, batch.y)
        agreement = synchronization_loss(clean_logits, logits, as_printed=self.as_printed)
        total = self.clean_weight * clean.total + (1 - self.clean_weight) * adversarial.total
        parts = clean.parts | adversarial.parts | {"synchronization_loss": agreement.detach()}
        return TrainingLoss(total + self.synchronization * agreement, parts)


def synchronization_loss(p_logits: Tensor, q_logits: Tensor, *, as_printed: bool = False) -> Tensor:
    """() Jensen-Shannon divergence of the softmax of two batches of logits (n, k), mean over the batch; 0 to ln 2.

    JS = (KL(P || M) + KL(Q || M)) / 2 with M = (P + Q) / 2. With as_printed, eq. 11 of Li et al. 2024
    (arXiv:2403.06798) to the letter, with P + Q in the place of M and a minus in front: ln 2 - JS.

    Example:
        >>> z = torch.tensor([[2.0, 0.0]])
        >>> [round(abs(float(synchronization_loss(z, z, as_printed=printed))), 4) for printed in (False, True)]
        [0.0, 0.6931]
    """
    log_p, log_q = p_logits.log_softmax(1), q_logits.log_softmax(1)
    log_m = torch.logaddexp(log_p, log_q) - math.log(2)
    value = ((log_p.exp() * (log_p - log_m)).sum(1) + (log_q.exp() * (log_q - log_m)).sum(1)).mean() / 2
    return math.log(2) - value if as_printed else value


def resized(x: Tensor, x_adv: Tensor, radius: Tensor, norm: Norm) -> Tensor:
    """x_adv at distance radius (n,) from x: projected where that is smaller, extended where it is larger."""
    d = x_adv - x
    size = norm.size(d)
    longer = d * per_sample(radius / size.clamp_min(TINY), d)
    return x + torch.where(per_sample(radius > size, d), longer, norm.project(d, radius))
