"""The clean pass: what the classifier says of the untouched images, and what it refuses to go on with."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from measuring.toys import EPSILONS, image_set, small_net
from medrobust.attacks import fgsm
from medrobust.data import ImageSet
from medrobust.errors import UserError
from medrobust.measuring.clean import clean_pass
from medrobust.measuring.outcome import Grid
from medrobust.measuring.plan import Plan
from medrobust.models.classifier import Classifier


def plan(batch_size: int = 4) -> Plan:
    return Plan({"fgsm": fgsm()}, (Grid("linf", EPSILONS),), batch_size=batch_size)


def answers(model: nn.Module, images: ImageSet, **more: object) -> Tensor:
    classifier = model if isinstance(model, Classifier) else Classifier(model, channels=1)
    with classifier.frozen():
        return clean_pass(classifier, images, plan(), **more)


def test_logits_of_every_image_in_order() -> None:
    model, images = small_net(), image_set(11, 3)
    seen = []
    found = answers(model, images, progress=lambda *what: seen.append(what))
    with model.frozen(), torch.no_grad():
        expected = model(images.batch(range(11)).x)
    assert found.dtype == torch.float32
    assert torch.allclose(found, expected, atol=1e-6)
    assert seen == [("clean images", 4, 11), ("clean images", 8, 11), ("clean images", 11, 11)]


def in_memory(change: float) -> ImageSet:
    x = torch.full((6, 1, 4, 4), 0.5)
    x[4, 0, 2, 2] = change
    return ImageSet.of(x, [0, 1, 0, 1, 0, 1], ids=[f"case{i}" for i in range(6)])


class Mean(nn.Module):
    """Two logits from the brightness; what makes no sense becomes 0."""

    def forward(self, x: Tensor) -> Tensor:
        z = torch.nan_to_num(x).flatten(1).mean(1)
        return torch.stack([3 * z, -2 * z], 1)


@pytest.mark.parametrize(("pixel", "said"), [(1.2, "0.5 to 1.2"), (-0.1, "-0.1 to 0.5"), (float("nan"), "nan to nan")])
def test_the_image_whose_pixels_leave_the_domain_is_named(pixel: float, said: str) -> None:
    with pytest.raises(UserError, match=rf"case4: pixels from {said} are outside \[0, 1\]"):
        answers(Mean(), in_memory(pixel))
    assert len(answers(Mean(), in_memory(1 + 1e-7))) == 6


def test_a_declared_domain_is_allowed() -> None:
    model = Classifier(Mean(), channels=1, domain=(-2.0, 2.0))
    assert len(answers(model, in_memory(-1.9))) == 6
    with pytest.raises(UserError, match=r"outside \[-2, 2\]"):
        answers(model, in_memory(2.5))


class NotANumber(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return torch.stack([x.flatten(1).mean(1), (0.5 - x.flatten(1).amax(1)).sqrt()], 1)


def test_the_image_whose_output_is_no_number_is_named() -> None:
    with pytest.raises(UserError, match="the output for case4 is not a finite number"):
        answers(NotANumber(), in_memory(0.7))


@pytest.mark.parametrize("scale", [1.0, 1.00001])
def test_probabilities_are_not_taken_for_logits(scale: float) -> None:
    net = nn.Sequential(nn.Flatten(), nn.Linear(16, 2), nn.Softmax(1))
    with pytest.raises(UserError, match=r"probabilities, not logits. Set model\.head=probabilities"):
        answers(net, in_memory(0.4))
    known = Classifier(net, channels=1, head="probabilities")
    assert len(answers(known, in_memory(0.4))) == 6
    one = in_memory(0.4).subset([0])
    assert len(answers(Mean(), one)) == 1
