"""Contrastive pre-training: features that agree about two views of an image, without labels."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..data.images.batch import Batch
from ..errors import UserError
from ..models.classifier import Classifier
from ..models.layers import last_layer
from ..streams import Streams
from .base import TrainingLoss, TrainingObjective
from .random_views import ViewSpec, random_view


def nt_xent(a: Tensor, b: Tensor, temperature: float = 0.5) -> Tensor:
    """() Normalized temperature-scaled cross-entropy of two views (n, d) of n images; n is 2 or more.

    With z the 2n vectors divided by their length and z_j the other view of the image of z_i, it is the mean over i of
    -log(exp(z_i . z_j / t) / sum over k != i of exp(z_i . z_k / t)) (Chen et al. 2020, arXiv:2002.05709, eq. 1).

    Example:
        >>> a = torch.eye(2)
        >>> round(float(nt_xent(a, a, temperature=1.0)), 4)  # ln(e + 2) - 1
        0.5514
    """
    z = F.normalize(torch.cat([a, b]), dim=1)
    similarity = z @ z.T / temperature
    similarity = similarity.masked_fill(torch.eye(len(z), dtype=torch.bool, device=z.device), -torch.inf)
    return F.cross_entropy(similarity, torch.arange(len(z), device=z.device).roll(len(a)))


def features(model: Classifier, x: Tensor) -> Tensor:
    """(n, d) what the last layer of the network receives."""
    seen: list[Tensor] = []
    handle = last_layer(model.network)[1].register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    try:
        model(x)
    finally:
        handle.remove()
    return seen[-1].flatten(1)


class SimClr(TrainingObjective):
    """NT-Xent of two random views of each image, behind a projection head (SimCLR; Chen et al. 2020, arXiv:2002.05709).

    The head, linear - ReLU - linear, belongs to the objective and is not part of the checkpoint, which serves another
    run as model.init. Labels play no part; the network's last layer stays as it began. The negatives of an image are
    the others of its batch, in its own process.

    Args:
        model: whose features are trained; its last layer must be linear.
        temperature: of NT-Xent.
        projection: size of the vectors that are compared.
        min_area, rotation, flip, vertical_flip, jitter, saturation, blur: see ViewSpec.
        seed: of the head and of the views.

    Errors: ValueError for a temperature or projection that is not above 0, or a last layer that is not linear.
        UserError for volumes.
    """

    robust = False
    unlabeled = True
    metric = "loss"

    def __init__(
        self,
        model: Classifier,
        *,
        temperature: float = 0.5,
        projection: int = 128,
        min_area: float = 0.2,
        rotation: float = 15.0,
        flip: bool = True,
        vertical_flip: bool = False,
        jitter: float = 0.4,
        saturation: float = 0.4,
        blur: float = 0.02,
        seed: int = 0,
    ) -> None:
        super().__init__(seed=seed)
        if temperature <= 0 or projection < 1:
            raise ValueError(f"temperature and projection must be above 0, got {temperature}, {projection}")
        last = last_layer(model.network)[1]
        if not isinstance(last, nn.Linear):
            raise ValueError(f"the network ends with a {type(last).__name__}, not a linear layer")
        self.temperature = temperature
        self.spec = ViewSpec(
            min_area=min_area,
            rotation=rotation,
            flip=flip,
            vertical_flip=vertical_flip,
            jitter=jitter,
            saturation=saturation,
            blur=blur,
        )
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            width = last.in_features
            self.head = nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, projection))

    def search(self, model: Classifier, batch: Batch) -> tuple[Tensor, Tensor]:
        """Two views of each image."""
        return self._views(batch.x, self.streams(batch))

    def _views(self, x: Tensor, streams: Streams) -> tuple[Tensor, Tensor]:
        if x.ndim != 4:
            raise UserError("objective.name", "simclr makes views of images, not of volumes")
        return random_view(x, self.spec, streams.child(1)), random_view(x, self.spec, streams.child(2))

    def loss(self, model: Classifier, batch: Batch, found: tuple[Tensor, Tensor]) -> TrainingLoss:
        z = self.head(features(model, torch.cat(found)).to(next(self.head.parameters()).dtype))
        a, b = z.to(torch.promote_types(z.dtype, torch.float32)).split(len(batch.x))
        total = nt_xent(a, b, self.temperature)
        return TrainingLoss(total, {"contrastive_loss": total.detach()})

    def judge(self, model: Classifier, batches: Iterable[Batch]) -> dict[str, Any]:
        """{"loss"}: NT-Xent of validation images in evaluation mode, with the same views in every epoch."""
        losses: list[tuple[float, int]] = []
        with model.frozen(), torch.no_grad():
            for batch in batches:
                if len(batch.x) > 1:
                    x, index = batch.x.to(model.mean.device), batch.index.to(model.mean.device)
                    keys = Streams.of(self.seed, ["validation"], x.device).keys.expand(len(x))
                    found = self._views(x, Streams(keys).child(index))
                    losses.append((float(self.loss(model, Batch(x, batch.y, index), found).total), len(x)))
        total = sum(n for _, n in losses)
        return {"loss": sum(value * n for value, n in losses) / max(total, 1)}
