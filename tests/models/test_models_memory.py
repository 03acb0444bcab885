"""The batch that fits."""

import torch

from medrobust.models import Classifier, new_classifier
from medrobust.models.memory import MOST, fitting_batch, gradient_bytes


def model(width: int = 8) -> Classifier:
    return new_classifier(f"zoo:cbr_tiny(width={width})", classes=("a", "b"), data_channels=1).eval()


def test_bytes_grow_with_images_and_width_and_leave_out_the_weights() -> None:
    one, four = (gradient_bytes(model(), torch.rand(n, 1, 32, 32)) for n in (1, 4))
    assert 3.5 * one < four < 4.1 * one
    assert gradient_bytes(model(16), torch.rand(1, 1, 32, 32)) > 1.5 * one
    flat = Classifier(torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(1024, 2)), channels=1)
    assert gradient_bytes(flat, torch.rand(1, 1, 32, 32)) < 4 * 1024 * 4


def test_the_batch_stays_below_the_limit_and_is_never_empty() -> None:
    net, x = model(), torch.rand(1, 1, 32, 32)
    each = gradient_bytes(net, x)
    assert fitting_batch(net, x, limit=20 * each) == 8
    assert fitting_batch(net, x, limit=1) == 1
    assert fitting_batch(net, x, limit=10**15) == MOST["cpu"]
    assert fitting_batch(net, x) >= 1
    assert all(parameter.requires_grad for parameter in net.parameters())
