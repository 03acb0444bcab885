"""The parts of a run that follow each other: head only and then all, clean and then adversarial, and so on."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from torch import nn

from ..errors import UserError
from ..models.classifier import Classifier
from ..models.layers import last_layer
from ..objectives.base import TrainingObjective
from ..recipes.train import PhaseSpec, ScheduleSpec, TrainRecipe
from .order import derived_seed

OVERRIDES = tuple(f.name for f in dataclasses.fields(PhaseSpec) if f.name != "train")


class Begun(NamedTuple):
    """What a phase trains with: an optimizer of the parameters that are trained, a judge, and one of its metrics."""

    objective: TrainingObjective
    optimizer: torch.optim.Optimizer
    judge: Callable[[Classifier], dict[str, Any]]
    metric: str


@dataclass(frozen=True, kw_only=True)
class Phase:
    """What the loop does for some epochs.

    Args:
        epochs: how many.
        begin: called with the model, once its trained parameters are the ones that require a gradient.
        schedule: of the learning rate.
        head: train the last layer only.
        full_budget_from: the first epoch whose examples have the budget of validation; None for never.
    """

    epochs: int
    begin: Callable[[Classifier], Begun]
    schedule: ScheduleSpec = field(default_factory=ScheduleSpec)
    head: bool = False
    full_budget_from: int | None = None


def phase_recipes(recipe: TrainRecipe) -> list[tuple[str, TrainRecipe]]:
    """(place in the recipe, phase as a recipe of its own) of each phase, in order; without phases, the recipe itself.

    Example:
        >>> recipe = TrainRecipe(epochs=3, phases=(PhaseSpec(epochs=1, train="head"), PhaseSpec()))
        >>> [(place, phase.epochs) for place, phase in phase_recipes(recipe)]
        [('phases.0.', 1), ('phases.1.', 3)]
    """
    if not recipe.phases:
        return [("", recipe)]
    found = []
    for number, spec in enumerate(recipe.phases):
        own = {name: value for name in OVERRIDES if (value := getattr(spec, name)) is not None}
        # Another seed, as each phase counts its epochs from 0 and would draw the same random starts.
        seed = derived_seed(recipe.seed, "phase", number) if number else recipe.seed
        found.append((f"phases.{number}.", dataclasses.replace(recipe, phases=(), seed=seed, **own)))
    return found


class Trained:
    """Which parameters of a model are trained, and how its batch norm behaves where they are not."""

    def __init__(self, model: Classifier) -> None:
        self.model = model
        self.wanted = [(parameter, parameter.requires_grad) for parameter in model.parameters()]
        self.head = False

    def only(self, head: bool) -> None:
        """Train the last layer only, or all that could be trained at the start."""
        self.head = head
        for parameter, want in self.wanted:
            parameter.requires_grad_(want and not head)
        if head:
            last_layer(self.model.network)[1].requires_grad_(True)

    def train(self) -> None:
        """Training mode; the running statistics of layers that are not trained stay what they are."""
        self.model.train()
        if self.head:
            for module in self.model.modules():
                if isinstance(module, nn.modules.batchnorm._NormBase):
                    module.eval()


def refuse_ignored_warm_up(recipe: TrainRecipe, accepts: Callable[[str, str], bool]) -> None:
    """Refuse threat.epsilon_warm_up where it would do nothing.

    Args:
        recipe: of the run.
        accepts: (name of an objective, name of a parameter) -> whether the objective has it.

    Errors: UserError naming the objective.
    """
    phases = phase_recipes(recipe)
    warm = [(place, phase) for place, phase in phases if phase.threat.epsilon_warm_up]
    for place, phase in warm:
        name = phase.objective.name
        if accepts(name, "epsilon"):
            continue
        elsewhere = any(accepts(other.objective.name, "epsilon") for _, other in warm)
        if not accepts(name, "threat") and elsewhere and recipe.threat.epsilon_warm_up:
            continue  # a clean phase before the one that warms up
        reason = f"{name} has its own budgets" if accepts(name, "threat") else f"{name} has no budget"
        raise UserError(f"{place}threat.epsilon_warm_up", f"{reason} and cannot warm up", "leave it out")
