"""Where a run stands, saved so that going on gives the same bits as never having stopped."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..models.classifier import Classifier
from ..objectives import TrainingObjective
from .checkpoint import load_state, save_state

STATE = "state.safetensors"


@dataclass
class Place:
    """The position in a run and what the loop remembers.

    sums are of the losses and rates of this epoch's steps; best is the best value of the metric; the bad epochs count
    since it, for stopping and for the plateau schedule; lr_share is what the plateau schedule has left of the learning
    rate.
    """

    epoch: int = 0
    step: int = 0
    best: float = -math.inf
    bad_epochs: int = 0
    lr_share: float = 1.0
    lr_bad_epochs: int = 0
    stopped: bool = False
    sums: dict[str, Tensor] = field(default_factory=dict)
    history: list[dict[str, Any]] = field(default_factory=list)


def save(
    folder: Path, place: Place, model: Classifier, objective: TrainingObjective, optimizer: torch.optim.Optimizer
) -> None:
    """Write the whole state in one step."""
    state = {
        "place": {f.name: getattr(place, f.name) for f in dataclasses.fields(place)},
        "model": model.network.state_dict(),
        "objective": objective.state_dict(),
        "optimizer": optimizer.state_dict(),
    }
    save_state(folder / STATE, state)


def restore(
    folder: Path, model: Classifier, objective: TrainingObjective, optimizer: torch.optim.Optimizer
) -> Place | None:
    """Put the saved state into model, objective and optimizer, and say where it stands; None when nothing is saved."""
    if not (folder / STATE).exists():
        return None
    state = load_state(folder / STATE)
    model.network.load_state_dict(state["model"])
    objective.load_state_dict(state["objective"])
    optimizer.load_state_dict(state["optimizer"])
    for parameter, values in optimizer.state.items():
        for name, value in values.items():
            if isinstance(value, Tensor) and value.shape == parameter.shape:
                # The parameter's memory layout: kernels for other layouts may round otherwise.
                values[name] = torch.empty_like(parameter).copy_(value)
    place = Place(**state["place"])
    device = next(model.parameters()).device
    place.sums = {name: value.to(device) for name, value in place.sums.items()}
    return place
