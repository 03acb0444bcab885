"""NT-Xent against its formula written out, views, and what pre-training is good for."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from medrobust.data import Batch, View
from medrobust.data.phantom.cases import open_phantom
from medrobust.errors import UserError
from medrobust.models import Classifier, new_classifier
from medrobust.objectives import SimClr, make_objective
from medrobust.objectives.random_views import ViewSpec, random_view
from medrobust.objectives.simclr import features, nt_xent
from medrobust.streams import Streams
from medrobust.testing.objectives import check_objective, slope_error, smooth_toy

STILL = {"min_area": 1.0, "rotation": 0.0, "flip": False, "jitter": 0.0, "saturation": 0.0, "blur": 0.0}


def written_out(a: Tensor, b: Tensor, temperature: float) -> Tensor:
    vectors = [v / v.norm() for v in (*a, *b)]
    n, total = len(a), torch.zeros((), dtype=a.dtype)
    for i, z in enumerate(vectors):
        other = i + n if i < n else i - n
        below = sum(torch.exp(z @ w / temperature) for k, w in enumerate(vectors) if k != i)
        total = total - torch.log(torch.exp(z @ vectors[other] / temperature) / below)
    return total / (2 * n)


@pytest.mark.parametrize("temperature", [0.1, 0.5, 2.0])
def test_nt_xent_is_its_formula(temperature: float) -> None:
    a, b = (torch.randn(5, 7, dtype=torch.float64, requires_grad=True) for _ in range(2))
    ours, theirs = nt_xent(a, b, temperature), written_out(a, b, temperature)
    torch.testing.assert_close(ours, theirs)
    for mine, expected in zip(torch.autograd.grad(ours, (a, b)), torch.autograd.grad(theirs, (a, b)), strict=True):
        torch.testing.assert_close(mine, expected)
    assert torch.autograd.gradcheck(lambda x, y: nt_xent(x, y, temperature), (a, b))


def test_nt_xent_is_least_where_views_agree_and_images_differ() -> None:
    a = torch.eye(4)
    assert nt_xent(a, a, 0.1) < 0.01
    assert float(nt_xent(torch.ones(4, 3), torch.ones(4, 3), 0.1)) == pytest.approx(math.log(7))
    assert nt_xent(a, a.roll(1, 0), 0.1) > 5


def test_contract_and_gradients() -> None:
    model, batch = smooth_toy(torch.float32)
    check_objective(SimClr(model, seed=1), model, batch)
    exact, batch = smooth_toy()
    objective = SimClr(exact, seed=1).double()
    assert slope_error(objective, exact, batch) < 1e-6
    slopes = torch.autograd.grad(objective(exact, batch).total, [p for p in objective.head.parameters() if p.ndim > 1])
    assert all(bool(slope.abs().sum() > 0) for slope in slopes)


def test_views_belong_to_seed_epoch_and_image() -> None:
    model, batch = smooth_toy(torch.float32)
    objective = SimClr(model, seed=1)
    first = objective.search(model, batch)
    turned = objective.search(model, Batch(*(t.flip(0) for t in batch)))
    assert not torch.equal(first[0], first[1])
    assert all(torch.allclose(one.flip(0), other, atol=1e-6) for one, other in zip(turned, first, strict=True))
    objective.end_epoch()
    assert not torch.equal(objective.search(model, batch)[0], first[0])


def test_a_view_without_changes_is_the_image() -> None:
    x = torch.rand(3, 3, 9, 7)
    assert torch.allclose(random_view(x, ViewSpec(**STILL), Streams.of(0, range(3))), x, atol=1e-5)


@pytest.mark.parametrize(
    "change",
    [{"min_area": 0.1}, {"rotation": 40.0}, {"flip": True}, {"jitter": 0.9}, {"blur": 0.2}, {"vertical_flip": True}],
    ids=str,
)
def test_every_change_stays_in_the_domain_and_does_something(change: dict) -> None:
    x = torch.rand(8, 1, 16, 16)
    view = random_view(x, ViewSpec(**{**STILL, **change}), Streams.of(0, range(8)))
    assert 0 <= float(view.min()) <= float(view.max()) <= 1
    assert float((view - x).abs().amax((1, 2, 3)).max()) > 0.05


def test_grey_images_stay_grey_and_colors_move_without_hue() -> None:
    grey = torch.rand(4, 1, 8, 8).expand(-1, 3, -1, -1)
    view = random_view(grey, ViewSpec(), Streams.of(0, range(4)))
    assert torch.allclose(view[:, :1].expand_as(view), view, atol=1e-6)
    red = torch.tensor([0.6, 0.3, 0.4]).reshape(1, 3, 1, 1).expand(4, -1, 8, 8)
    moved = random_view(red, ViewSpec(**{**STILL, "saturation": 0.5}), Streams.of(0, range(4)))
    hue = (moved[:, 2] - moved[:, 1]) / (moved[:, 0] - moved[:, 1])
    assert torch.allclose(hue, torch.full_like(hue, 1 / 3), atol=1e-4)
    assert float((moved - red).abs().max()) > 0.01


def test_blur_keeps_the_mean_of_flat_images_and_smooths_others() -> None:
    spec = ViewSpec(**{**STILL, "blur": 0.2})
    flat = torch.full((6, 1, 16, 16), 0.3)
    assert torch.allclose(random_view(flat, spec, Streams.of(0, range(6))), flat, atol=1e-5)
    noise = torch.rand(64, 1, 16, 16)
    blurred = random_view(noise, spec, Streams.of(0, range(64))).flatten(1).std(1) < 0.8 * noise.flatten(1).std(1)
    assert 16 < int(blurred.sum()) < 48


def test_features_are_what_the_last_layer_receives() -> None:
    model, batch = smooth_toy(torch.float32)
    found = features(model, batch.x)
    assert torch.allclose(model.network[-1](found), model(batch.x))


def test_networks_and_options_that_do_not_fit() -> None:
    class Ends(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Conv2d(1, 2, 8)

        def forward(self, x: Tensor) -> Tensor:
            return self.layer(x).flatten(1)

    with pytest.raises(UserError, match="ends with a Conv2d"):
        make_objective("simclr", {}, model=Classifier(Ends(), channels=1), seed=0)
    model, batch = smooth_toy(torch.float32)
    with pytest.raises(UserError, match="above 0"):
        make_objective("simclr", {"temperature": 0}, model=model, seed=0)
    with pytest.raises(UserError, match="Did you mean 'jitter'"):
        make_objective("simclr", {"jiter": 0}, model=model, seed=0)
    with pytest.raises(UserError, match="not of volumes"):
        SimClr(model).search(model, batch._replace(x=batch.x[:, :, None]))


def probe(model: Classifier, x: Tensor, y: Tensor, train: int) -> float:
    """Balanced accuracy of the best linear layer on frozen, standardized features, on the images after `train`."""
    with model.frozen(), torch.no_grad():
        found = features(model, x).double()
    found = (found - found[:train].mean(0)) / found[:train].std(0).clamp_min(1e-6)
    found = torch.cat([found, torch.ones(len(found), 1, dtype=found.dtype)], 1)
    wanted = nn.functional.one_hot(y).double()
    gram = found[:train].T @ found[:train] + 10 * torch.eye(found.shape[1], dtype=found.dtype)
    weights = torch.linalg.solve(gram, found[:train].T @ wanted[:train])
    right = ((found[train:] @ weights).argmax(1) == y[train:]).double()
    return float(torch.stack([right[y[train:] == label].mean() for label in y.unique()]).mean())


def test_pretraining_makes_features_of_phantoms_more_telling() -> None:
    images = open_phantom("ultrasound@32,count=400").replace(view=View(color="grey"))
    x, y, _ = images.batch(range(400))
    model = new_classifier("zoo:cbr_tiny(width=8)", classes=images.classes, data_channels=1, seed=0)
    before = probe(model, x, y, 200)
    objective = SimClr(model, min_area=0.3)
    optimizer = torch.optim.Adam([*model.parameters(), *objective.parameters()], lr=2e-3)
    losses = []
    for epoch in range(12):
        for part in torch.randperm(400, generator=torch.Generator().manual_seed(epoch)).split(100):
            loss = objective(model, Batch(x[part], y[part], part)).total
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(float(loss.detach()))
        objective.end_epoch()
    assert losses[-1] < losses[0]
    assert probe(model, x, y, 200) > before + 0.03
