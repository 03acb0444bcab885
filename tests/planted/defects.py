"""Classifiers and set-ups that are broken, and the checks that must say so."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from medrobust.attacks import fgsm, pgd
from medrobust.attacks.base import Attack
from medrobust.auditing.setup import resolve
from medrobust.data import ImageSet
from medrobust.engine.abilities import Abilities
from medrobust.goals import untargeted
from medrobust.models.classifier import Classifier
from medrobust.recipes.yaml import audit_recipe, read_recipe
from medrobust.threat import Threat

from .case import REFUSED, Case, Made
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


DEFECTS: list[Case] = [
    Case(
        "rounded activations",
        "layers round, gradients are zero",
        lambda: Made(with_activations(Rounded), images()),
        ("gradients", "active-test"),
    ),
    Case("jpeg inside", "a JPEG file on the way, no gradient", of(jpeg), (REFUSED,)),
    Case(
        "jpeg with a straight-through gradient",
        "the gradient of another function",
        of(back(same, jpeg)),
        ("differences",),
    ),
    Case("stairs", "steps of brightness with a misleading slope", of(stairs), ("differences",)),
    Case(
        "k-winner activations",
        "discontinuous everywhere",
        lambda: Made(with_activations(Winners), images()),
        ("differences",),
    ),
    Case("gradient upside down", "the backward pass has the wrong sign", of(back(torch.neg)), ("differences",)),
    Case("gradient of noise", "the backward pass is random", of(back(random_like)), ("differences",)),
    Case("gradient of few pixels", "99 of 100 pixels are cut off", of(mostly_detached), ("black-box",)),
    Case("no gradient at all", "the network is detached", of(torch.detach), (REFUSED,)),
    Case(
        "zero gradient",
        "detached, with a zero that is attached",
        of(lambda x: x.detach() + 0 * x),
        ("gradients", "active-test"),
    ),
    Case("temperature", "logits times 100,000", of(behind=lambda z: 1e5 * z), ("saturation",)),
    Case("offset", "logits plus ten million", of(behind=lambda z: z + 1e7), ("precision",)),
    Case("probabilities as logits", "a softmax that cannot be seen", of(behind=Unseen.apply), ("head",)),
    Case(
        "noise at test time",
        "gaussian noise on every image",
        of(lambda x: x + 0.1 * torch.randn_like(x)),
        ("deterministic",),
    ),
    Case(
        "dropout at test time",
        "dropout whatever the mode",
        of(behind=None, before=lambda x: nn.functional.dropout(x, 0.2, training=True)),
        ("deterministic",),
    ),
    Case(
        "noise keyed by the image",
        "a random defense that repeats itself",
        lambda: Made(Keyed(), images()),
        ("differences", "active-test"),
    ),
    Case(
        "statistics of the batch",
        "batch normalization in training mode",
        lambda: Made(in_batches(), images()),
        ("batch-independent",),
    ),
    Case("state", "answers depend on how often it was asked", lambda: Made(Tiring(), images()), ("deterministic",)),
    Case("purification", "a gradient step inside the answer", lambda: Made(Purifying(), images()), ("inner-loop",)),
    Case("silence", "NaN beside the images", lambda: Made(Silent(), images()), ("finite",)),
    Case(
        "double normalization",
        "a network that takes pixels is given normalized ones",
        lambda: Made(
            Classifier(trained(), mean=[0.3], std=[0.15], classes=phantom("test").classes, channels=1),
            images(120),
            epsilons=(1 / 255,),
        ),
        ("normalization",),
    ),
    Case(
        "blue for red",
        "channels in the other order",
        lambda: Made(Around(trained("color"), lambda x: x.flip(1)), color_images()),
        ("normalization",),
    ),
    Case(
        "range of bytes",
        "the network wants 0 to 255",
        lambda: Made(Around(trained(), lambda x: x / 255), images(120), epsilons=(1 / 255,)),
        ("normalization",),
    ),
    Case(
        "a corner of the range",
        "pixels fill a fiftieth of the declared range",
        lambda: small_numbers(1 / 50),
        ("input-range",),
    ),
    Case("swapped classes", "outputs in the other order", of(behind=lambda z: z.flip(1)), ("class-order",)),
    Case("constant answer", "one class for every image", lambda: Made(Constant(), images()), ("answers-something",)),
    Case(
        "one class in the data",
        "no image of the other class",
        lambda: Made(trained(), relabeled(lambda y: 0)),
        ("answers-something",),
    ),
    Case("label leak", "a frame gives the class away", marked, ("data-shortcuts",)),
    Case("images twice", "duplicates with other labels", twice, ("data-exact-duplicates", "data-label-conflicts")),
    Case(
        "trained on the test",
        "images of the training part",
        audit_of("data.split=train", "data.limit=60", "attacks=quick", "threat.epsilons=1/255"),
        ("trained-on",),
    ),
    Case(
        "chosen on the test",
        "images that chose the epoch",
        audit_of("data.split=val", "data.limit=60", "attacks=quick", "threat.epsilons=1/255"),
        ("trained-on",),
    ),
    Case("few images", "twelve of them", lambda: Made(trained(), images(12)), ("enough-images",)),
    Case(
        "half of the way",
        "ten steps of a twentieth of the budget",
        with_attack(pgd=pgd(num_steps=10, relative_step_size=0.05, random_start=False)),
        ("reach", "closed-form", "active-test"),
    ),
    Case(
        "steps ten times too small",
        "twenty of an eightieth",
        with_attack(pgd=pgd(num_steps=20, relative_step_size=1 / 80, random_start=False)),
        ("reach", "closed-form", "active-test", "convergence"),
    ),
    Case(
        "one step alone",
        "FGSM where the network is curved",
        lambda: Made(trained("adversarial"), images(), {"fgsm": fgsm()}, (8 / 255, 24 / 255)),
        ("convergence",),
    ),
    Case(
        "projection onto another ball",
        "l2 where linf was asked",
        with_attack(own=Broken(on_l2)),
        ("closed-form", "active-test", "convergence"),
    ),
    Case(
        "budget divided twice",
        "epsilon in another unit",
        with_attack(own=Broken(lambda d, t: d, lambda t: replace_epsilon(t, 1 / 255))),
        ("closed-form", "active-test"),
    ),
    Case(
        "first image only",
        "the rest of the batch is left as it is",
        with_attack(own=Broken(first_alone)),
        ("closed-form", "active-test"),
    ),
    Case(
        "the other way",
        "a sign in the attack",
        with_attack(own=Broken(lambda d, t: -d)),
        ("closed-form", "active-test"),
    ),
    Case(
        "last point of a paper",
        "published counting",
        lambda: Made(trained(), images(), {"pgd": pgd()}, protocol="paper"),
        ("last-point",),
    ),
    Case(
        "budgets below float32",
        "a change that no pixel holds",
        lambda: Made(trained(), images(), epsilons=(1e-8, 1 / 255)),
        ("precision",),
    ),
]


def replace_epsilon(threat: Threat, factor: float) -> Threat:
    return Threat(torch.as_tensor(threat.epsilon) * factor, threat.norm, threat.domain)
