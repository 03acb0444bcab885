"""Everyday faults in an audit: rows, accuracies by hand, the worst case of a family, the report."""

import json

import numpy as np
import pytest
import torch

from medrobust import ImageSet, audit
from medrobust.corruptions import CORRUPTIONS, choose, draws_of, psnr, ssim
from medrobust.errors import UserError
from medrobust.measuring.faults_of_images import DRAWS, NORM, SEARCHED, SEVERITIES, WORST, measure_faults
from medrobust.measuring.outcome import Grid
from medrobust.measuring.plan import Plan
from medrobust.models.classifier import Classifier
from medrobust.recipes.yaml import audit_recipe, read_recipe
from medrobust.records.records import Records


class Brightness(torch.nn.Module):
    """Says class 1 where the mean is above one half."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        lead = 40 * (x.flatten(1).mean(1) - 0.5)
        return torch.stack([-lead, lead], 1)


def image_set(n: int = 20) -> ImageSet:
    g = torch.Generator().manual_seed(0)
    level = torch.linspace(0.2, 0.8, n)
    x = (level[:, None, None, None] + 0.1 * torch.rand(n, 1, 16, 16, generator=g)).clamp(0, 1)
    return ImageSet.of(x, (x.mean((1, 2, 3)) > 0.52).long(), classes=["benign", "malignant"])


def plan(batch_size: int = 7) -> Plan:
    from medrobust.attacks import fgsm

    return Plan({"fgsm": fgsm()}, (Grid("linf", (1 / 255,)),), batch_size=batch_size)


def model() -> Classifier:
    return Classifier(Brightness(), classes=["benign", "malignant"], channels=1, spec="toy")


NAMES = ["brighter", "darker", "gaussian_noise", "rotation", "shift"]


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    folder = tmp_path_factory.mktemp("faults")
    return folder, measure_faults(model(), image_set(), plan(), choose(NAMES), folder)


def test_accuracy_is_that_counted_by_hand(measured):
    _, said = measured
    images = image_set()
    x, y = images.batch(range(len(images))).x, images.labels
    for row in said["rows"]:
        one = CORRUPTIONS[row["corruption"]]
        changed = one(x, row["severity"], draws_of(x))
        right = ((changed.mean((1, 2, 3)) > 0.5).long() == y).double()
        assert row["accuracy"]["value"] == pytest.approx(float(right.mean()), abs=1e-6)
        mse = float((10 ** (-psnr(x, changed) / 10)).mean())
        assert row["equal_epsilon"] == pytest.approx(mse**0.5, rel=1e-5)
        assert row["psnr"] == pytest.approx(-10 * np.log10(mse), abs=1e-3)
        assert row["ssim"] == pytest.approx(float(ssim(x, changed).mean()), abs=1e-4)
        assert row["parameter"] == pytest.approx(one.parameter(row["severity"]))
    assert len(said["rows"]) == len(NAMES) * len(SEVERITIES)
    assert said["clean"]["value"] < 1  # some are wrong untouched, and stay so in every worst case


def test_the_worst_case_is_found_by_hand_and_never_above_a_member(measured):
    folder, said = measured
    images = image_set()
    x, y = images.batch(range(len(images))).x, images.labels
    records = Records.read(folder / "corruptions.parquet")
    for family, names in (
        ("light", ["brighter", "darker"]),
        ("noise", ["gaussian_noise"]),
        ("geometry", ["rotation", "shift"]),
    ):
        lost = (x.mean((1, 2, 3)) > 0.5).long() != y
        for severity in SEARCHED:
            for name in names:
                one = CORRUPTIONS[name]
                assert one.num_draws == {"brighter": 1, "darker": 1, "rotation": 2}.get(name, DRAWS)
                for number in range(one.num_draws):
                    lost |= (one(x, severity, draws_of(x), number=number).mean((1, 2, 3)) > 0.5).long() != y
            found = [
                r["accuracy"]["value"] for r in said["worst"] if (r["family"], r["severity"]) == (family, severity)
            ]
            assert found in ([], [pytest.approx(float((~lost).double().mean()), abs=1e-6)])
            if found:
                reached = records.where(attack=WORST + family, epsilon=severity)["reached"]
                assert reached.tolist() == lost.tolist()
                members = [r for r in said["rows"] if (r["family"], r["severity"]) == (family, severity)]
                assert all(found[0] <= r["accuracy"]["value"] + 1e-9 for r in members)
    assert any(
        r["accuracy"]["value"] < min(m["accuracy"]["value"] for m in said["rows"] if m["family"] == r["family"])
        for r in said["worst"]
    )  # the search finds more than its members


def test_rows_are_those_of_any_attack(measured):
    folder, said = measured
    records = Records.read(folder / "corruptions.parquet")
    titles = {attack for attack, norm in records.cells if norm == NORM}
    assert titles == {*NAMES, *(WORST + family for family in ("noise", "light", "geometry"))}
    assert len(records) == 20 * (1 + 8 * len(SEVERITIES))
    curve = next(curve for curve in records.curves(NORM) if curve.attack == "worst_light")
    expected = [r["accuracy"]["value"] for r in said["worst"] if r["family"] == "light"]
    assert curve.correct.mean(0).tolist() == pytest.approx(expected, abs=1e-6)
    together = records.worst_case(NORM).correct.mean(0)
    assert (together <= curve.correct.mean(0)).all()
    wrong = records["prediction"] != records["label"]
    assert wrong.tolist() == records["reached"].tolist()


def test_batches_and_a_second_look_change_nothing(measured):
    folder, said = measured
    assert measure_faults(model(), image_set(), plan(20), choose(NAMES)) == said
    calls = []
    again = measure_faults(model(), image_set(), plan(), choose(NAMES), folder, lambda *told: calls.append(told))
    assert again == json.loads(json.dumps(said))
    assert calls == []


def test_an_audit_says_what_was_tested(tmp_path):
    run = audit(
        Brightness(), image_set(), ["fgsm"], linf=["1/255", "8/255"], out=tmp_path / "run",
        corruptions=["brighter", "crop"],
    )  # fmt: skip
    assert run.content["corruptions"]["names"] == ["brighter", "crop"]
    page = run.report.read_text()
    assert "tested, 5 severities each: brighter and crop" in page
    assert "Attack of equal PSNR" in page
    assert "Only the norms" not in page
    assert {r["norm"] for r in run.content["curve"]} == {"linf"}  # curves of the attacks are as they were
    assert not Records.read(tmp_path / "run" / "records.parquet").where(norm=NORM)["image_id"].size
    with pytest.raises(UserError, match="unknown corruption"):
        audit(Brightness(), image_set(), ["fgsm"], linf="1/255", out=tmp_path / "no", corruptions="blurr")
    assert not (tmp_path / "no").exists()


def test_the_key_of_a_recipe():
    found = [
        audit_recipe(read_recipe(None, [f"corruptions={text}"])).corruptions for text in ("ct", "[ct,jpeg]", "off")
    ]
    assert found == [("ct",), ("ct", "jpeg"), ()]
    assert audit_recipe({}).corruptions == ()
