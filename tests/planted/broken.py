"""What broken classifiers, attacks and set-ups are made of."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from medrobust.attacks import pgd
from medrobust.attacks.base import Attack
from medrobust.auditing.setup import resolve
from medrobust.data import ImageSet
from medrobust.engine.abilities import Abilities
from medrobust.goals import untargeted
from medrobust.recipes.yaml import audit_recipe, read_recipe
from medrobust.threat import Threat

from .case import Made
from .nets import Around, Straight, phantom, pixels, trained


def images(count: int = 48, part: str = "test") -> ImageSet:
    return phantom(part).subset(range(count))


def of(before: Any = None, behind: Any = None, **more: Any) -> Callable[[], Made]:
    """The standard network with something before or behind it."""
    return lambda: Made(Around(trained(), before, behind), images(), **more)


def with_attack(**attacks: Attack) -> Callable[[], Made]:
    return lambda: Made(trained(), images(), attacks)


class Rounded(nn.Module):
    """Every activation in steps, so that gradients are zero."""

    def forward(self, x: Tensor) -> Tensor:
        return (x * 4).round() / 4


class Winners(nn.Module):
    """The largest tenth of the values of a layer (k-winner-takes-all, Xiao et al. 2020)."""

    def forward(self, x: Tensor) -> Tensor:
        flat = x.flatten(1)
        least = flat.topk(max(1, flat.shape[1] // 20), 1).values[:, -1:]
        return torch.where(flat >= least, flat, 0).reshape_as(x)


def with_activations(make: Callable[[], nn.Module]) -> nn.Module:
    network = trained()
    for name, module in list(network.named_children()):
        if isinstance(module, nn.ReLU):
            setattr(network, name, make())
    return network


def jpeg(x: Tensor) -> Tensor:
    """Through a JPEG file, without a gradient."""
    import io

    import numpy as np
    from PIL import Image

    out = []
    for one in (x.detach() * 255).round().to(torch.uint8):
        buffer = io.BytesIO()
        Image.fromarray(one[0].numpy()).save(buffer, format="JPEG", quality=75)
        out.append(torch.from_numpy(np.array(Image.open(buffer))).float()[None] / 255)
    return torch.stack(out).to(x)


def same(grad: Tensor) -> Tensor:
    return grad


class BatchStatistics(nn.Module):
    """Batch normalization that takes its numbers from the batch whatever the mode."""

    def __init__(self, norm: nn.BatchNorm2d) -> None:
        super().__init__()
        self.norm = norm

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.batch_norm(x, None, None, self.norm.weight, self.norm.bias, training=True)


def in_batches() -> nn.Module:
    network = trained()
    for name, module in list(network.named_children()):
        if isinstance(module, nn.BatchNorm2d):
            setattr(network, name, BatchStatistics(module))
    return network


class Tiring(nn.Module):
    """Answers that depend on how often it was asked."""

    def __init__(self) -> None:
        super().__init__()
        self.network, self.asked = trained(), itertools.count()

    def forward(self, x: Tensor) -> Tensor:
        return self.network(x) * (1 + 0.5 * (next(self.asked) % 3))


class Purifying(nn.Module):
    """It takes a gradient step on its own input before it answers."""

    def __init__(self) -> None:
        super().__init__()
        self.network = trained()

    def forward(self, x: Tensor) -> Tensor:
        with torch.enable_grad():
            leaf = x.detach().requires_grad_()
            entropy = self.network(leaf).logsumexp(1).sum()
            (grad,) = torch.autograd.grad(entropy, leaf)
        return self.network(x + 0.002 * grad.sign())


class Keyed(nn.Module):
    """Noise that is a function of the image: the same each time, and another one next to it."""

    def __init__(self) -> None:
        super().__init__()
        self.network = trained()

    def forward(self, x: Tensor) -> Tensor:
        key = (x.detach().double() * 1e6).sum((1, 2, 3), keepdim=True)
        place = torch.arange(x[0].numel(), dtype=torch.float64).reshape(x[0].shape)
        noise = torch.sin(1e4 * key + 12.9898 * place) * 43758.5453
        return self.network((x + 0.1 * (noise - noise.floor() - 0.5).to(x)).clamp(0, 1))


def roughness(x: Tensor) -> Tensor:
    """(n,) the mean difference of neighbors."""
    return x.diff(dim=-1).abs().mean((1, 2, 3))


class Silent(nn.Module):
    """NaN where noise makes an image rougher than all images are."""

    def __init__(self) -> None:
        super().__init__()
        self.network = trained()
        self.limit = roughness(pixels(images())[0]).max()

    def forward(self, x: Tensor) -> Tensor:
        out = self.network(x)
        return torch.where((roughness(x) > self.limit + 1e-3)[:, None], torch.nan, out)


class Constant(nn.Module):
    """One answer to everything."""

    def __init__(self) -> None:
        super().__init__()
        self.network = trained()

    def forward(self, x: Tensor) -> Tensor:
        return 0.01 * self.network(x) + torch.tensor([5.0, 0.0])


class Unseen(torch.autograd.Function):
    """A softmax that nothing sees, as of a library of its own."""

    @staticmethod
    def forward(ctx: Any, z: Tensor) -> Tensor:
        p = torch.exp(20 * z) / torch.exp(20 * z).sum(1, keepdim=True)
        ctx.save_for_backward(p)
        return p

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:  # type: ignore[override]
        (p,) = ctx.saved_tensors
        return 20 * p * (grad - (p * grad).sum(1, keepdim=True))


@dataclass(frozen=True)
class Broken:
    """An attack of somebody's own with a mistake in it."""

    change: Callable[[Tensor, Threat], Tensor]
    threat: Callable[[Threat], Threat] = lambda threat: threat
    goal: Any = untargeted

    @property
    def abilities(self) -> Abilities:
        return Abilities()

    def __call__(self, model: Any, x: Tensor, y: Tensor, threat: Threat, *, generator: Any = None) -> Tensor:
        found = pgd(num_steps=20)(model, x, y, self.threat(threat), generator=generator)
        return x + self.change(found - x, threat)


