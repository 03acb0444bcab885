import pytest
import torch
from torch import nn

from medrobust.recipes.train import OptimizerSpec, ScheduleSpec
from medrobust.training.optimize import lr_factor, make_optimizer, set_lr


def curve(spec: ScheduleSpec, epochs: int = 10, steps: int = 4) -> list[float]:
    return [lr_factor(spec, e / steps, epochs, steps) for e in range(epochs * steps)]


def test_schedules() -> None:
    assert set(curve(ScheduleSpec())) == {1.0}
    step = curve(ScheduleSpec(name="step", milestones=(5, 8), gamma=0.1))
    assert step[19:21] + step[31:33] == pytest.approx([1, 0.1, 0.1, 0.01])
    cosine = curve(ScheduleSpec(name="cosine", min_factor=0.2))
    assert cosine[0] == 1
    assert cosine[20] == pytest.approx(0.6)
    assert cosine[-1] == pytest.approx(0.2, abs=0.01)
    one = curve(ScheduleSpec(name="one_cycle"))
    assert one[0] == pytest.approx(0, abs=1e-9)
    assert max(one) == one[12] == 1  # 30 % of 40 steps
    keras = curve(ScheduleSpec(name="inverse_time", decay=0.5))
    assert keras[:3] == pytest.approx([1, 1 / 1.5, 1 / 2])


def test_warm_up_rises_from_one_step_to_all() -> None:
    rise = curve(ScheduleSpec(warm_up=2))
    assert rise[:9] == pytest.approx([k / 9 for k in range(1, 10)])
    assert rise[8] == 1


@pytest.mark.parametrize("name", ["adam", "adamw", "sgd"])
def test_optimizers_go_downhill(name: str) -> None:
    weight = nn.Parameter(torch.ones(3))
    optimizer = make_optimizer(OptimizerSpec(name=name, lr=0.1), [weight])
    set_lr(optimizer, 0.05)
    (weight**2).sum().backward()
    optimizer.step()
    assert bool((weight < 1).all())
    assert optimizer.param_groups[0]["lr"] == 0.05
