"""Phases and averages: what each does, and that a run stopped at any step of them ends with the same bits."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn

from medrobust.errors import UserError
from medrobust.models import load_model
from medrobust.recipes.train import (
    AverageSpec,
    ObjectiveSpec,
    OptimizerSpec,
    PhaseSpec,
    ScheduleSpec,
    ThreatSpec,
    ValidationSpec,
)
from medrobust.training import TrainRecipe, train
from medrobust.training.average import Average, estimating
from medrobust.training.checkpoint import load_state, save_state
from training.test_training_resume import StoppedError, bits, stop_at

Make = Callable[..., TrainRecipe]
CLASSES = ("benign", "malignant")
PHASES = (
    PhaseSpec(epochs=1, train="head", objective=ObjectiveSpec(name="clean")),
    PhaseSpec(
        epochs=1,
        optimizer=OptimizerSpec(name="sgd", lr=0.05),
        schedule=ScheduleSpec(name="cosine", warm_up=0.5),
        threat=ThreatSpec(epsilon=0.02, epsilon_warm_up=1),
    ),
)


@pytest.mark.parametrize("kind", ["none", "ema", "swa"])
def test_stopped_at_any_step_of_two_phases(make_recipe: Make, tmp_path: Path, kind: str) -> None:
    recipe = make_recipe(phases=PHASES, average=AverageSpec(kind=kind, decay=0.9), save_every=2)
    train(recipe, tmp_path / "whole")
    expected = bits(tmp_path / "whole")
    rows = expected["history"]
    assert [row["phase"] for row in rows] == [0, 1]
    assert rows[1]["best"]
    for step in (3, 5, 6, 8, 10):
        folder = tmp_path / f"stopped-{step}"
        with pytest.raises(StoppedError):
            train(recipe, folder, stop_at(step), say=lambda line: None)
        train(recipe, folder)
        assert bits(folder) == expected, f"stopped at step {step}"


def test_head_only_trains_the_last_layer_and_nothing_else(make_recipe: Make, tmp_path: Path) -> None:
    train(make_recipe("clean", epochs=1), tmp_path / "start")
    from medrobust.recipes.train import ModelSpec

    model = ModelSpec(name="training_nets:small", init=str(tmp_path / "start" / "last"))
    recipe = make_recipe("clean", model=model, phases=(PhaseSpec(epochs=2, train="head"),))
    train(recipe, tmp_path / "run")
    before, after = (load_model(str(tmp_path / n / "last"), classes=CLASSES).state_dict() for n in ("start", "run"))
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed == {"network.6.weight", "network.6.bias"}


def test_a_phase_goes_on_from_the_weights_of_the_one_before(make_recipe: Make, tmp_path: Path) -> None:
    """A second phase that learns nothing leaves what the first learned."""
    still = OptimizerSpec(name="sgd", lr=1e-30, momentum=0.0)
    train(make_recipe("clean", epochs=2), tmp_path / "one")
    phases = (PhaseSpec(epochs=2), PhaseSpec(epochs=1, train="head", optimizer=still))
    train(make_recipe("clean", phases=phases), tmp_path / "two")
    one, two = ((tmp_path / name / "last" / "model.safetensors").read_bytes() for name in ("one", "two"))
    assert one == two


def test_patience_ends_a_phase_and_not_the_run(make_recipe: Make, tmp_path: Path) -> None:
    still = OptimizerSpec(lr=1e-9)
    phases = (PhaseSpec(epochs=9, optimizer=still), PhaseSpec(epochs=1))
    recipe = make_recipe("clean", phases=phases, validation=ValidationSpec(metric="accuracy", patience=2))
    train(recipe, tmp_path / "run")
    rows = json.loads((tmp_path / "run" / "history.json").read_text())
    assert rows[-1]["phase"] == 1
    assert len(rows) < 10


def test_swa_is_the_mean_over_epochs_with_its_own_statistics(make_recipe: Make, tmp_path: Path) -> None:
    for epochs in (1, 2):
        train(make_recipe("clean", epochs=epochs), tmp_path / str(epochs))
    train(make_recipe("clean", epochs=2, average=AverageSpec(kind="swa")), tmp_path / "swa")
    one, two, swa = (
        load_model(str(tmp_path / name / "last"), classes=CLASSES).network.state_dict() for name in ("1", "2", "swa")
    )
    torch.testing.assert_close(swa["6.weight"], (one["6.weight"] + two["6.weight"]) / 2)
    middle = (one["1.running_mean"] + two["1.running_mean"]) / 2
    assert not torch.allclose(swa["1.running_mean"], middle)


def test_ema_follows_its_formula_and_includes_running_statistics() -> None:
    network = nn.BatchNorm1d(2).train()
    average = Average(AverageSpec(kind="ema", decay=0.5, start_epoch=1))
    values: list[torch.Tensor] = []
    for step, epoch in enumerate((0, 1, 1, 1)):
        network(torch.randn(4, 2) + step)
        average.after_step(network, epoch)
        values.append(network.running_mean.clone())
    expected = values[1].lerp(values[2], 1 - 2 / 11).lerp(values[3], 1 - 3 / 12)
    with average.put_in(network):
        torch.testing.assert_close(network.running_mean, expected)
    assert torch.equal(network.running_mean, values[3])


def test_ema_leaves_integers_as_they_are() -> None:
    """As in a Swin transformer, whose relative positions are a buffer."""
    network = nn.BatchNorm1d(2).train()
    network.register_buffer("index", torch.arange(100))
    average = Average(AverageSpec(kind="ema"))
    for _ in range(20):
        network(torch.randn(4, 2))
        average.after_step(network, 0)
    network.index.zero_()
    network.num_batches_tracked.zero_()
    with average.put_in(network):
        assert torch.equal(network.index, torch.arange(100))
        assert network.num_batches_tracked == 20


@pytest.mark.parametrize("kind", ["ema", "swa"])
def test_an_average_goes_on_from_its_state(tmp_path: Path, kind: str) -> None:
    network = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))
    whole, resumed = (Average(AverageSpec(kind=kind, decay=0.5)) for _ in range(2))
    for step in range(9):
        for weight in network.parameters():
            weight.data.normal_()
        network(torch.randn(8, 3))
        for average in (whole, resumed):
            average.after_step(network, 0)
            average.after_epoch(network, 0)
        if step in (0, 4):
            save_state(tmp_path / "state", resumed.state_dict())
            resumed = Average(resumed.spec)
            resumed.load_state_dict(load_state(tmp_path / "state"), network)
    with whole.put_in(network):
        expected = {name: value.clone() for name, value in network.state_dict().items()}
    with resumed.put_in(network):
        assert all(torch.equal(value, expected[name]) for name, value in network.state_dict().items())


def test_estimated_statistics_are_those_of_the_images() -> None:
    network = nn.Sequential(nn.BatchNorm1d(2), nn.Dropout(0.5))
    x = torch.randn(64, 2) * 3 + 1
    with estimating(network):
        for part in x.split(16):
            network(part)
    torch.testing.assert_close(network[0].running_mean, x.mean(0))
    variance = torch.stack([part.var(0) for part in x.split(16)]).mean(0)
    torch.testing.assert_close(network[0].running_var, variance)
    assert network[0].momentum == 0.1


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"phases": (PhaseSpec(), PhaseSpec(epochs=0))}, "phases.1.epochs: 0 is not"),
        ({"phases": (PhaseSpec(objective=ObjectiveSpec(name="adv")),)}, "phases.0.objective.name: unknown"),
        ({"phases": (PhaseSpec(threat=ThreatSpec(epsilon=3)),)}, "phases.0.threat.epsilon"),
        ({"average": AverageSpec(kind="swa", start_epoch=3)}, "average.start_epoch: 3 is after the last"),
        ({"average": AverageSpec(kind="ema", decay=1.0)}, "average.decay"),
        ({"objective": "clean", "threat": ThreatSpec(epsilon_warm_up=1)}, "clean has no budget and cannot warm up"),
        ({"objective": "amat", "threat": ThreatSpec(epsilon_warm_up=1)}, "amat has its own budgets"),
        ({"objective": "gr", "threat": ThreatSpec(epsilon_warm_up=1)}, "gr has no budget"),
    ],
)
def test_bad_phases_say_where(make_recipe: Make, tmp_path: Path, changes: dict, says: str) -> None:
    with pytest.raises(UserError, match=says):
        train(make_recipe(**changes), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_warm_up_after_a_clean_phase_is_fine(make_recipe: Make, tmp_path: Path) -> None:
    phases = (PhaseSpec(epochs=1, objective=ObjectiveSpec(name="clean")), PhaseSpec(epochs=1))
    train(make_recipe(phases=phases, threat=ThreatSpec(epsilon_warm_up=1)), tmp_path / "run")
    assert len(json.loads((tmp_path / "run" / "history.json").read_text())) == 2
