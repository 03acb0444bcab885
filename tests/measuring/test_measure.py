"""measure: rows that do not depend on batch size, workers or a resume, and inputs that are refused."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from measuring.toys import EPSILONS, exact_distance, image_set, linear, small_net
from medrobust.attacks import bim, ddn, fgsm, fmn, pgd, square
from medrobust.errors import UserError
from medrobust.measuring import measure
from medrobust.measuring.outcome import Grid
from medrobust.measuring.plan import Plan
from medrobust.records import sensitivity
from medrobust.records.curves import correct_under, worst_case

ATTACKS = {"fgsm": fgsm(), "pgd": pgd(num_steps=10), "square": square(num_queries=30)}


def plan(**changes) -> Plan:
    usual = Plan(attacks=ATTACKS, grids=(Grid("linf", EPSILONS),), batch_size=8)
    return dataclasses.replace(usual, **changes)


def same(a, b, but: tuple[str, ...] = ()) -> None:
    assert len(a) == len(b)
    for name in a.columns:
        if name not in but:
            left, right = a[name], b[name]
            if left.dtype.kind == "f":
                assert np.allclose(left, right, atol=1e-5), name
            else:
                assert (left == right).all(), name


def test_batch_size_and_workers_do_not_change_rows(tmp_path: Path) -> None:
    model, images = small_net(), image_set(20, 3)
    first, _ = measure(model, images, plan(batch_size=20), tmp_path / "a" / "parts")
    second, _ = measure(model, images, plan(batch_size=3), tmp_path / "b" / "parts")
    third, _ = measure(model, images, plan(num_workers=1), tmp_path / "c" / "parts")
    same(first, second)
    same(first, third)


def test_order_of_images_does_not_change_rows(tmp_path: Path) -> None:
    model, images = small_net(), image_set(12, 3)
    first, _ = measure(model, images, plan(), tmp_path / "a" / "parts")
    second, _ = measure(model, images.subset(range(11, -1, -1)), plan(), tmp_path / "b" / "parts")
    order = np.lexsort((second["epsilon"], second["attack"].astype(str), second["image_id"].astype(str)))
    usual = np.lexsort((first["epsilon"], first["attack"].astype(str), first["image_id"].astype(str)))
    assert (first["prediction"][usual] == second["prediction"][order]).all()


def test_goes_on_after_finished_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import importlib

    module = importlib.import_module("medrobust.measuring.measure")
    monkeypatch.setattr(module, "CHUNKS", {"cpu": (8, 2**30)})
    model, images = small_net(), image_set(20, 3)
    whole, cost = measure(model, images, plan(), tmp_path / "a" / "parts")
    real, calls = module._Work.chunk, []

    def stops(*args):
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return real(*args)

    monkeypatch.setattr(module._Work, "chunk", stops)
    with pytest.raises(KeyboardInterrupt):
        measure(model, images, plan(), tmp_path / "b" / "parts")
    monkeypatch.setattr(module._Work, "chunk", real)
    resumed, resumed_cost = measure(model, images, plan(batch_size=5), tmp_path / "b" / "parts")
    same(whole, resumed)
    assert cost["backwards"] == resumed_cost["backwards"] == int(whole["backwards"].sum())


def test_honest_counts_wrong_images_and_their_flips(tmp_path: Path) -> None:
    model, images = linear(), image_set(24)
    records, _ = measure(model, images, plan(), tmp_path / "parts")
    clean = records.clean
    wrong = clean["clean_prediction"] != clean["label"]
    assert 0 < wrong.sum() < len(clean)
    found = sensitivity(records, "linf")
    assert (found.epsilon_wrong[wrong] == 0).all()
    assert (found.epsilon_flip[wrong] > 0).all()
    assert (found.epsilon_flip[~wrong] == found.epsilon_wrong[~wrong]).all()
    curve = worst_case(records, "linf")
    assert not curve.envelope[wrong].any()


def test_changes_found_are_continuous_and_at_most_the_budget(tmp_path: Path) -> None:
    model, images = linear(), image_set(24)
    both = {**plan().attacks, "fmn": fmn(num_steps=100)}
    records, _ = measure(model, images, dataclasses.replace(plan(), attacks=both), tmp_path / "parts")
    found = sensitivity(records, "linf")
    x = torch.stack([images[i][0] for i in range(len(images))])
    exact = exact_distance(model, x).detach().numpy()
    within = np.isfinite(found.epsilon_flip)
    assert within.sum() > 5
    assert (found.change_flip <= found.epsilon_flip).all()
    # A pixel in float32 is known to 6e-8.
    assert (found.change_flip[within] >= exact[within] - 1e-7).all()
    assert (found.change_flip[within] <= exact[within] * 1.01).all()
    assert np.isinf(found.change_flip[~within]).all()
    assert (found.change_wrong[records.clean["clean_prediction"] != records.clean["label"]] == 0).all()


def test_worst_case_is_per_image(tmp_path: Path) -> None:
    records, _ = measure(small_net(), image_set(20, 3), plan(), tmp_path / "parts")
    worst = worst_case(records, "linf")
    parts = [correct_under(records, name, "linf").envelope for name in ATTACKS]
    assert (worst.envelope == np.logical_and.reduce(parts)).all()


def test_paper_protocol_attacks_every_image_at_every_budget(tmp_path: Path) -> None:
    images = image_set(10)
    only = plan(attacks={"bim": bim(num_steps=4)}, protocol="paper")
    records, cost = measure(linear(), images, only, tmp_path / "parts")
    assert cost["backwards"] == 4 * len(EPSILONS) * len(images)
    assert (records.where(attack="bim")["backwards"] == 4).all()


def test_minimal_norm_attack_runs_once(tmp_path: Path) -> None:
    images = image_set(10)
    attacks = plan(attacks={"ddn": ddn(num_steps=20)}, grids=(Grid("l2", (0.05, 0.2, 0.8)),))
    records, cost = measure(linear(), images, attacks, tmp_path / "parts")
    assert cost["backwards"] == 20 * len(images)
    assert records.where(attack="ddn")["reached"].any()


class Broken(nn.Module):
    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind = kind

    def forward(self, x):
        z = torch.stack([x.flatten(1).mean(1), 1 - x.flatten(1).mean(1)], 1)
        return z * torch.nan if self.kind == "nan" else z.clamp(0, 1)


@pytest.mark.parametrize(
    ("kind", "said"), [("nan", "not a finite number"), ("probabilities", "model.head=probabilities")]
)
def test_outputs_that_are_not_logits_are_refused(kind: str, said: str, tmp_path: Path) -> None:
    from medrobust.models.classifier import Classifier

    model = Classifier(Broken(kind), classes=["a", "b"], channels=1, spec="toy")
    with pytest.raises(UserError, match=said):
        measure(model, image_set(6), plan(), tmp_path / "parts")
    assert not (tmp_path / "parts").exists()


def test_counts_are_exact(tmp_path: Path) -> None:
    """Rows against a hook that counts what the network is shown."""
    model, images = small_net(), image_set(9, 3)
    seen = {"backward": 0}
    model.network[0].register_full_backward_hook(
        lambda m, i, o: seen.__setitem__("backward", seen["backward"] + len(o[0]))
    )
    only = plan(attacks={"square": ATTACKS["square"], "fgsm": fgsm()})
    _, cost = measure(model, images, only, tmp_path / "parts")
    assert cost["backwards"] == seen["backward"] > 0
