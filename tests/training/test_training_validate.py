import pytest
import torch
from torch import nn

from medrobust.attacks import fgsm
from medrobust.data import Batch
from medrobust.models import Classifier
from medrobust.threat import Threat
from medrobust.training.validate import evenly, validate


class Brightness(nn.Module):
    """Logits (0, 10 * (mean - 0.5)): class 1 is bright; an image of mean m falls at |m - 0.5|."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        z = 10 * (x.flatten(1).mean(1) - 0.5)
        return torch.stack([torch.zeros_like(z), z], 1)


def images() -> Batch:
    means = torch.tensor([0.1, 0.4, 0.45, 0.7, 0.45, 0.9])
    y = torch.tensor([0, 0, 0, 0, 1, 1])  # the fourth and the fifth are wrong
    return Batch(means.reshape(-1, 1, 1, 1).expand(-1, 1, 2, 2).contiguous(), y, torch.arange(6))


def run(epsilon: float, attacked: torch.Tensor | None = None, robust: bool = True) -> dict:
    model = Classifier(Brightness(), channels=1, classes=("dark", "bright")).train()
    found = validate(
        model,
        [Batch(*(t[:4] for t in images())), Batch(*(t[4:] for t in images()))],
        attack=fgsm() if robust else None,
        threat=Threat(epsilon=epsilon),
        seed=0,
        attacked=attacked,
    )
    assert model.training
    return found


def test_clean_metrics() -> None:
    found = run(0.0, robust=False)
    assert found["accuracy"] == pytest.approx(4 / 6)
    assert found["balanced_accuracy"] == pytest.approx((3 / 4 + 1 / 2) / 2)
    assert found["predicted"] == pytest.approx([4 / 6, 2 / 6])
    assert "robust_accuracy" not in found


@pytest.mark.parametrize(("epsilon", "survive"), [(0.0, 4), (0.07, 3), (0.2, 2), (0.45, 0)])
def test_robust_metrics_count_clean_errors_as_errors(epsilon: float, survive: int) -> None:
    assert run(epsilon)["robust_accuracy"] == pytest.approx(survive / 6)


def test_only_some_are_attacked() -> None:
    attacked = torch.tensor([True, False, True, False, False, True])
    found = run(0.07, attacked)
    assert found["robust_accuracy"] == pytest.approx(2 / 3)
    assert found["accuracy"] == pytest.approx(4 / 6)
    assert evenly(10, 6) is None
    assert int(evenly(7, 50).sum()) == 7
