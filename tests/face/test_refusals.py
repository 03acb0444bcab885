"""What cannot be right is refused in one clear line, before anything is attacked or written."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import medrobust as mr
from face.toys import OwnAttack, network, pictures
from medrobust.errors import UserError

X, Y = pictures(12)


def measured(model: Any = None, images: Any = None, attacks: Any = "fgsm", **more: Any) -> Callable[[], Any]:
    return lambda: mr.measure(
        network() if model is None else model,
        mr.ImageSet.of(X, Y) if images is None else images(),
        attacks,
        **({"linf": "4/255"} | more),
    )


def of(*given: Any, **more: Any) -> Callable[[], Any]:
    return lambda: mr.ImageSet.of(*given, **more)


THREE = mr.Classifier(network(outputs=3), channels=1, classes=("a", "b", "c"))

WRONG: dict[str, tuple[Callable[[], Any], str]] = {
    "labels too few": (of(X, Y[:5]), "labels: 5 for 12 images. Give one per image"),
    "no labels": (of(X), "images: given without labels"),
    "labels that are no classes": (of(X, Y - 1), "labels: are neither names nor whole numbers from 0 on"),
    "labels that are shares": (of(X, Y * 0.5), "labels: are neither names nor whole numbers from 0 on"),
    "a label without a name": (of(X, Y * 2, classes=["a", "b"]), "labels: label 2 has no name among 2 classes"),
    "an unknown class": (of(X, ["a", "c"] * 6, classes=["a", "b"]), "labels: 'c' is not among the classes"),
    "groups too many": (of(X, Y, groups=list("abcdefghijklm")), "groups: 13 for 12 images"),
    "ids that repeat": (of(X, Y, ids=["a", "b"] * 6), "ids: an image has none, or two images have one id"),
    "ids that name the machine": (of(X, Y, ids=[f"/data/{i}.png" for i in range(12)]), "/data/0.png is an absolute"),
    "an unknown split": (of(X, Y, splits=["training"] * 12), "splits: unknown split 'training'"),
    "metadata too few": (of(X, Y, metadata={"age": [40, 50]}), "metadata.age: 2 for 12 images"),
    "whole numbers for pixels": (of((X * 255).long(), Y), "images: are of type int64. Give uint8"),
    "images without channels": (of(X[:, 0, 0], Y), "images: have the shape (12, 6)"),
    "dicts without the key": (of([{"img": X[0], "label": 0}]), "no key 'image' in what the data set yields"),
    "sizes that differ": (of([(X[0], 0), (X[1][:, 1:], 1)]), "images: differ in size (1x5x6, 1x6x6)"),
    "pixels out of range": (measured(images=of(3 * X - 1, Y)), "they look already normalized. Give images as stored"),
    "pixels of 255": (measured(images=of(X * 255, Y)), "outside [0, 1]"),
    "pixels that are no numbers": (
        measured(images=of(X / X.new_zeros(()) * 0, Y)),
        "outside [0, 1]",
    ),
    "an unknown attack": (measured(attacks="pdg"), "attacks.pdg: unknown attack 'pdg'. Did you mean 'pgd'?"),
    "an unknown parameter": (
        measured(attacks={"a": {"name": "pgd", "num_step": 3}}),
        "attacks.a.num_step: unknown parameter. Did you mean 'num_steps'?",
    ),
    "no attack": (measured(attacks=[]), "attacks: none given"),
    "an attack that says nothing": (measured(attacks=lambda *given: X), "says no abilities"),
    "two attacks of one title": (
        measured(attacks=["pgd", mr.attacks.pgd()]),
        "attacks: two are called 'pgd'. Give a mapping from titles to attacks",
    ),
    "a norm that an attack has not": (measured(attacks="deepfool", l1=1.0), "attacks.deepfool: is not made for l1"),
    "a budget of 8": (measured(linf=8), "linf: 8 is larger than the domain [0, 1]. Did you mean 8/255?"),
    "a budget that is no number": (measured(linf="4/25x"), "linf: '4/25x' is not a number"),
    "a budget below 0": (measured(l2=-1), "l2: -1 is not a budget"),
    "no budget": (measured(linf=[]), "linf: no budget"),
    "an unknown protocol": (measured(protocol="fair"), "protocol: unknown protocol 'fair'"),
    "an unknown precision": (measured(precision="half"), "precision: unknown precision 'half'. Valid: fast, float32"),
    "an unknown device": (measured(device="gpu"), "device: 'gpu' is not available here"),
    "a batch of none": (measured(batch_size=0), "batch_size: 0 is not a positive number"),
    "outputs and classes that differ": (
        measured(images=of(X, Y, classes=["a", "b", "c"])),
        "model: 2 outputs for 3 classes (a, b, c)",
    ),
    "a classifier of other classes": (measured(THREE), "the model knows the classes a, b, c, not 0, 1"),
    "no network": (measured(lambda x: x), "model: is a function. Give a torch.nn.Module"),
    "images of other channels": (
        measured(images=of(X.repeat(1, 3, 1, 1), Y)),
        "model: takes images of 1 channel, not 3",
    ),
}


@pytest.mark.parametrize("mistake", WRONG)
def test_mistakes_are_refused_in_one_line(mistake: str) -> None:
    make, words = WRONG[mistake]
    with pytest.raises(UserError) as error:
        make()
    said = str(error.value)
    assert words.lower() in said.lower()
    assert "\n" not in said
    assert len(said) < 300


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: mr.Threat("4/255", "l3"), "unknown norm 'l3'"),
        (lambda: mr.Threat(8), "did you mean 8/255?"),
        (lambda: mr.Threat(-0.1), "epsilon must be 0 or larger"),
        (lambda: mr.attacks.pgd(num_steps=0), "num_steps must be 1 or more"),
        (lambda: mr.attacks.pgd(step_size=0.1, relative_step_size=0.1), "not both"),
    ],
)
def test_what_is_made_wrong_is_refused_when_it_is_made(make: Callable[[], Any], words: str) -> None:
    with pytest.raises(ValueError, match=words.replace("?", r"\?")):
        make()


WRITES = {
    "an audit of wrong pixels": lambda out: mr.audit(network(), mr.ImageSet.of(X * 3, Y), "fgsm", linf=0.1, out=out),
    "an audit of signals": lambda out: mr.audit(
        nn.Sequential(nn.Flatten(), nn.Linear(9, 2)), mr.ImageSet.of(torch.rand(4, 1, 9), Y[:4]), "fgsm", out=out
    ),
    "an audit of nothing": lambda out: mr.audit(network(), [], "fgsm", out=out),
    "training with a budget of 8": lambda out: mr.train(
        network(), mr.objectives.clean(), mr.ImageSet.of(X, Y), epsilon=8, out=out
    ),
    "training for no epoch": lambda out: mr.train(
        network(), mr.objectives.clean(), mr.ImageSet.of(X, Y), epochs=0, out=out
    ),
    "training with an unknown optimizer": lambda out: mr.train(
        network(), mr.objectives.clean(), mr.ImageSet.of(X, Y), optimizer="rmsprop", out=out
    ),
    "training in batches larger than the set": lambda out: mr.train(
        network(), mr.objectives.clean(), mr.ImageSet.of(X, Y), batch_size=64, out=out
    ),
    "training with what is no objective": lambda out: mr.train(network(), "trades", mr.ImageSet.of(X, Y), out=out),
    "training without validation images": lambda out: mr.train(
        network(), mr.objectives.clean(), mr.ImageSet.of(X, Y, splits=["test"] * 12), batch_size=4, out=out
    ),
}


@pytest.mark.parametrize("mistake", WRITES)
def test_nothing_is_written_by_a_run_that_is_refused(mistake: str, tmp_path: Path) -> None:
    with pytest.raises(UserError) as error:
        WRITES[mistake](tmp_path / "run")
    assert "\n" not in str(error.value)
    assert not list(tmp_path.glob("run/*")), [path.name for path in tmp_path.glob("run/*")]


def test_an_attack_of_ones_own_is_measured_in_its_norms_only() -> None:
    assert len(mr.measure(network(), mr.ImageSet.of(X, Y), OwnAttack(), linf="4/255")) == 24
    with pytest.raises(UserError, match=r"is not made for l2\. Valid: linf"):
        mr.measure(network(), mr.ImageSet.of(X, Y), OwnAttack(), l2=1.0)


@pytest.mark.parametrize("grid", [np.array([1, 4]) / 255, torch.tensor([1, 4]) / 255, (1 / 255, "4/255")])
def test_grids_of_numpy_and_torch_are_grids(grid: Any) -> None:
    records = mr.measure(network(), mr.ImageSet.of(X, Y), "fgsm", linf=grid)
    assert records.worst_case("linf").epsilons.tolist() == pytest.approx([1 / 255, 4 / 255])


def test_a_classifier_of_the_classes_in_another_order_answers_in_theirs() -> None:
    turned = mr.Classifier(network(), channels=1, classes=("1", "0"))
    plain, other = (mr.measure(model, mr.ImageSet.of(X, Y), "fgsm").clean for model in (network(), turned))
    assert (other["clean_prediction"] == 1 - plain["clean_prediction"]).all()
