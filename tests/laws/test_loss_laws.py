"""Larger is better for the adversary: untargeted, targeted, with a source, for every head."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from medrobust.goals import GOALS, Goal, Targeted, Towards, as_classes, least_likely, predicted, runner_up, untargeted
from medrobust.losses import LOSSES, Loss, cross_entropy, dlr, margin, probability_margin, soft_margin

losses = pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES)
# The scale of DLR moves with the logits too, so that only its sign is a law.
monotone = pytest.mark.parametrize("loss", [cross_entropy, margin, soft_margin, probability_margin])


@st.composite
def answers(draw: st.DrawFn, num_classes: int | None = None) -> tuple[Tensor, Tensor]:
    """Logits (n, k) at any confidence, and labels (n,)."""
    k = num_classes or draw(st.sampled_from((2, 3, 4, 7)))
    random = torch.Generator().manual_seed(draw(st.integers(0, 2**31)))
    logits = torch.randn(5, k, generator=random, dtype=torch.float64) * 10 ** draw(st.floats(-2, 1.5))
    return logits, torch.randint(k, (5,), generator=random)


def improves(loss: Loss, logits: Tensor, goal: Goal, direction: Tensor) -> bool:
    """The loss rises along the direction in which the adversary wins."""
    z = logits.clone().requires_grad_()
    (slope,) = torch.autograd.grad(loss(z, goal).sum(), z)
    return bool(((slope * direction).sum(1) > 0).all())


@monotone
@given(data=st.data())
def test_untargeted_rises_when_the_label_falls(loss: Loss, data: st.DataObject) -> None:
    logits, y = data.draw(answers(4))
    logits = logits.clamp(-8, 8)
    away = -F.one_hot(y, 4).double()
    assert improves(loss, logits, Goal(y, False), away)


@monotone
@given(data=st.data())
def test_targeted_rises_with_the_target(loss: Loss, data: st.DataObject) -> None:
    logits, target = data.draw(answers(5))
    logits = logits.clamp(-8, 8)
    assert improves(loss, logits, Goal(target, True), F.one_hot(target, 5).double())


@monotone
@given(data=st.data())
def test_a_source_is_what_the_search_leaves(loss: Loss, data: st.DataObject) -> None:
    logits, target = data.draw(answers(5))
    logits = logits.clamp(-8, 8)
    source = (target + 1) % 5
    direction = F.one_hot(target, 5).double()
    if loss is not cross_entropy:
        direction -= F.one_hot(source, 5).double()
    assert improves(loss, logits, Goal(target, True, source), direction)


@pytest.mark.parametrize("targeted", [False, True])
@pytest.mark.parametrize("loss", [margin, soft_margin, probability_margin])
@given(data=st.data())
def test_margins_are_positive_exactly_when_reached(loss: Loss, targeted: bool, data: st.DataObject) -> None:
    logits, y = data.draw(answers())
    goal = Goal(y, targeted)
    value = loss(logits, goal)
    # A probability that rounds to its rival says nothing.
    told = value.abs() > 1e-12
    assert torch.equal((value > 0)[told], goal.reached(logits)[told])


@given(data=st.data())
def test_dlr_is_positive_exactly_when_reached_and_ignores_scale(data: st.DataObject) -> None:
    logits, y = data.draw(answers(5))
    for goal in (Goal(y, False), Goal(y, True)):
        assert torch.equal(dlr(logits, goal) > 0, goal.reached(logits))
        torch.testing.assert_close(dlr(7 * logits + 3, goal), dlr(logits, goal), rtol=1e-6, atol=1e-6)


@given(data=st.data())
def test_with_a_source_a_positive_margin_is_a_success(data: st.DataObject) -> None:
    logits, target = data.draw(answers(5))
    source = (target + 1) % 5
    goal = Goal(target, True, source)
    assert bool((goal.reached(logits) | (margin(logits, goal) <= 0)).all())
    assert torch.equal(goal.reached(logits), logits.argmax(1) != source)


@losses
@given(data=st.data())
def test_a_loss_looks_at_one_sample(loss: Loss, data: st.DataObject) -> None:
    logits, y = data.draw(answers(4))
    for targeted in (False, True):
        whole = loss(logits, Goal(y, targeted))
        assert whole.shape == y.shape
        for i in range(len(y)):
            one = loss(logits[i : i + 1], Goal(y[i : i + 1], targeted))
            torch.testing.assert_close(one[0], whole[i], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("shape", [(6,), (6, 1)])
@pytest.mark.parametrize("targeted", [False, True])
def test_one_logit_is_two_classes(shape: tuple[int, ...], targeted: bool) -> None:
    z = torch.linspace(-3, 3, 6).reshape(shape)
    y = torch.tensor([0, 1, 0, 1, 0, 1])
    goal = Goal(y, targeted)
    sign = 1 if targeted else -1
    # Binary cross-entropy, and the signed logit.
    bce = F.binary_cross_entropy_with_logits(z.flatten(), y.float(), reduction="none")
    torch.testing.assert_close(cross_entropy(z, goal), -sign * bce)
    torch.testing.assert_close(margin(z, goal), sign * z.flatten() * (2 * y - 1))
    torch.testing.assert_close(probability_margin(z, goal), sign * (2 * z.flatten().sigmoid() - 1) * (2 * y - 1))
    assert goal.reached(z).tolist() == (((z.flatten() > 0).long() == y) == targeted).tolist()
    assert as_classes(z).shape == (6, 2)


@pytest.mark.parametrize("targeted", [False, True])
@pytest.mark.parametrize("loss", [margin, probability_margin])
@given(seed=st.integers(0, 999), num_labels=st.integers(1, 4))
def test_multi_label_margin_is_positive_exactly_when_reached(
    loss: Loss, targeted: bool, seed: int, num_labels: int
) -> None:
    random = torch.Generator().manual_seed(seed)
    logits = torch.randn(8, num_labels, generator=random)
    y = torch.randint(2, (8, num_labels), generator=random)
    reached = (logits > 0).long().eq(y).all(1) == targeted
    assert torch.equal(Goal(y, targeted).reached(logits), reached)
    assert torch.equal(loss(logits, Goal(y, targeted)) > 0, reached)


@pytest.mark.parametrize("loss", [cross_entropy, margin, soft_margin, probability_margin])
def test_multi_label_signs(loss: Loss) -> None:
    y = torch.tensor([[1, 0, 1]])
    agree = torch.tensor([[2.0, -2.0, 1.0]])
    for targeted in (False, True):
        better = -agree if not targeted else 2 * agree
        assert float(loss(better, Goal(y, targeted))) > float(loss(agree, Goal(y, targeted)))
    one_flipped = torch.tensor([[2.0, -2.0, -1.0]])
    assert float(loss(one_flipped, Goal(y, False))) > float(loss(agree, Goal(y, False)))
    assert float(loss(one_flipped, Goal(y, True))) < float(loss(agree, Goal(y, True)))


@pytest.mark.parametrize(("num_classes", "targeted"), [(1, False), (2, False), (3, True), (2, True)])
def test_dlr_says_that_it_is_undefined(num_classes: int, targeted: bool) -> None:
    with pytest.raises(ValueError, match=r"needs at least [34] classes; use the margin"):
        dlr(torch.zeros(1, num_classes), Goal(torch.zeros(1, dtype=torch.long), targeted))
    with pytest.raises(ValueError, match="margin"):
        dlr(torch.zeros(1, 5), Goal(torch.zeros(1, 5), targeted))


def test_losses_by_hand() -> None:
    z, y = torch.tensor([[3.0, 1.0, 0.0, -1.0]]), torch.tensor([0])
    assert float(margin(z, Goal(y, False))) == -2
    assert float(margin(z, Goal(y, True))) == 2
    assert float(margin(z, Goal(torch.tensor([2]), True, y))) == -3
    assert float(dlr(z, Goal(y, False))) == pytest.approx(-2 / 3)
    assert float(dlr(z, Goal(torch.tensor([2]), True, y))) == pytest.approx(-3 / (3 - (0 - 1) / 2))
    p = z.softmax(1)[0]
    assert float(cross_entropy(z, Goal(y, False))) == pytest.approx(-float(p[0].log()))
    assert float(cross_entropy(z, Goal(y, True))) == pytest.approx(float(p[0].log()))
    assert float(probability_margin(z, Goal(y, False))) == pytest.approx(float(p[1] - p[0]))


@pytest.mark.parametrize("targeted", [False, True])
@given(data=st.data())
def test_a_soft_margin_is_the_margin_that_sees_every_class(targeted: bool, data: st.DataObject) -> None:
    logits, y = data.draw(answers())
    goal, z = Goal(y, targeted), logits.clone().requires_grad_()
    assert torch.equal(soft_margin(z, goal), margin(z, goal))
    (slope,) = torch.autograd.grad(soft_margin(z, goal).sum(), z)
    rows = torch.arange(len(z))
    scaled = (logits / logits.std(1, keepdim=True)).scatter(1, y[:, None], -torch.inf)
    expected = scaled.softmax(1)
    expected[rows, y] = -1
    torch.testing.assert_close(slope, -expected if targeted else expected)


def test_a_saturated_model_keeps_a_gradient() -> None:
    # Why accuracy rises with epsilon in Joel et al. 2021 (doi:10.1101/2021.01.17.21249704): the cross-entropy of
    # clipped probabilities is flat here.
    z = torch.tensor([[80.0, -80.0]], requires_grad=True)
    (slope,) = torch.autograd.grad(margin(z, Goal(torch.tensor([0]), False)).sum(), z)
    assert slope.tolist() == [[-1, 1]]


@given(data=st.data())
def test_goal_rules(data: st.DataObject) -> None:
    logits, y = data.draw(answers())
    n, k = logits.shape
    rows = torch.arange(n)
    assert untargeted(logits, y) == Goal(y, False)
    assert torch.equal(predicted(logits, y).labels, logits.argmax(1))
    assert not predicted(logits, y).targeted
    assert torch.equal(least_likely(False)(logits, y).labels, logits.argmin(1))
    excluding, second = least_likely()(logits, y), runner_up(logits, y)
    for goal in (excluding, second):
        assert goal.targeted
        assert bool((goal.labels != y).all())
    wrong = logits.clone()
    wrong[rows, y] = torch.nan
    for i in range(n):
        others = [float(v) for j, v in enumerate(logits[i]) if j != int(y[i])]
        assert float(logits[i, excluding.labels[i]]) == min(others)
        assert float(logits[i, second.labels[i]]) == max(others)
        for rank in range(1, k + 1):
            towards = Towards(rank)(logits, y)
            expected = sorted(others, reverse=True)[min(rank, k - 1) - 1]
            assert float(logits[i, towards.labels[i]]) == expected
            assert towards.targeted
            assert towards.source is y
    assert Targeted(1)(logits, y).labels.tolist() == [1] * n


@pytest.mark.parametrize("name", GOALS)
def test_a_label_of_a_multi_label_head_can_be_left_or_flipped(name: str) -> None:
    logits = torch.tensor([[2.0, -0.1, -3.0], [1.0, 5.0, 0.5]])
    y = torch.tensor([[1, 0, 0], [1, 0, 1]])
    rule = GOALS[name]
    if name.startswith("least_likely"):
        with pytest.raises(ValueError, match="multi-label"):
            rule(logits, y)
        return
    goal = rule(logits, y)
    expected = {
        "untargeted": [[1, 0, 0], [1, 0, 1]],
        "predicted": [[1, 0, 0], [1, 1, 1]],
        # The label easiest to change is flipped: in the second row the wrong one, 0 -> 1, is already there.
        "runner_up": [[1, 1, 0], [1, 1, 1]],
    }
    assert goal.labels.tolist() == expected[name]
    assert goal.reached(logits).tolist() == {"untargeted": [False, True], "predicted": [False, False]}.get(
        name, [False, True]
    )


def test_a_class_is_no_target_of_a_multi_label_head() -> None:
    with pytest.raises(ValueError, match="multi-label"):
        Targeted(1)(torch.zeros(2, 3), torch.zeros(2, 3))


@pytest.mark.parametrize(("rank", "which"), [(1, 1), (2, 0), (3, 2), (9, 2)])
@pytest.mark.parametrize("loss", [cross_entropy, margin, soft_margin, probability_margin])
def test_towards_the_change_of_one_label(rank: int, which: int, loss: Loss) -> None:
    logits, y = torch.tensor([[2.0, -0.1, -3.0]]), torch.tensor([[1, 0, 0]])
    goal = Towards(rank)(logits, y)
    assert (goal.labels != y).nonzero().tolist() == [[0, which]]
    assert goal.reached(logits).tolist() == [False]
    # The loss looks at that label alone, and any change of the labels is a success.
    z = logits.clone().requires_grad_()
    (slope,) = torch.autograd.grad(loss(z, goal).sum(), z)
    assert (slope != 0).nonzero().tolist() == [[0, which]]
    assert float(slope[0, which]) * (1 - 2 * int(y[0, which])) > 0
    for other in range(3):
        changed = logits.clone()
        changed[0, other] = -changed[0, other]
        assert goal.reached(changed).tolist() == [True]
        assert bool(margin(changed, goal) > 0) == (other == which)