def on_l2(d: Tensor, threat: Threat) -> Tensor:
    """The change projected onto the Euclidean ball of the same number."""
    radius = torch.as_tensor(threat.epsilon).reshape(-1, 1, 1, 1)
    size = d.flatten(1).norm(dim=1).reshape(-1, 1, 1, 1)
    return d * (radius / size.clamp_min(1e-12)).clamp_max(1)


def first_alone(d: Tensor, threat: Threat) -> Tensor:
    out = torch.zeros_like(d)
    out[0] = d[0]
    return out


def audit_of(*overrides: str) -> Callable[[], Made]:
    return lambda: Made(resolve(audit_recipe(read_recipe(None, list(overrides), {}))))


def relabeled(change: Callable[[int], int]) -> ImageSet:
    x, y = pixels(images())
    return ImageSet.of(x, [change(int(one)) for one in y], classes=list(phantom("test").classes))


def marked() -> Made:
    """A bright frame gives the malignant ones away, and the classifier looks at nothing else."""
    x, y = pixels(images(120))
    x = x.clone()
    x[y == 1, :, :3] = 1.0
    x[y == 0, :, :3] = 0.0
    network = nn.Sequential(nn.AvgPool2d((3, SIDE_OF_FRAME)), nn.Flatten(), nn.Linear(10, 2))
    with torch.no_grad():
        network[2].weight.zero_()
        network[2].weight[:, 0] = torch.tensor([-8.0, 8.0])
        network[2].bias[:] = torch.tensor([4.0, -4.0])
    return Made(network, ImageSet.of(x, y, classes=list(phantom("test").classes)))


SIDE_OF_FRAME = 32


def twice() -> Made:
    """Half of the images stand in the test set twice, once with another label."""
    x, y = pixels(images())
    again = torch.cat([x, x[:24]])
    labels = torch.cat([y, 1 - y[:24]])
    return Made(trained(), ImageSet.of(again, labels, classes=list(phantom("test").classes)))


def small_numbers(scale: float) -> Made:
    """Pixels that fill a small part of the declared range."""
    x, y = pixels(images())
    classes = list(phantom("test").classes)
    return Made(Around(trained(), lambda seen: seen / scale), ImageSet.of(x * scale, y, classes=classes))


def color_images() -> ImageSet:
    return phantom("test", "dermoscopy", "rgb").subset(range(60))


def mostly_detached(x: Tensor) -> Tensor:
    """All but one pixel in a hundred without a gradient."""
    keep = (torch.arange(x[0].numel()) % 100 == 0).reshape(x[0].shape)
    return torch.where(keep, x, x.detach())


def random_like(grad: Tensor) -> Tensor:
    place = torch.arange(grad.numel(), dtype=torch.float64).reshape(grad.shape)
    return torch.sin(place * 78.233 + grad.double().sum() * 1e4).to(grad)


def back(
    rule: Callable[[Tensor], Tensor], there: Callable[[Tensor], Tensor] = torch.clone
) -> Callable[[Tensor], Tensor]:
    return lambda x: Straight.apply(x, there, rule)


def stairs(x: Tensor) -> Tensor:
    """Steps of the brightness, with a slope on them that says nothing."""
    return (x * 12).floor() / 12 - 0.002 * x


def replace_epsilon(threat: Threat, factor: float) -> Threat:
    return Threat(torch.as_tensor(threat.epsilon) * factor, threat.norm, threat.domain)
