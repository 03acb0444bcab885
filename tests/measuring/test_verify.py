"""Never trust an attack: what it claims outside the ball, outside the domain, or without a number, does not count."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from measuring.toys import of_bits, subjects
from medrobust.attacks import fgsm, pgd, restarts
from medrobust.goals import Goal
from medrobust.measuring.bisect import bisect
from medrobust.measuring.each_budget import each_budget
from medrobust.measuring.outcome import Grid
from medrobust.measuring.search_model import SearchModel
from medrobust.measuring.sweep import Effort, sweep
from medrobust.measuring.verify import exact_float32, stored, verify
from medrobust.models.classifier import Classifier
from medrobust.norms import NORMS, per_sample
from medrobust.threat import Ball, Threat

UNITS = of_bits([8])


def bright(x: Tensor) -> Tensor:
    """Class 1 where the mean exceeds 0.5."""
    z = x.flatten(1).mean(1) - 0.5
    return torch.stack([-z, z], 1)


def ball(x: Tensor, epsilon: float, norm: str = "linf") -> Ball:
    return Threat(epsilon, norm).around(x)


def judged(x_adv: Tensor, x: Tensor, epsilon: float = 0.1, model=bright, norm: str = "linf"):
    goal = Goal(torch.zeros(len(x), dtype=torch.long), False)
    return verify(model, x_adv, ball(x, epsilon, norm), goal, UNITS.expand(len(x), 2))


def test_a_point_outside_the_ball_is_judged_inside_it() -> None:
    x = torch.full((1, 1, 2, 2), 0.35)
    far = judged(torch.full_like(x, 0.9), x)
    assert not bool(far.reached), "at 0.45 the answer is still right"
    assert float(far.distance) <= 0.1
    near = judged(torch.full_like(x, 0.9), x, epsilon=0.2)
    assert bool(near.reached)
    assert 0.19 < float(near.distance) <= 0.2


def test_a_point_outside_the_domain_is_judged_inside_it() -> None:
    def sees_outside(x: Tensor) -> Tensor:
        return torch.stack([torch.zeros(len(x)), x.flatten(1).amax(1) - 1], 1)

    x = torch.full((1, 1, 2, 2), 0.95)
    found = judged(torch.full_like(x, 1.04), x, model=sees_outside)
    assert not bool(found.reached)
    assert float(found.x.max()) <= 1


@given(
    st.sampled_from(["linf", "l2", "l1"]),
    st.floats(1e-7, 0.9),
    st.integers(0, 10_000),
    st.sampled_from([0.5, 3.0, float("nan"), float("inf")]),
)
def test_what_is_judged_lies_in_the_exact_ball(norm: str, epsilon: float, seed: int, odd: float) -> None:
    generator = torch.Generator().manual_seed(seed)
    x = torch.rand(3, 1, 2, 3, generator=generator)
    x_adv = x + 4 * epsilon * torch.randn(x.shape, generator=generator)
    x_adv[0, 0, 0, 0] = odd
    found = judged(x_adv, x, epsilon, norm=norm)
    limits = ball(x, epsilon, norm)
    exact = NORMS[norm].size(found.x.double() - x.double())
    assert bool((exact <= limits.radius.double() * (1 + 1e-12)).all())
    assert torch.equal(found.distance, exact)
    assert bool(((found.x >= 0) & (found.x <= 1)).all())
    if not torch.isfinite(torch.tensor(odd)):
        assert torch.equal(found.x[0], x[0])


def test_an_answer_that_is_no_number_is_no_success() -> None:
    """The image stands in its place, with its own answer: rows stay finite and say that nothing was found."""

    def blind_when_bright(x: Tensor) -> Tensor:
        z = x.flatten(1).amax(1)
        return torch.stack([1 - z, torch.where(z > 0.55, torch.nan, z - 1)], 1)

    x = torch.full((2, 1, 2, 2), 0.5)
    x_adv = x.clone()
    x_adv[1] = 0.6
    found = judged(x_adv, x, model=blind_when_bright)
    assert not bool(found.reached.any())
    assert bool(torch.isfinite(found.logits).all())
    assert torch.equal(found.x, x)
    assert found.distance.tolist() == [0, 0]


def test_a_file_without_an_answer_does_not_survive() -> None:
    def fails_on_files(x: Tensor) -> Tensor:
        levels, answer = x * 255, torch.tensor([[1.0, 0.0]]).repeat(len(x), 1)
        stored_form = (levels - levels.round()).flatten(1).abs().amax(1) < 1e-4
        return torch.where(per_sample(stored_form, answer), torch.nan, answer)

    x = torch.full((1, 1, 2, 2), 0.5)
    found = verify(fails_on_files, x + 0.0432, ball(x, 0.1), Goal(torch.tensor([1]), False), UNITS)
    assert (found.reached.tolist(), found.survives.tolist()) == ([True], [False])


def test_attacks_that_end_where_there_is_no_answer_have_not_won() -> None:
    class Blind(torch.nn.Module):
        """Class 1, more so the darker it is, and no number in the dark."""

        def forward(self, x: Tensor) -> Tensor:
            z = x.flatten(1).mean(1)
            return torch.stack([z * 0, torch.where(z < 0.3, torch.nan, 1 + z)], 1)

    model = Classifier(Blind(), classes=["a", "b"], channels=1)
    shown, grid = subjects(model, torch.full((3, 1, 2, 2), 0.5)), Grid("linf", (0.1, 0.3))
    assert shown.y.tolist() == [1, 1, 1]
    for outcome in (
        each_budget(fgsm(), shown, grid, model, honest=True),
        each_budget(fgsm(), shown, grid, model, honest=False),
        bisect(restarts(fgsm(), 2), shown, grid, SearchModel(model, model), Effort()),
        sweep(pgd(num_steps=3), shown, grid, SearchModel(model, model), Effort()),
    ):
        assert not bool(outcome.reached.any())
        assert bool((outcome.prediction == 1).all())
        assert bool(torch.isfinite(outcome.logits).all())


LEVEL = 127 / 255


def above(x: Tensor) -> Tensor:
    """Class 1 where the mean exceeds 127.27 grey levels."""
    z = x.flatten(1).double().mean(1) * 255 - 127.27
    return torch.stack([-z, z], 1).float()


@pytest.mark.parametrize(
    ("levels", "bits", "survives"),
    [
        ([127.4, 127.4, 127.4, 127.4], 8, False),  # the file is that of the image itself
        ([128, 127.4, 127.4, 127.4], 8, False),  # the file differs, the answer is right again
        ([128, 128, 127.4, 127.4], 8, True),
        ([127.4, 127.4, 127.4, 127.4], 16, True),
    ],
)
def test_what_survives_saving(levels: list[float], bits: int, survives: bool) -> None:
    x = torch.full((1, 1, 2, 2), LEVEL)
    x_adv = torch.tensor(levels, dtype=torch.float64).reshape(1, 1, 2, 2).div(255).float()
    found = verify(above, x_adv, ball(x, 0.1), Goal(torch.tensor([0]), False), of_bits([bits]))
    assert bool(found.reached)
    assert bool(found.survives) == survives


def test_what_did_not_win_does_not_survive_and_is_not_asked_about() -> None:
    shown: list[int] = []

    def counted(x: Tensor) -> Tensor:
        shown.append(len(x))
        return above(x)

    x = torch.full((3, 1, 2, 2), LEVEL)
    x_adv = x.clone()
    x_adv[1] = 130 / 255
    found = judged(x_adv, x, model=counted)
    assert found.survives.tolist() == [False, True, False]
    assert shown == [3, 1]
    shown.clear()
    won = judged(torch.full((1, 1, 2, 2), 127.4 / 255), x[:1], model=counted)
    assert (won.reached.tolist(), won.survives.tolist()) == ([True], [False])
    assert shown == [1], "its file is that of the image itself"


def test_stored_form_of_each_depth_and_domain() -> None:
    x = torch.tensor([[0.0, 0.2, 0.5, 1.0]]).repeat(3, 1)
    found = stored(x, of_bits([1, 8, 12]), (0.0, 1.0))
    assert found[0].tolist() == [0.0, 0.0, 0.0, 1.0]
    assert torch.allclose(found[1] * 255, torch.tensor([0.0, 51.0, 128.0, 255.0]))
    assert float((found[2] - x[2]).abs().max()) <= 0.5 / 4095 + 1e-7
    wide = stored(2 * x - 1, of_bits([1, 8, 12]), (-1.0, 1.0))
    assert torch.allclose(wide, 2 * found - 1, atol=1e-6)
    assert torch.equal(stored(found, of_bits([1, 8, 12]), (0.0, 1.0)), found)


@pytest.mark.parametrize(("matmul", "conv"), [(True, False), (False, True)])
def test_flags_of_tf32_are_as_before_even_after_an_error(matmul: bool, conv: bool) -> None:
    def flags() -> tuple[bool, bool]:
        return torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32

    before = flags()
    try:
        torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = matmul, conv
        with exact_float32():
            assert flags() == (False, False)
        assert flags() == (matmul, conv)
        with pytest.raises(KeyError), exact_float32():
            raise KeyError
        assert flags() == (matmul, conv)

        def asks(x: Tensor) -> Tensor:
            assert flags() == (False, False)
            assert not torch.is_grad_enabled()
            return bright(x)

        judged(torch.full((1, 1, 2, 2), 0.6), torch.full((1, 1, 2, 2), 0.5), model=asks)
        assert flags() == (matmul, conv)
    finally:
        torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = before


@pytest.mark.parametrize("norm", ["linf", "l2", "l1"])
def test_no_row_has_a_change_larger_than_the_budget_as_written(norm: str) -> None:
    """8/255 in float32 is more than 8/255: what counts in every path fits the budget in float64."""
    layer = nn.Linear(4, 2)
    layer.weight.data, layer.bias.data = torch.tensor([[0.0] * 4, [1.0] * 4]), torch.tensor([1e-3, 0.0])
    model = Classifier(nn.Sequential(nn.Flatten(), layer), classes=["a", "b"], channels=1)
    epsilons = tuple(k / 255 for k in (1, 2, 3, 5, 6, 8, 9))
    shown, grid = subjects(model, torch.zeros(3, 1, 2, 2)), Grid(norm, epsilons)
    exact = torch.tensor(epsilons, dtype=torch.float64)
    assert bool((exact.float().double() > exact).any())
    for outcome in (
        each_budget(fgsm(), shown, grid, model, honest=True),
        each_budget(fgsm(), shown, grid, model, honest=False),
        bisect(restarts(fgsm(), 2), shown, grid, SearchModel(model, model), Effort()),
        sweep(pgd(num_steps=3), shown, grid, SearchModel(model, model), Effort()),
    ):
        assert bool(outcome.reached.all())
        assert bool((outcome.distance <= exact).all())
