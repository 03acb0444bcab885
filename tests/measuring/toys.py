"""Small models and image sets whose answers are known."""

import torch
from torch import Tensor, nn

from medrobust.data import ImageSet, Sample
from medrobust.data.files.pixels import Pixels
from medrobust.goals import Goal
from medrobust.measuring.subjects import Subjects
from medrobust.models.classifier import Classifier
from medrobust.streams import Streams

SIDE = 4
EPSILONS = (0.01, 0.02, 0.05, 0.1, 0.2)


def decode(sample: Sample) -> Pixels:
    """Noise in the middle of the range, so that the domain's edges do not matter."""
    import numpy as np

    return Pixels(np.random.default_rng(sample.frame).integers(90, 166, size=(1, SIDE, SIDE)).astype(np.uint8))


def image_set(n: int = 24, num_classes: int = 2) -> ImageSet:
    from medrobust.data import View

    samples = [
        Sample(f"i{k}", None, k % num_classes, f"g{k // 2}", frame=k, metadata={"age": 40.0 + k}) for k in range(n)
    ]
    names = [f"c{k}" for k in range(num_classes)]
    return ImageSet("toy", names, samples, view=View(None, "grey"), decode=decode)


def linear(num_classes: int = 2, seed: int = 0) -> Classifier:
    torch.manual_seed(seed)
    net = nn.Sequential(nn.Flatten(), nn.Linear(SIDE * SIDE, num_classes))
    with torch.no_grad():
        net[1].bias.copy_(-net[1].weight.sum(1) * 0.5)
    return Classifier(net, classes=[f"c{k}" for k in range(num_classes)], channels=1, spec="toy")


def small_net(num_classes: int = 3, seed: int = 0) -> Classifier:
    torch.manual_seed(seed)
    net = nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 8, 3), nn.ReLU(), nn.Flatten(),
        nn.Linear(8 * (SIDE - 2) ** 2, num_classes),
    )  # fmt: skip
    net[1].running_var.fill_(0.01)
    return Classifier(net, classes=[f"c{k}" for k in range(num_classes)], channels=1, spec="toy")


def exact_distance(model: Classifier, x: torch.Tensor) -> torch.Tensor:
    """Closed-form linf distance of a two-class linear model to its boundary."""
    layer = model.network[1]
    w = layer.weight[1] - layer.weight[0]
    b = layer.bias[1] - layer.bias[0]
    return (x.flatten(1).double() @ w.double() + b.double()).abs() / w.double().abs().sum()


def subjects(model: Classifier, x: torch.Tensor, y: torch.Tensor | None = None) -> Subjects:
    """Images whose labels to leave are y, by default the answers of the model."""
    with model.frozen(), torch.no_grad():
        logits = model(x)
    y = logits.argmax(1) if y is None else y
    units = of_bits([8] * len(x))
    return Subjects(x, y, Goal(y, False), logits, units, Streams.of(0, range(len(x))))


def of_bits(depths: list[int]) -> Tensor:
    """(n, 2) units of grey images of these depths, see verify.stored."""
    return torch.tensor([[1 / (2**bits - 1), 0.0] for bits in depths], dtype=torch.float64)
