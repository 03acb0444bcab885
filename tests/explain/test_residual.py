"""Residual maps: what the first pooling layer leaves of a change, by hand and against the layers themselves."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn

from medrobust.explain.residual import as_content, residual
from medrobust.models.classifier import Classifier
from medrobust.models.drop_max import DropMax


def net(pool: nn.Module) -> Classifier:
    """Pixels, a pooling layer of windows of 2 x 2, a head."""
    return Classifier(nn.Sequential(pool, nn.Flatten(), nn.Linear(4, 2)), channels=1)


# One pixel of one window of 2 x 2 is raised above all others.
X = torch.full((1, 1, 4, 4), 0.25)
PEAK = X.clone()
PEAK[0, 0, 0, 0] = 0.75


def test_a_drop_max_layer_takes_a_lone_peak_away_and_max_pooling_passes_it_on() -> None:
    passed, taken = residual(net(nn.MaxPool2d(2)), X, PEAK), residual(net(DropMax(2)), X, PEAK)
    assert passed is not None
    assert taken is not None
    assert passed.maps.tolist() == [[[0.5, 0.0], [0.0, 0.0]]]
    assert taken.maps.abs().max() == 0
    assert float(taken.after) == 0
    # ||b - a|| = .5; ||a|| = .25 sqrt(16) = 1, ||b|| = sqrt(15 / 16 + 9 / 16) = sqrt(1.5).
    want = 0.5 / (1 + 1.5**0.5)
    assert abs(float(passed.before) - want) < 1e-6
    assert float(passed.before) == float(taken.before)
    # After max pooling ||a|| = .5 and ||b|| = sqrt(3 / 16 + 9 / 16).
    assert abs(float(passed.after) - 0.5 / (0.5 + 0.75**0.5)) < 1e-6


def test_channels_are_added_and_batches_do_not_matter() -> None:
    torch.manual_seed(0)
    model = Classifier(nn.Sequential(nn.Conv2d(1, 3, 3), nn.MaxPool2d(2), nn.Flatten(), nn.LazyLinear(2)), channels=1)
    x, x_adv = torch.rand(5, 1, 8, 8), torch.rand(5, 1, 8, 8)
    with torch.no_grad():
        model(x)
        layers = nn.Sequential(*list(model.network)[:2])  # type: ignore[arg-type]
        want = (layers(x_adv) - layers(x)).abs().sum(1)
    found, again = residual(model, x, x_adv, batch_size=2), residual(model, x, x_adv)
    assert found is not None
    assert again is not None
    assert found.layer == "1 (MaxPool2d)"
    torch.testing.assert_close(found.maps, want)
    torch.testing.assert_close(found.after, again.after)
    assert bool(((found.before > 0) & (found.before < 1)).all())


def test_a_network_without_a_pooling_layer_has_none() -> None:
    assert residual(Classifier(nn.Flatten(), channels=1), X, PEAK) is None


def test_no_change_is_no_residual_and_no_hook_is_left() -> None:
    model = net(nn.MaxPool2d(2))
    found = residual(model, X, X)
    assert found is not None
    assert (float(found.before), float(found.after)) == (0.0, 0.0)
    assert not any(module._forward_hooks for module in model.modules())


def test_what_explain_json_holds(tmp_path: Path) -> None:
    x = X.repeat(3, 1, 1, 1)
    found = residual(net(nn.MaxPool2d(2)), x, PEAK.repeat(3, 1, 1, 1))
    assert found is not None
    content = as_content(found, ["a", "b", "c"], ["a", "b", "c"], tmp_path, 2)
    assert content["num_images"] == 3
    assert abs(content["after_less_before"]["value"] - float(found.after[0] - found.before[0])) < 1e-6
    assert [one["png"] for one in content["pictures"]] == ["residual_0.png", "residual_1.png"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["residual_0.png", "residual_1.png"]
