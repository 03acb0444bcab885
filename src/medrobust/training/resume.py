"""Where a run stands, saved so that going on gives the same bits as never having stopped."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ..models.classifier import Classifier
from ..objectives.base import TrainingObjective
from .average import Average
from .checkpoint import load_state, save_state

STATE = "state.safetensors"


@dataclass
class Place:
    """The position in a run and what the loop remembers.

    began is the epoch in which the phase began; sums holds the sums of the losses and rates over this epoch's steps;
    best is the best value of the metric in this phase; bad_epochs and lr_bad_epochs count the epochs since it, for
    stopping and for the plateau schedule; lr_share is what the plateau schedule has left of the learning rate.
    """

    epoch: int = 0
    step: int = 0
    phase: int = 0
    began: int = 0
    best: float = -math.inf
    bad_epochs: int = 0
    lr_share: float = 1.0
    lr_bad_epochs: int = 0
    stopped: bool = False
    sums: dict[str, Tensor] = field(default_factory=dict)
    history: list[dict[str, Any]] = field(default_factory=list)

    def next_phase(self) -> None:
        """Move to the start of the next phase."""
        self.phase, self.began = self.phase + 1, self.epoch
        self.best, self.bad_epochs, self.lr_share, self.lr_bad_epochs = -math.inf, 0, 1.0, 0


class Parts(NamedTuple):
    """What a phase makes for itself."""

    objective: TrainingObjective
    optimizer: torch.optim.Optimizer
    average: Average


def save(folder: Path, seed: int, place: Place, model: Classifier, parts: Parts | None) -> None:
    """Write the whole state in one step.

    Args:
        folder: of the run.
        seed: of the run; the state of another seed is not used.
        place: the position; each of its sums has one value per process.
        model: the classifier.
        parts: what the phase has made; None between two phases.
    """
    state = {
        "seed": seed,
        "place": {f.name: getattr(place, f.name) for f in dataclasses.fields(place)},
        "model": model.network.state_dict(),
        "parts": {name: part.state_dict() for name, part in parts._asdict().items()} if parts else {},
    }
    save_state(folder / STATE, state)


def restore(folder: Path, seed: int, model: Classifier, rank: int = 0) -> tuple[Place, dict[str, Any]] | None:
    """Put the saved weights into model; the place of the run and what its phase had, None when nothing is saved.

    The state of another seed counts as nothing: it is from before the run was started again.
    """
    if not (folder / STATE).exists():
        return None
    state = load_state(folder / STATE)
    if state["seed"] != seed:
        return None
    model.network.load_state_dict(state["model"])
    place = Place(**state["place"])
    device = next(model.parameters()).device
    place.sums = {name: value[rank].to(device) for name, value in place.sums.items()}
    return place, state["parts"]


def restore_parts(saved: dict[str, Any], parts: Parts, model: Classifier) -> None:
    """Put what the phase had when it was saved into its new parts."""
    parts.objective.load_state_dict(saved["objective"])
    parts.optimizer.load_state_dict(saved["optimizer"])
    parts.average.load_state_dict(saved["average"], model.network)
    for parameter, values in parts.optimizer.state.items():
        for name, value in values.items():
            if isinstance(value, Tensor) and value.shape == parameter.shape:
                # The parameter's memory layout: kernels for other layouts may round otherwise.
                values[name] = torch.empty_like(parameter).copy_(value)
