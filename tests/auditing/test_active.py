"""The active test: what is planted is there, attacks find it as far as they reach, and heads belong to their images."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from torch import Tensor, nn

from medrobust.attacks import deepfool, fmn, hop_skip_jump, pgd, square
from medrobust.auditing.active.heads import LEVEL, Heads, Planted, Plot, plant
from medrobust.auditing.active.linear import slopes
from medrobust.auditing.active.run import active_test
from medrobust.auditing.checks.proof import active, closed_form
from medrobust.data import ImageSet
from medrobust.engine.count import Counted, narrow
from medrobust.goals import least_likely
from medrobust.measuring.outcome import Grid
from medrobust.models import Classifier
from medrobust.models.last_layer import features, find_last_layer
from medrobust.streams import Streams
from medrobust.testing import small_audit
from medrobust.threat import Threat

SHAPE = (1, 8, 8)


def network(classes: int = 3, behind: nn.Module | None = None) -> nn.Module:
    torch.manual_seed(3)
    layers = [nn.Flatten(), nn.Linear(64, 96), nn.Tanh(), nn.Linear(96, 48), nn.Tanh(), nn.Linear(48, classes)]
    return nn.Sequential(*layers, *([behind] if behind else [])).eval().requires_grad_(False)


def images(n: int = 10) -> ImageSet:
    x = torch.rand(n, *SHAPE, generator=torch.Generator().manual_seed(0))
    return ImageSet.of(x, torch.arange(n) % 3, classes=["a", "b", "c"])


def plot(norm: str, epsilon: float, model: Classifier | None = None) -> Plot:
    model = Classifier(network(), channels=1) if model is None else model
    x = images().batch(range(10)).x
    place = find_last_layer(model, x[:2], 24)
    assert place is not None
    return Plot(model, place, Threat(epsilon, norm).around(x), Streams.of(0, range(len(x))), 4)


@pytest.mark.parametrize(("norm", "epsilon"), [("linf", 0.05), ("l2", 0.3), ("l1", 1.5)])
def test_the_planted_point_is_in_the_ball_and_changes_the_answer(norm: str, epsilon: float) -> None:
    """At the image the margin is that of the network; beyond three quarters of the way the answer is another one."""
    at = plot(norm, epsilon)
    heads, points = plant(at)
    model, x = Planted(at.model, at.place, heads), at.ball.center
    assert bool(at.ball.contains(points, tolerance=1e-5).all())
    own, planted = model(x), model(points)
    top = at.model(x).topk(2, 1).values
    lead = own.topk(2, 1).values
    assert torch.allclose(lead[:, 0] - lead[:, 1], top[:, 0] - top[:, 1], rtol=1e-3, atol=1e-5)
    assert bool((own.argmax(1) == at.model(x).argmax(1)).all())
    assert bool((planted.argmax(1) != own.argmax(1)).all())
    found = features(at.model, points, at.place).double()
    assert torch.allclose(heads.level(found), torch.full((10,), 1 - LEVEL, dtype=torch.float64), atol=1e-4)


def test_the_weight_is_the_shortest_that_separates() -> None:
    """Against the pseudo-inverse of the same conditions."""
    from medrobust.auditing.active.heads import _weight

    generator = torch.Generator().manual_seed(0)
    inner = torch.randn(5, 6, 30, dtype=torch.float64, generator=generator)
    planted = torch.randn(5, 30, dtype=torch.float64, generator=generator)
    rows = torch.cat([inner, planted[:, None]], 1)
    wanted = torch.zeros(5, 7, 1, dtype=torch.float64)
    wanted[:, -1] = 1
    expected = (torch.linalg.pinv(rows) @ wanted)[:, :, 0]
    assert torch.allclose(_weight(inner, planted), expected, atol=1e-9)


def test_a_point_among_the_inner_ones_has_no_weight() -> None:
    from medrobust.auditing.active.heads import _weight

    inner = torch.eye(4, dtype=torch.float64)[None]
    assert _weight(inner, inner[:, 0] + inner[:, 1]).abs().max() == 0


def test_heads_follow_their_images() -> None:
    """Some of the images, in another order, several candidates each, and counted: every row has its own head."""
    at = plot("linf", 0.05)
    heads, points = plant(at)
    model = Planted(at.model, at.place, heads)
    whole, index = model(points), torch.tensor([7, 2, 5])
    assert torch.allclose(model.narrow(index)(points[index]), whole[index], atol=1e-5)
    assert torch.allclose(
        model(torch.cat([points, at.ball.center])), torch.cat([whole, model(at.ball.center)]), atol=1e-5
    )
    counted = narrow(Counted(model, len(points)), index)
    assert torch.allclose(counted(points[index]), whole[index], atol=1e-5)
    with pytest.raises(ValueError, match="narrowed"):
        model(points[:3])


def test_one_logit_and_many_classes() -> None:
    for classes in (1, 2, 5):
        at = plot(
            "linf", 0.05, Classifier(network(classes), head="one_logit" if classes == 1 else "softmax", channels=1)
        )
        heads, points = plant(at)
        model = Planted(at.model, at.place, heads)
        assert bool((model(points).argmax(1) != model(at.ball.center).argmax(1)).all())
        assert isinstance(heads, Heads)


def grids(*epsilons: float) -> object:
    return lambda title: [Grid("linf", epsilons)]


def test_attacks_find_as_much_as_they_reach() -> None:
    model = Classifier(network(), channels=1)
    attacks = {
        "sound": pgd(num_steps=20),
        "half": pgd(num_steps=10, relative_step_size=0.05, random_start=False),
        "minimal": fmn(num_steps=40),
        "own loop": deepfool(),
        "slow": hop_skip_jump(num_queries=4000),
    }
    said = active_test(model, images(), attacks, grids(0.02, 0.1), num_images=10)  # type: ignore[arg-type]
    found = {(row.attack, row.epsilon): (row.counted, row.found) for row in said.rows}
    assert found["sound", 0.02] == found["sound", 0.1] == (10, 10)
    assert found["half", 0.02] == found["half", 0.1] == (10, 0)
    assert found["minimal", 0.1] == (10, 10)
    assert found["own loop", 0.1][0] == 10
    assert found["slow", 0.1][0] == 8  # what takes many passes is asked about fewer images
    # Together counts the images that every attack was asked about.
    assert said.together == {("linf", 0.02): (8, 8), ("linf", 0.1): (8, 8)}
    assert said.least == (8, 8)


def test_it_says_the_same_in_another_batch_size() -> None:
    model = Classifier(network(), channels=1)
    rows = [
        active_test(model, images(), {"pgd": pgd(num_steps=3)}, grids(0.1), batch_size=size, num_images=10).rows  # type: ignore[arg-type]
        for size in (3, 10)
    ]
    assert rows[0] == rows[1]


def test_saturation_behind_the_head_is_seen() -> None:
    """The features climb as ever; the cross-entropy of logits that are far apart has no slope."""

    class Hot(nn.Module):
        def forward(self, z: Tensor) -> Tensor:
            return 1e5 * z

    model = Classifier(network(behind=Hot()), channels=1)
    said = active_test(model, images(), {"pgd": pgd()}, grids(0.1), num_images=10)  # type: ignore[arg-type]
    assert said.least[1] < said.least[0] == 10


def test_what_cannot_be_tested_is_said() -> None:
    class Sums(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return torch.stack([x.sum((1, 2, 3)), 3 * x.mean((1, 2, 3)), 0 * x.sum((1, 2, 3))], 1)

    said = active_test(Classifier(Sums(), channels=1), images(), {"pgd": pgd()}, grids(0.1))  # type: ignore[arg-type]
    assert "no layer" in said.reason
    assert said.rows == ()


def test_the_check_asks_for_eight_weaknesses() -> None:
    records, context = small_audit(network(2), ImageSet.of(torch.rand(6, 1, 8, 8), [0, 1] * 3, classes=["a", "b"]))
    assert active(records, context).severity == "not_run"


@pytest.mark.parametrize("norm", ["linf", "l2", "l1"])
def test_the_best_change_on_a_slope_is_the_best(norm: str) -> None:
    """Against a long projected ascent in float64, with pixels at the edge of the domain."""
    x = images().batch(range(10)).x.clone()
    x[:, :, :3] = 0.0
    x[:, :, 3:4] = 1.0
    epsilon = {"linf": 0.1, "l2": 0.8, "l1": 3.0}[norm]
    ball = Threat(epsilon, norm).around(x.double())
    model = slopes(Threat(epsilon, norm).around(x), Streams.of(1, range(10)))
    point = ball.center
    for _ in range(300):
        point = ball.project(point + 0.5 * model.slope / model.slope.flatten(1).norm(dim=1).reshape(-1, 1, 1, 1))
    reached = ((point - ball.center) * model.slope).flatten(1).sum(1)
    assert torch.allclose(0.95 * reached, model.level, rtol=1e-3)


def test_closed_form_holds_every_attack_to_it() -> None:
    records, context = small_audit()
    assert closed_form(records, context).severity == "pass"
    short = {"half": pgd(num_steps=10, relative_step_size=0.05, random_start=False)}
    plan = dataclasses.replace(context.plan, attacks=short)
    said = closed_form(records, dataclasses.replace(context, plan=plan))
    assert said.severity == "fail"
    assert "0 of 8" in said.evidence
    blind = dataclasses.replace(
        context, plan=dataclasses.replace(context.plan, attacks={"square": square(num_queries=5)})
    )
    assert closed_form(records, blind).severity == "not_run"


def test_attacks_that_aim_at_a_class_are_not_asked() -> None:
    """What is planted is some other class: an attack on a certain one would be accused of missing it."""
    records, context = small_audit(attacks={"aimed": pgd(goal=least_likely())})
    assert [check(records, context).severity for check in (active, closed_form)] == ["not_run", "not_run"]
    both = {"aimed": pgd(goal=least_likely()), "any": pgd()}
    asked = dataclasses.replace(context, plan=dataclasses.replace(context.plan, attacks=both))
    assert {row["attack"] for row in active(records, asked).numbers["rows"]} == {"any"}
    assert closed_form(records, asked).severity == "pass"
