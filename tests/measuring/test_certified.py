"""Certificates beside attacks: below them always, equal to closed forms, and in words where there are none."""

from __future__ import annotations

import dataclasses
import itertools
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from measuring.toys import EPSILONS, exact_distance, image_set, linear, small_net
from medrobust.attacks import fgsm, pgd
from medrobust.measuring import certified as module
from medrobust.measuring.certified import FILE, VOID, CrossedBoundsError, certified, certify
from medrobust.measuring.measure import measure
from medrobust.measuring.outcome import Grid
from medrobust.measuring.plan import Plan
from medrobust.models import Classifier
from medrobust.models.zoo import build_network
from medrobust.records import Records
from medrobust.records.intervals import Grouping

# As a clock, float stands still: how busy a machine is decides nothing here.


def run(
    model: Classifier, norms: tuple[str, ...] = ("linf",), n: int = 24, epsilons: tuple[float, ...] = EPSILONS
) -> tuple[Records, Plan]:
    plan = Plan({"pgd": pgd(num_steps=5)}, tuple(Grid(norm, epsilons) for norm in norms))
    return measure(model, image_set(n, model.num_classes), plan)[0], plan


def test_of_a_linear_network_the_radius_is_its_distance_from_the_boundary() -> None:
    model, images = linear(), image_set()
    records, plan = run(model)
    found, radii = certify(model, images, records, plan, clock=float)
    x = images.batch(range(24)).x
    with torch.no_grad():
        right = (model(x).argmax(1) == images.labels).tolist()
    distance = exact_distance(model, x).tolist()
    for sample, ok, d in zip(images.samples, right, distance, strict=True):
        radius = radii["linf"][sample.image_id]
        if not ok or d < EPSILONS[0]:
            assert radius is None
        else:
            assert radius == pytest.approx(min(d, EPSILONS[-1]), rel=2e-3)
            assert radius <= d
    groups = Grouping(np.array([sample.group_id for sample in images.samples]))
    for row in found["rows"]:
        wanted = groups.mean(np.array([ok and d > row["epsilon"] for ok, d in zip(right, distance, strict=True)]))
        assert row["certified_accuracy"] == wanted.as_dict()
    assert {row["epsilon"] for row in found["rows"]} >= set(EPSILONS[:2])
    assert "incomplete" in found["words"]
    assert found["num_images"] == 24


def test_certified_accuracy_is_at_most_that_under_attack_in_every_norm() -> None:
    model = small_net()
    records, plan = run(model, ("linf", "l2"), epsilons=(1e-4, 1e-3, 0.01, 0.1))
    found, radii = certify(model, image_set(24, 3), records, plan, clock=float)
    assert {row["norm"] for row in found["rows"]} == {"linf", "l2"}
    for row in found["rows"]:
        worst = records.worst_case(row["norm"])
        attacked = worst.estimates()[worst.epsilons.tolist().index(row["epsilon"])].value
        assert 0 < row["certified_accuracy"]["value"] <= attacked
    for norm, values in radii.items():
        change = records.sensitivity(norm).change_wrong
        assert all(r is None or r < wrong for r, wrong in zip(values.values(), change.tolist(), strict=True))


def test_a_certificate_above_an_attack_stops_everything(tmp_path: Path) -> None:
    model, images = linear(), image_set()
    records, plan = run(model)
    radii = certify(model, images, records, plan, clock=float)[1]["linf"]
    name, radius = next((name, r) for name, r in radii.items() if r)
    lied = {key: column.copy() for key, column in records.columns.items()}
    row = np.flatnonzero((lied["image_id"] == name) & (lied["attack"] == "pgd"))[0]
    lied["prediction"][row], lied["distance"][row] = 1 - lied["label"][row], radius / 2
    with pytest.raises(CrossedBoundsError, match=name):
        certified(tmp_path, model, images, Records(lied), plan)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("last", "words"), [(nn.Identity(), VOID), (nn.GELU(), "gelu at 10 (GELU) is not bounded")], ids=["void", "unknown"]
)
def test_where_nothing_is_certified_there_is_a_reason_and_no_zero(last: nn.Module, words: str) -> None:
    """Ten random layers: bounds widen tenfold in each, and none holds."""
    torch.manual_seed(0)
    layers = [part for _ in range(5) for part in (nn.Linear(16, 16), nn.ReLU())]
    net = nn.Sequential(nn.Flatten(), *layers[:-1], last, nn.Linear(16, 2))
    for parameter in net.parameters():
        parameter.data *= 8
    model = Classifier(net, channels=1, classes=("c0", "c1"))
    records, plan = run(model, n=12)
    found, radii = certify(model, image_set(12), records, plan, clock=float)
    assert found["reason"] == f"no certificate: {words}"
    assert "rows" not in found
    assert radii == {}


def test_a_deep_network_has_no_certificate_and_no_zero() -> None:
    torch.manual_seed(0)
    net = build_network("torchvision:resnet18", num_classes=2, in_channels=1)
    model = Classifier(net, channels=1, classes=("c0", "c1")).eval()
    plan = Plan({"fgsm": fgsm()}, (Grid("linf", (8 / 255,)),))
    images = image_set(4)
    with torch.no_grad():
        said = model(images.batch(range(4)).x).argmax(1).tolist()
    answered = [dataclasses.replace(s, label=y) for s, y in zip(images.samples, said, strict=True)]
    images = images.replace(samples=answered)
    records, _ = measure(model, images, plan)
    assert certify(model, images, records, plan, clock=float)[0] == {
        "method": "interval bounds", "num_images": 4, "reason": f"no certificate: {VOID}",
    }  # fmt: skip


def test_it_gives_up_in_words_when_it_would_take_too_long() -> None:
    model = linear()
    records, plan = run(model)
    slow = itertools.count(step=100.0)
    found, _ = certify(model, image_set(), records, plan, clock=lambda: next(slow))
    assert "would take" in found["reason"]
    assert "rows" not in found


def test_what_a_run_has_certified_is_not_computed_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model, images = linear(), image_set()
    records, plan = run(model)
    found = certified(tmp_path, model, images, records, plan)
    written = json.loads((tmp_path / FILE).read_text(encoding="utf-8"))
    assert written["certified"] == found
    assert len(written["radii"]["linf"]) == 24
    monkeypatch.delattr(module, "certify")
    assert certified(tmp_path, model, images, records, plan) == found
