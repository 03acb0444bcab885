"""Semi-supervised robust self-training: images without labels teach robustness."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from ..attacks.base import Attack
from ..data.images.batch import Batch
from ..models.classifier import Classifier
from ..threat import Threat
from .adversarial import AgainstAttack
from .base import TrainingLoss, divergence, joint
from .epsilon import EpsilonRule

KINDS = ("pseudo", "consistency")


class SemiRst(AgainstAttack):
    """RST where some images have no label (y < 0); with labels everywhere it is `rst`.

    pseudo: CE(f(x), t) + weight * CE(f(x_adv), t), with t the label, or else the answer of a teacher (Carmon et al.
    2019, arXiv:1905.13736). consistency: the same where there is a label, else weight * KL(f(x) || f(x_adv)) (Uesato
    et al. 2019, arXiv:1905.13725). An image without a label counts unlabeled_weight, and nothing where the teacher's
    probability of its answer is below the threshold. Sums are divided by the size of the batch.

    The paper of Sun et al. 2022 (arXiv:2205.01674) calls its supervised baseline RST; this is the original idea.

    Args:
        weight: of the adversarial loss.
        unlabeled_weight: of an image without a label.
        unlabeled_loss: pseudo or consistency.
        threshold: from 0 to 1.
        teacher: a checkpoint folder of ours, trained on the labeled images; by default the model itself as it is.
        threat, attack, epsilon, seed: see AgainstAttack.

    Errors: ValueError for an unknown unlabeled_loss, a negative weight, or a threshold outside [0, 1].

    Example:
        >>> model = Classifier(torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(4, 2)), channels=1)
        >>> batch = Batch(torch.rand(3, 1, 2, 2), torch.tensor([0, 1, -1]), torch.arange(3))
        >>> float(SemiRst(Threat(epsilon=0.1), threshold=1.0)(model, batch).parts["taught"])
        0.0
    """

    unlabeled = True

    def __init__(
        self,
        threat: Threat,
        *,
        weight: float = 1.0,
        unlabeled_weight: float = 1.0,
        unlabeled_loss: str = "pseudo",
        threshold: float = 0.0,
        teacher: str | None = None,
        attack: Attack | None = None,
        epsilon: EpsilonRule | None = None,
        seed: int = 0,
    ) -> None:
        if unlabeled_loss not in KINDS:
            raise ValueError(f"unknown unlabeled_loss {unlabeled_loss!r}; valid: {', '.join(KINDS)}")
        if weight < 0 or unlabeled_weight < 0 or not 0 <= threshold <= 1:
            given = f"{weight}, {unlabeled_weight}, {threshold}"
            raise ValueError(f"needs weights of 0 or larger and a threshold from 0 to 1, got {given}")
        super().__init__(threat, attack=attack, epsilon=epsilon, seed=seed)
        self.weight, self.unlabeled_weight, self.threshold = weight, unlabeled_weight, threshold
        self.unlabeled_loss = unlabeled_loss
        # In a tuple: a part of the recipe, not of the state, and no parameter of this run.
        self._teacher = (_load(teacher),) if teacher else ()

    def search(self, model: Classifier, batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
        """x_adv (n, c, *spatial), the labels or the teacher's answers (n,), and what each image counts (n,)."""
        with self.searching(model) as still:
            with torch.no_grad():
                teacher = self._teacher[0].to(batch.x.device) if self._teacher else still
                sure, answer = teacher(batch.x).softmax(1).max(1)
            known = batch.y >= 0
            target = torch.where(known, batch.y, answer)
            share = torch.where(known, 1.0, self.unlabeled_weight * (sure >= self.threshold)).to(batch.x.dtype)
            x_adv = self.attack(still, batch.x, target, self.threat_of(batch), generator=self.streams(batch))
        return x_adv, target, share

    def loss(self, model: Classifier, batch: Batch, found: tuple[Tensor, Tensor, Tensor]) -> TrainingLoss:
        x_adv, target, share = found
        known = batch.y >= 0
        clean_logits, logits = joint(model, batch.x, x_adv)
        clean, robust = (F.cross_entropy(z, target, reduction="none") for z in (clean_logits, logits))
        each = clean + self.weight * robust
        if self.unlabeled_loss == "consistency":
            each = torch.where(known, each, self.weight * divergence(clean_logits, logits))
        count = known.sum().clamp_min(1)
        right, stands = ((z.detach().argmax(1) == target) & known for z in (clean_logits, logits))
        parts = {
            "clean_loss": (clean.detach() * known).sum() / count,
            "adversarial_loss": (robust.detach() * known).sum() / count,
            "accuracy": right.sum() / count,
            "robust_accuracy": stands.sum() / count,
            "taught": ((share > 0) & ~known).float().mean(),
        }
        return TrainingLoss((share * each).mean(), parts)


def _load(teacher: str) -> Classifier:
    from ..models.load import load_model

    return load_model(teacher).eval().requires_grad_(False)
