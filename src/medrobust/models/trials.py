"""Would another usual preprocessing make a classifier much more accurate? Then its own is probably wrong."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from .classifier import Classifier
from .normalization import IMAGENET_MEAN, IMAGENET_STD

CHUNK = 4  # images that all candidates see before the clock is looked at
CLOSE = 1e-3


class Trial(NamedTuple):
    """One preprocessing against the classifier's own, on the same images.

    Args:
        name: in words.
        fix: the settings that make it.
        num_images: that both saw.
        right, own_right: images that it and the classifier's own got right.
        gained, lost: images that it alone got right, and that the classifier's own alone did.
    """

    name: str
    fix: str
    num_images: int = 0
    right: int = 0
    own_right: int = 0
    gained: int = 0
    lost: int = 0

    def seen(self, other: Tensor, own: Tensor) -> Trial:
        """The trial after images on which it was right (n,) bool, and the classifier's own was."""
        return self._replace(
            num_images=self.num_images + len(own),
            right=self.right + int(other.sum()),
            own_right=self.own_right + int(own.sum()),
            gained=self.gained + int((other & ~own).sum()),
            lost=self.lost + int((own & ~other).sum()),
        )


def try_others(classifier: Classifier, x: Tensor, y: Tensor, seconds: float) -> list[Trial]:
    """The trials of the usual preprocessings that differ from the classifier's own, the most accurate first.

    One that can no longer overtake the classifier's own is given up.

    Args:
        x: (n, c, *spatial) in its domain, on its device, mixed by class.
        y: (n,) labels.
        seconds: after which no further images are shown.

    Example:
        >>> net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(2, 2))
        >>> x = torch.rand(16, 1, 1, 2)
        >>> found = try_others(Classifier(net, channels=1), x, torch.arange(16) % 2, 1.0)
        >>> "mean 0.5, std 0.5" in [trial.name for trial in found]
        True
    """
    began = time.perf_counter()
    with classifier.frozen(), torch.no_grad():
        others = _candidates(classifier)
        trials = {name: Trial(name, fix) for name, (fix, _) in others.items()}
        live = list(trials)
        for start in range(0, len(x), CHUNK):
            part, labels = x[start : start + CHUNK], y[start : start + CHUNK]
            own = classifier(part).argmax(1) == labels
            for name in live:
                answers = others[name][1](part).argmax(1)
                trials[name] = trials[name].seen(answers == labels, own)
            left = len(x) - start - len(part)
            live = [name for name in live if trials[name].gained + left > trials[name].lost]
            if not live or time.perf_counter() - began > seconds:
                break
    return sorted(trials.values(), key=lambda trial: trial.lost - trial.gained)


def _candidates(classifier: Classifier) -> dict[str, tuple[str, Callable[[Tensor], Tensor]]]:
    """Name -> (how to set it, images -> logits)."""
    channels, (low, high) = classifier.channels, classifier.domain
    spread = high - low
    imagenet = (IMAGENET_MEAN, IMAGENET_STD) if channels == 3 else ((0.449,) * channels, (0.226,) * channels)
    table = {
        "none": ((0.0,) * channels, (1.0,) * channels),
        "mean 0.5, std 0.5": ((0.5,) * channels, (0.5,) * channels),
        "that of ImageNet": imagenet,
        "values from 0 to 255": ((0.0,) * channels, (1 / 255,) * channels),
    }
    found: dict[str, tuple[str, Callable[[Tensor], Tensor]]] = {}
    for name, (mean, std) in table.items():
        at, by = ([low + spread * v for v in mean] if any(mean) else [0.0] * channels), [spread * v for v in std]
        same = torch.tensor([at, by]) - torch.stack([classifier.mean.cpu(), classifier.std.cpu()])
        if float(same.abs().max()) > CLOSE:
            fix = f"model.mean={_written(at)} model.std={_written(by)}"
            found[name] = (fix, classifier.normalized_by(at, by))
    own_fix = "let the network do it: a Classifier normalizes all images alike"
    whole = classifier.normalized_by(0.0, 1.0)
    found["each image by its own mean and std"] = (own_fix, lambda x: whole(_alone(x)))
    if channels == 3:
        order = "let the network take its channels in the order red, green, blue"
        found["channels in the order blue, green, red"] = (order, lambda x: classifier(x.flip(1)))
    return found


def _alone(x: Tensor) -> Tensor:
    rows = x.flatten(1)
    std, mean = torch.std_mean(rows, 1, keepdim=True)
    return ((rows - mean) / std.clamp_min(1e-6)).reshape(x.shape)


def _written(values: list[float]) -> str:
    short = [f"{value:.6g}" for value in (values if len(set(values)) > 1 else values[:1])]
    return short[0] if len(short) == 1 else f"[{','.join(short)}]"
