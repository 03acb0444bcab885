"""Semi-supervised RST: what labels, answers and doubts do to the loss."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from medrobust.attacks import pgd
from medrobust.data import Batch
from medrobust.errors import UserError
from medrobust.models import Classifier, new_classifier
from medrobust.models.checkpoint import save_checkpoint
from medrobust.objectives import Rst, SemiRst, make_objective
from medrobust.objectives.base import divergence
from medrobust.testing.objectives import slope_error, smooth_toy
from medrobust.threat import Threat

THREAT = Threat(epsilon=0.1)


def partly(hidden: list[int]) -> tuple[Classifier, Batch]:
    model, batch = smooth_toy()
    y = batch.y.clone()
    y[hidden] = -1
    return model, batch._replace(y=y)


@pytest.mark.parametrize("kind", ["pseudo", "consistency"])
def test_with_all_labels_it_is_rst(kind: str) -> None:
    ours = SemiRst(THREAT, weight=0.7, unlabeled_loss=kind)(*smooth_toy()).total
    torch.testing.assert_close(ours, Rst(THREAT, weight=0.7)(*smooth_toy()).total, rtol=1e-12, atol=0)


def test_an_image_without_label_is_trained_on_its_answer() -> None:
    model, batch = partly([1, 4])
    answers = model(batch.x).argmax(1)
    told = batch._replace(y=torch.where(batch.y < 0, answers, batch.y))
    torch.testing.assert_close(SemiRst(THREAT)(model, batch).total, Rst(THREAT)(model, told).total)


def test_doubted_answers_and_zero_weights_leave_only_labels() -> None:
    model, batch = partly([1, 4])
    known = batch.y >= 0
    part = Batch(*(t[known] for t in batch))
    attack = pgd(num_steps=5, random_start=False)
    expected = Rst(THREAT, attack=attack)(model, part).total * len(part.y) / len(batch.y)
    for options in ({"threshold": 1.0}, {"unlabeled_weight": 0.0}):
        loss = SemiRst(THREAT, attack=attack, **options)(model, batch)
        torch.testing.assert_close(loss.total, expected)
        assert loss.parts["taught"] == 0


def test_consistency_is_agreement_and_needs_no_answer() -> None:
    model, batch = partly(list(range(6)))
    objective = SemiRst(THREAT, weight=2.0, unlabeled_loss="consistency")
    found = objective.search(model, batch)
    loss = objective.loss(model, batch, found)
    torch.testing.assert_close(loss.total, 2 * divergence(model(batch.x), model(found[0])).mean())
    assert all(bool(torch.isfinite(value)) for value in loss.parts.values())


@pytest.mark.parametrize("kind", ["pseudo", "consistency"])
def test_gradients_against_finite_differences(kind: str) -> None:
    assert slope_error(SemiRst(THREAT, unlabeled_loss=kind), *partly([0, 2, 5])) < 1e-6


def test_a_teacher_decides(tmp_path: Path) -> None:
    teacher = new_classifier("zoo:cbr_tiny(width=2)", classes=("a", "b"), data_channels=1, seed=3).eval()
    save_checkpoint(tmp_path / "teacher", teacher)
    model = new_classifier("zoo:cbr_tiny(width=2)", classes=("a", "b"), data_channels=1, seed=4)
    with torch.no_grad():
        model.network[-1].bias += torch.tensor([10.0, -10.0])
        teacher.network[-1].bias += torch.tensor([-10.0, 10.0])
    save_checkpoint(tmp_path / "teacher", teacher)
    batch = Batch(torch.rand(4, 1, 32, 32), torch.full((4,), -1), torch.arange(4))
    objective = SemiRst(THREAT, teacher=str(tmp_path / "teacher"))
    assert objective.search(model, batch)[1].tolist() == [1] * 4
    assert SemiRst(THREAT).search(model, batch)[1].tolist() == [0] * 4
    assert not list(objective.parameters())
    assert set(objective.state_dict()) == set(SemiRst(THREAT).state_dict())


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"unlabeled_loss": "pseud"}, "valid: pseudo, consistency"),
        ({"threshold": 2}, "threshold from 0 to 1"),
        ({"unlabeled_weight": -1}, "0 or larger"),
        ({"teacher": "nowhere"}, "nowhere"),
    ],
)
def test_bad_options(options: dict, says: str) -> None:
    with pytest.raises(UserError, match=says):
        make_objective("semi_rst", options, threat=THREAT, seed=0)
