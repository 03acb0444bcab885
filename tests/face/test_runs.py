"""Runs from Python: called again they go on, with something else they are refused, and a stop changes nothing."""

from __future__ import annotations

import copy
import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import medrobust as mr
from face.toys import OwnAttack, network, pictures
from medrobust.errors import UserError
from medrobust.models.digest import state_digest
from medrobust.testing.image_sets import tiny_set

X, Y = pictures(12)


def audited(out: Path, **changes: Any) -> mr.AuditRun:
    usual: dict[str, Any] = {"attacks": ["fgsm"], "linf": ["2/255", "20/255"], "model": network()}
    given = usual | {"images": mr.ImageSet.of(X, Y)} | changes
    return mr.audit(given.pop("model"), given.pop("images"), given.pop("attacks"), out=out, **given)


def test_the_same_audit_again_goes_on_and_measures_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = audited(tmp_path / "run")
    module = importlib.import_module("medrobust.auditing.audit")
    monkeypatch.setattr(module, "measure", None)
    again = audited(tmp_path / "run")
    assert again.worst_case == first.worst_case
    assert again.records["prediction"].tolist() == first.records["prediction"].tolist()


CHANGES: dict[str, tuple[dict[str, Any], str]] = {
    "another budget": ({"linf": "4/255"}, "recipe"),
    "another attack": ({"attacks": ["pgd"]}, "recipe"),
    "another number of steps": ({"attacks": {"fgsm": mr.attacks.bim(num_steps=2)}}, "recipe"),
    "another protocol": ({"protocol": "paper"}, "recipe"),
    "another seed": ({"seed": 1}, "recipe"),
    "other weights": ({"model": network(seed=1)}, "model"),
    "other pixels": ({"images": mr.ImageSet.of(X.roll(1, 0), Y)}, "data"),
    "other groups": ({"images": mr.ImageSet.of(X, Y, groups=Y)}, "data"),
    "other classes": ({"images": mr.ImageSet.of(X, Y, classes=["a", "b"])}, "model, data"),
}


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("audit") / "run"
    audited(folder)
    return folder


@pytest.mark.parametrize("change", CHANGES)
def test_an_audit_of_something_else_is_refused(change: str, finished: Path) -> None:
    changes, what = CHANGES[change]
    before = (finished / "audit.json").read_bytes()
    with pytest.raises(UserError, match=f"holds a run of another {what}"):
        audited(finished, **changes)
    assert (finished / "audit.json").read_bytes() == before


def test_batch_size_is_no_other_audit(finished: Path) -> None:
    assert audited(finished, batch_size=5).folder == finished


def test_attacks_of_ones_own_are_told_apart_by_their_numbers(tmp_path: Path) -> None:
    audited(tmp_path / "run", attacks={"mine": OwnAttack(1)}, linf="4/255")
    assert audited(tmp_path / "run", attacks={"mine": OwnAttack(1)}, linf="4/255").records.cells == [("mine", "linf")]
    with pytest.raises(UserError, match="of another recipe"):
        audited(tmp_path / "run", attacks={"mine": OwnAttack(2)}, linf="4/255")


def test_surrogates_are_told_apart_by_their_weights(tmp_path: Path) -> None:
    def over(seed: int) -> dict[str, Any]:
        return {"attacks": {"carried": mr.attacks.transfer(mr.attacks.fgsm(), network(seed=seed))}, "linf": "4/255"}

    audited(tmp_path / "run", **over(1))
    audited(tmp_path / "run", **over(1))
    with pytest.raises(UserError, match="of another recipe"):
        audited(tmp_path / "run", **over(2))


def test_a_stopped_audit_goes_on_where_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    measuring = importlib.import_module("medrobust.measuring.measure")
    monkeypatch.setattr(measuring, "CHUNKS", {"cpu": (4, 2**30)})
    whole = audited(tmp_path / "whole")
    real, calls = measuring._Work.chunk, []

    def stops(*given: Any) -> Any:
        calls.append(given)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return real(*given)

    monkeypatch.setattr(measuring._Work, "chunk", stops)
    with pytest.raises(KeyboardInterrupt):
        audited(tmp_path / "stopped")
    stopped = audited(tmp_path / "stopped")
    assert len(calls) == 3 + 1, "two chunks of three were there"
    for name, column in whole.records.columns.items():
        assert stopped.records[name].tolist() == column.tolist(), name
    assert stopped.worst_case == whole.worst_case


