"""Models small enough to know everything about, and images that they classify correctly."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ..goals import Goal, as_classes
from ..losses import margin
from ..norms import Norm
from ..streams import Streams

# Number of outputs by head; the labels of multi_label are (n, k) zeros and ones.
HEADS: dict[str, int] = {"five_classes": 5, "two_classes": 2, "one_logit": 1, "multi_label": 3}


class TinyModel(nn.Module):
    """A smooth network with one hidden layer, the same in every batch: it computes in float64.

    In float32 a matrix product is rounded in another way in another batch, which an attack may amplify; here an attack
    that treats a sample differently in another batch has no such excuse.

    Args:
        shape: (c, *spatial) of an image.
        num_outputs: columns of the logits.
        seed: of the weights.
        domain: lowest and highest value of a pixel.

    Example:
        >>> TinyModel((1, 2, 2), 3)(torch.zeros(5, 1, 2, 2)).shape
        torch.Size([5, 3])
    """

    def __init__(
        self, shape: Sequence[int], num_outputs: int, *, seed: int = 0, domain: tuple[float, float] = (0.0, 1.0)
    ) -> None:
        super().__init__()
        size, hidden = math.prod(shape), 12
        streams = Streams.of(seed, range(hidden + num_outputs))
        rows = streams[:hidden].normal(torch.zeros(hidden, size, dtype=torch.float64))
        self.hidden = nn.Parameter(4 * rows / size**0.5)
        self.out = nn.Parameter(streams[hidden:].normal(torch.zeros(num_outputs, hidden, dtype=torch.float64)))
        self.low, self.width = domain[0], domain[1] - domain[0]
        self.batch_norm = nn.BatchNorm1d(num_outputs, dtype=torch.float64)

    def forward(self, x: Tensor) -> Tensor:
        """(n, *shape) -> float32 logits (n, num_outputs)."""
        unit = (x.flatten(1).double() - self.low) / self.width - 0.5
        # In training mode this layer would mix the samples and move its running means.
        logits: Tensor = self.batch_norm((unit @ self.hidden.T).tanh() @ self.out.T)
        return logits.float()


class LinearModel(nn.Module):
    """logits = x . weight + bias: every smallest perturbation is known.

    Args:
        weight: (k, d), one row per class; one row makes a one-logit model.
        bias: (k,).

    Example:
        >>> from medrobust.norms import L2
        >>> model = LinearModel(torch.tensor([[0.0, 0.0], [3.0, 4.0]]), torch.tensor([0.0, -1.0]))
        >>> model.distance(torch.zeros(1, 1, 2), torch.tensor([0]), L2())
        tensor([0.2000])
    """

    def __init__(self, weight: Tensor, bias: Tensor) -> None:
        super().__init__()
        self.weight = nn.Parameter(weight.clone())
        self.bias = nn.Parameter(bias.clone())

    def forward(self, x: Tensor) -> Tensor:
        """(n, ...) of d values each -> logits (n, k)."""
        return x.flatten(1) @ self.weight.T + self.bias

    @torch.no_grad()
    def distance(self, x: Tensor, y: Tensor, norm: Norm) -> Tensor:
        """(n,) distance to the nearest other class, away from the edge of the domain: min gap / ||w_y - w_k||_dual."""
        weight = as_classes(self.weight.T).T if len(self.weight) == 1 else self.weight
        logits = as_classes(self(x))
        gap = logits.gather(1, y[:, None]) - logits
        steepness = norm.dual_size((weight[y][:, None] - weight[None]).flatten(0, 1)).reshape(gap.shape)
        return (gap / steepness).scatter(1, y[:, None], torch.inf).amin(1)


@torch.no_grad()
def images_of(
    model: nn.Module, shape: Sequence[int], num_images: int, *, multi_label: bool = False, seed: int = 1
) -> tuple[Tensor, Tensor]:
    """x (n, *shape) and the labels that the model gives: some images very near the boundary, some far from it.

    Some pixels are at the edge of the domain. With multi_label, the labels are (n, k) zeros and ones.
    """
    low, width = getattr(model, "low", 0.0), getattr(model, "width", 1.0)
    unit = Streams.of(seed, range(32 * num_images)).uniform(torch.zeros(32 * num_images, *shape))
    x = low + width * (1.3 * unit - 0.15).clamp(0, 1)
    logits = model(x)
    y = (logits > 0).long() if multi_label else as_classes(logits).argmax(1)
    order = margin(logits, Goal(y, False)).argsort(descending=True)
    # From the most fragile to the median.
    chosen = order[torch.linspace(0, 16 * num_images - 1, num_images).long()]
    return x[chosen], y[chosen]
