"""What people get wrong first, with a network and images of their own, is refused in a line that says what to do."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn

import medrobust as mr

X, Y = torch.rand(12, 1, 8, 8, generator=torch.Generator().manual_seed(0)), torch.arange(12) % 2


def network(channels: int = 1, side: int = 8) -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(channels * side**2, 2))


MISTAKES: dict[str, tuple[str, Callable[[], object]]] = {
    "images of another size": (
        r"model: does not take images \(2, 1, 8, 8\): .*the channels and the size",
        lambda: mr.measure(network(side=9), (X, Y), "fgsm"),
    ),
    "images of other channels": (
        r"model: does not take images \(2, 1, 8, 8\): ",
        lambda: mr.measure(nn.Conv2d(3, 2, 8), (X, Y), "fgsm"),
    ),
    "files that nobody loaded": (
        "images: are text and not pixels. Load the files first",
        lambda: mr.ImageSet.of([{"image": "a.png", "label": 0}]),
    ),
    "an attack that was not called": (
        r"attacks.attack_1: pgd is a function that makes an attack. Write pgd\(\)",
        lambda: mr.measure(network(), (X, Y), [mr.attacks.pgd]),
    ),
    "a function that says nothing of itself": (
        "attacks.mine: a function says no abilities",
        lambda: mr.measure(network(), (X, Y), {"mine": lambda model, x, y, threat, generator=None: x}),
    ),
    "images without labels": (
        "images: given without labels",
        lambda: mr.measure(network(), X, "fgsm"),
    ),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_refused(name: str) -> None:
    line, mistake = MISTAKES[name]
    with pytest.raises(mr.UserError, match=line):
        mistake()


def test_an_objective_by_name_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(mr.UserError, match="objective: a str is no TrainingObjective"):
        mr.train(network(), "trades", (X, Y), out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_two_tensors_are_images_and_labels() -> None:
    records = mr.measure(network(), (X, Y), "fgsm", linf="4/255")
    assert records.clean["label"].tolist() == Y.tolist()