class Interruptible(nn.Module):
    """A network at which Ctrl-C is pressed when it is called for the n-th time."""

    stop_at = 0
    calls = 0

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layers = nn.Sequential(
            nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Dropout(0.2), nn.Flatten(), nn.Linear(144, 2)
        )

    def forward(self, x: Tensor) -> Tensor:
        type(self).calls += 1
        if self.calls == self.stop_at:
            raise KeyboardInterrupt
        return self.layers(x)


@pytest.fixture
def trained() -> Callable[..., tuple[nn.Module, mr.face.TrainRun]]:
    """Trains a fresh copy of the same network; stopped at a forward pass, or to its end."""
    Interruptible.calls = Interruptible.stop_at = 0

    def call(out: Path, stop_at: int = 0, **changes: Any) -> tuple[nn.Module, Any]:
        Interruptible.calls, Interruptible.stop_at = 0, stop_at
        net = Interruptible()
        settings = {"epochs": 3, "batch_size": 8} | changes
        return net, mr.train(net, mr.objectives.trades(mr.Threat("4/255")), tiny_set(40), out=out, **settings)

    return call


def losses(run: mr.face.TrainRun) -> list[dict[str, Any]]:
    """The history without how long each epoch took."""
    return [{name: value for name, value in row.items() if name != "seconds"} for row in run.history]


def test_training_that_was_stopped_ends_with_the_same_weights(trained, tmp_path: Path) -> None:
    net, run = trained(tmp_path / "whole")
    calls = Interruptible.calls
    expected = state_digest(net.state_dict())
    for share in (0.2, 0.5, 0.9):
        folder = tmp_path / f"stopped-{share}"
        with pytest.raises(KeyboardInterrupt):
            trained(folder, stop_at=int(share * calls))
        again, gone_on = trained(folder)
        assert state_digest(again.state_dict()) == expected, f"stopped at {share:.0%}"
        assert losses(gone_on) == losses(run)
        assert Interruptible.calls < calls or share == 0.2, "began from the start"
        for name in ("model.safetensors", "last/model.safetensors"):
            assert (folder / name).read_bytes() == (tmp_path / "whole" / name).read_bytes(), name


def test_finished_training_gives_its_best_weights_to_a_fresh_network(trained, tmp_path: Path) -> None:
    net, run = trained(tmp_path / "run")
    calls = Interruptible.calls
    fresh, again = trained(tmp_path / "run")
    assert Interruptible.calls < calls / 5, "trained again"
    assert state_digest(fresh.state_dict()) == state_digest(net.state_dict())
    assert again.history == run.history
    assert again.best == run.best is not None
    assert not fresh.training


def test_training_of_something_else_is_refused(trained, tmp_path: Path) -> None:
    net, _ = trained(tmp_path / "run", epochs=1)
    with pytest.raises(UserError, match="of another recipe"):
        trained(tmp_path / "run", epochs=2)
    with pytest.raises(UserError, match="of another model"):
        mr.train(copy.deepcopy(net), mr.objectives.trades(mr.Threat("4/255")), tiny_set(40), epochs=1, batch_size=8,
                 out=tmp_path / "run")  # fmt: skip
    with pytest.raises(UserError, match="of another objective"):
        mr.train(Interruptible(), mr.objectives.trades(mr.Threat("4/255"), beta=1.0), tiny_set(40), epochs=1,
                 batch_size=8, out=tmp_path / "run")  # fmt: skip


def test_training_splits_by_group_and_never_looks_at_the_test_images(trained, tmp_path: Path) -> None:
    _, run = trained(tmp_path / "run", epochs=1)
    rows = [line.split(",") for line in (run.folder / "splits.csv").read_text().splitlines()[1:]]
    sides = {}
    for _, group, _, split, *_ in rows:
        assert sides.setdefault(group, split) == split
    assert {"train", "val", "test"} == set(sides.values())
