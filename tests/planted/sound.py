"""Classifiers of many kinds that are sound: no check of the attacks may fail or warn."""

from __future__ import annotations

import torch
from torch import nn

from medrobust.attacks import pgd
from medrobust.data import ImageSet
from medrobust.testing.checks import brightness_model
from medrobust.testing.image_sets import tiny_set

from .broken import images
from .case import Case, Made
from .nets import Around, phantom, quarters, trained


def four_classes() -> Made:
    x, y = quarters("test")
    return Made(trained("four classes"), ImageSet.of(x[:60], y[:60], classes=["a", "b", "c", "d"]))


def in_slices() -> Made:
    """Volumes of four slices, averaged by a 3-D network."""

    class Volume(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.network, self.mix = trained(), nn.Conv3d(1, 1, (4, 1, 1), bias=False)
            nn.init.constant_(self.mix.weight, 0.25)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.network(self.mix(x)[:, :, 0])

    batch = images().batch(range(40))
    volumes = batch.x[:, :, None].repeat(1, 1, 4, 1, 1)
    return Made(Volume(), ImageSet.of(volumes, batch.y, classes=list(phantom("test").classes)))


def color() -> Made:
    return Made(trained("color"), phantom("test", "dermoscopy", "rgb").subset(range(48)))


def half() -> Made:
    return Made(trained().half(), images())


SOUND: list[Case] = [
    Case("standard", "a convolutional network", lambda: Made(trained(), images())),
    Case("in l2", "the same in another norm", lambda: Made(trained(), images(), epsilons=(0.02, 0.1, 0.3), norm="l2")),
    Case(
        "in l1",
        "the same in l1, where the default leaves up to 3 of 32 images to a longer attack (decision 0031)",
        lambda: Made(trained(), images(), epsilons=(0.5, 2.0, 6.0), norm="l1"),
        known=("convergence",),
    ),
    Case(
        "adversarially trained",
        "against PGD of 3/255",
        lambda: Made(trained("adversarial"), images(), epsilons=(1 / 255, 4 / 255, 12 / 255)),
    ),
    Case("drop-max", "the second largest in place of max-pooling", lambda: Made(trained("drop-max"), images())),
    Case("one logit", "a single output", lambda: Made(trained("one logit"), images())),
    Case(
        "softmax at the end",
        "probabilities whose logits are seen",
        lambda: Made(Around(trained(), behind=nn.Softmax(1)), images()),
    ),
    Case("four classes", "more than two", four_classes),
    Case("no batch norm", "plain convolutions", lambda: Made(trained("no batch norm"), images())),
    Case("vision transformer", "patches and attention", lambda: Made(trained("tokens"), images())),
    Case("float16", "weights in 16 bits", half),
    Case("color", "three channels", color),
    Case("volumes", "3-D images", in_slices),
    Case(
        "linear",
        "one linear layer",
        lambda: Made(brightness_model(tiny_set(48)), tiny_set(48), epsilons=(8 / 255, 16 / 255, 64 / 255)),
    ),
    Case(
        "robust at these budgets",
        "nothing falls",
        lambda: Made(trained("adversarial"), images(), epsilons=(0.001 / 255, 0.01 / 255)),
    ),
    Case("PGD alone", "one attack in place of a set", lambda: Made(trained(), images(), {"pgd": pgd()})),
]
