"""What every training objective must do, whoever wrote it."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from ..data.images.batch import Batch
from ..models.classifier import Classifier
from ..models.layers import last_layer
from ..models.wrap import as_classifier
from ..objectives.base import TrainingLoss, TrainingObjective


def smooth_toy(dtype: torch.dtype = torch.float64, *, num_classes: int = 3) -> tuple[Classifier, Batch]:
    """A small network without kinks, and a batch of 6 images (6, 1, 6, 6), for finite differences."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = nn.Sequential(
            nn.Conv2d(1, 3, 3), nn.Tanh(), nn.Flatten(), nn.Linear(48, 5), nn.Tanh(), nn.Linear(5, num_classes)
        )
        x = torch.rand(6, 1, 6, 6, dtype=dtype)
        y = torch.arange(6) % num_classes
    model = Classifier(network.to(dtype), channels=1, mean=0.5, std=0.25)
    return model, Batch(x, y, torch.arange(6))


def check_objective(objective: TrainingObjective, model: nn.Module | None = None, batch: Batch | None = None) -> None:
    """Check the contract of an objective, on a copy of model.

    The loss is finite and reaches every parameter; the search leaves weights, statistics, modes and gradients alone
    and repeats itself; after a state_dict round trip the objective goes on as it would have.

    Args:
        objective: as it was made, before its first epoch.
        model, batch: any network and images that it takes; by default those of smooth_toy, in single precision.

    Errors: AssertionError that says what is broken.

    Example:
        >>> from medrobust.objectives import trades
        >>> from medrobust.threat import Threat
        >>> check_objective(trades(Threat("4/255")))
    """
    toy, images = smooth_toy(torch.float32)
    batch = images if batch is None else Batch(*batch)
    model = as_classifier(copy.deepcopy(toy if model is None else model), batch.x).train()
    twin, fresh = copy.deepcopy(objective), copy.deepcopy(objective)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    first = _flat(objective.search(model, batch))
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items()), (
        "search changed the model"
    )
    assert all(module.training for module in model.modules()), "search left a module in evaluation mode"
    assert all(p.requires_grad and p.grad is None for p in model.parameters()), "search left traces on parameters"
    again = _flat(twin.search(model, batch))
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True)), "search is not a function of its inputs"
    loss = copy.deepcopy(twin)(model, batch)
    assert isinstance(loss, TrainingLoss)
    assert loss.total.shape == (), "total is not one number"
    assert bool(torch.isfinite(loss.total)), "total is not finite"
    assert all(value.shape == () and not value.requires_grad for value in loss.parts.values()), "parts are not numbers"
    loss.total.backward()
    # What is not judged by answers need not reach the layer that gives them.
    spared = {id(p) for p in last_layer(model.network)[1].parameters()} if objective.metric is not None else set()
    reached = (p.grad is not None for p in model.parameters() if id(p) not in spared)
    assert all(reached), "total does not reach every parameter"
    _check_resume(objective, fresh, model, batch)


def _check_resume(objective: TrainingObjective, fresh: TrainingObjective, model: Classifier, batch: Batch) -> None:
    objective.end_epoch()
    fresh.load_state_dict(objective.state_dict())
    pairs = zip(_flat(objective.search(model, batch)), _flat(fresh.search(model, batch)), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs), "state_dict does not hold everything that search depends on"


def _flat(found: object) -> list[Tensor]:
    if isinstance(found, Tensor):
        return [found.detach().clone()]
    return [tensor for part in found for tensor in _flat(part)] if isinstance(found, (list, tuple)) else []


def slope_error(objective: TrainingObjective, model: Classifier, batch: Batch, *, h: float = 1e-6) -> float:
    """Relative gap between the slope of the loss along a random line of parameters and its central difference.

    What search found is held fixed, as it is in training; h is half the width of the difference.
    """
    found = objective.search(model, batch)
    parameters = list(model.parameters())
    loss = objective.loss(model, batch, found).total
    slopes = torch.autograd.grad(loss, parameters, materialize_grads=True, allow_unused=True)
    generator = torch.Generator().manual_seed(0)
    along = [torch.randn(p.shape, generator=generator, dtype=p.dtype) for p in parameters]
    values = []
    for sign in (1, -1):
        moved = copy.deepcopy(model)
        with torch.no_grad():
            for p, d in zip(moved.parameters(), along, strict=True):
                p.add_(sign * h * d)
        values.append(float(objective.loss(moved, batch, found).total.detach()))
    measured = (values[0] - values[1]) / (2 * h)
    exact = float(sum((s * d).sum() for s, d in zip(slopes, along, strict=True)))
    return abs(measured - exact) / max(abs(exact), 1e-12)
