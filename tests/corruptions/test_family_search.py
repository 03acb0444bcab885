"""The worst case over a family of corruptions as an attack: exact over its set, monotone, judged by making it again."""

import itertools
import json

import numpy as np
import pytest
import torch
from torch import Tensor

from medrobust import ImageSet, audit, measure
from medrobust.attacks import pgd, restarts, worst_corruption
from medrobust.corruptions import CORRUPTIONS, FAMILIES, draws_of
from medrobust.engine.count import Counted
from medrobust.errors import UserError
from medrobust.measuring.faults_of_images import NORM, SEVERITIES, WORST
from medrobust.numbers import FAMILIES as NAMES
from medrobust.recipes.yaml import audit_recipe, read_recipe, train_recipe
from medrobust.records.records import Records
from medrobust.resolve import make_threat
from medrobust.threat import Threat

GEOMETRY = ("rotation", "shift", "crop")


class Corner(torch.nn.Module):
    """Class 1 where the upper left quarter is brighter than the rest: geometry moves it, light hardly does."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = 0

    def forward(self, x: Tensor) -> Tensor:
        self.asked += len(x)
        lead = 30 * (x[..., :8, :8].flatten(1).mean(1) - x[..., 8:, 8:].flatten(1).mean(1))
        return torch.stack([-lead, lead], 1)


def image_set(n: int = 24) -> ImageSet:
    """Grey noise with a bright blob on the diagonal: at its middle in the first image, far from it in the last."""
    g = torch.Generator().manual_seed(3)
    x, at = 0.2 * torch.rand(n, 1, 16, 16, generator=g), torch.linspace(0.5, 2.6, n)
    rows = torch.arange(16.0) - 7.5
    sign = torch.where(torch.arange(n) % 2 == 0, 1.0, -1.0)
    middle = (sign * at)[:, None]
    bump = torch.exp(-((rows[None] + middle) ** 2) / 8)
    x[:, 0] += 0.8 * bump[:, :, None] * bump[:, None, :]
    x = x.clamp(0, 1)
    return ImageSet.of(x, (Corner()(x).argmax(1)).long(), classes=["benign", "malignant"])


def tensors() -> tuple[Tensor, Tensor]:
    images = image_set()
    return images.batch(range(len(images))).x, images.labels


def by_hand(x: Tensor, y: Tensor, names: tuple[str, ...], severity: float) -> Tensor:
    """(n,) the least severity, up to one, at which any corruption misleads; inf where none does."""
    least = torch.full((len(x),), torch.inf, dtype=torch.float64)
    for name, k in itertools.product(names, range(1, int(2 * severity) + 1)):
        for number in range(CORRUPTIONS[name].num_draws):
            lost = Corner()(CORRUPTIONS[name](x, k / 2, draws_of(x), number=number)).argmax(1) != y
            least = torch.where(lost, least.clamp_max(k / 2), least)
    return least


def test_the_names_of_families_are_those_of_the_corruptions():
    assert set(NAMES) == {one.family for one in CORRUPTIONS.values()} | {"everyday"}
    assert {one for family in FAMILIES.values() for one in family.members} == set(CORRUPTIONS.values())
    assert FAMILIES["everyday"].members == tuple(CORRUPTIONS.values())


def test_the_search_finds_what_loops_of_their_own_find():
    x, y = tensors()
    expected = by_hand(x, y, GEOMETRY, 5)
    assert torch.isfinite(expected).any()  # some fall
    assert torch.isinf(expected).any()  # some stand
    assert len(expected[torch.isfinite(expected)].unique()) > 3
    found = worst_corruption()(Corner(), x, y, Threat(5, norm="geometry"))
    ball = Threat(5, norm="geometry").around(x)
    assert torch.equal(ball.distance(found), torch.where(torch.isinf(expected), 0, expected))
    assert torch.equal(Corner()(found).argmax(1) != y, torch.isfinite(expected))


def test_severity_zero_is_the_image_bit_for_bit():
    x, y = tensors()
    for name in FAMILIES:
        assert torch.equal(worst_corruption()(Corner(), x, y, Threat(0, norm=name)), x)
        assert bool(Threat(0, norm=name).exact(x).contains(x).all())


def test_what_a_budget_allows_is_made_again_and_nothing_else_is():
    x = tensors()[0][::6]
    wide = 4 * x - 1
    for family, domain, start in (("scanner", (0.0, 1.0), x), ("light", (-1.0, 3.0), wide), ("geometry", (0, 1), x)):
        for one, severity in zip(FAMILIES[family].members, (1.0, 2.5, 4.0, 0.5, 5.0, 3.0), strict=False):
            number = one.num_draws - 1
            made = one(start, severity, draws_of(start), domain, number)
            ball = Threat(severity, norm=family, domain=domain).exact(start)
            assert (ball.distance(made) <= severity).all(), one.name
            assert torch.allclose(ball.round_inside(made), made, atol=1e-5), one.name
            changed = (made - start).abs().flatten(1).amax(1) > 0.01
            below = Threat(severity - 0.5, norm=family, domain=domain).exact(start)
            if one.name == "marker":  # whose arms are whole pixels, of which there are few
                continue
            assert not below.contains(made)[changed].any(), one.name
            assert torch.equal(below.round_inside(made)[changed], start[changed]), one.name
    forged = x.clone()
    forged[:, :, 3, 3] = 1 - forged[:, :, 3, 3]
    ball = Threat(5, norm="geometry").exact(x)
    assert torch.isinf(ball.distance(forged)).all()
    assert torch.equal(ball.round_inside(forged), x)


def test_draws_lie_apart():
    x, _ = tensors()
    turned = [CORRUPTIONS["rotation"](x, 3, draws_of(x), number=k) for k in range(2)]
    assert not any(torch.allclose(a, b, atol=1e-3) for a, b in zip(*turned, strict=True))  # both ways
    again = CORRUPTIONS["rotation"](x, 3, draws_of(x), number=2)
    assert torch.equal(again, turned[0])  # which is why only two are searched
    marks = torch.stack([CORRUPTIONS["marker"](x, 5, draws_of(x), number=k) for k in range(4)])
    corners = marks[:, :, 0][..., [3, 3, 12, 12], [3, 12, 3, 12]] == 1  # every corner once, of every image
    assert (corners.sum(-1) >= 1).all()
    assert corners.any(0).all()
    shifts = torch.stack([CORRUPTIONS["gaussian_noise"](x, 3, draws_of(x), number=k) for k in range(4)])
    assert all(not torch.equal(a, b) for a, b in itertools.combinations(shifts, 2))


def test_batches_order_and_seed_change_nothing():
    images, severities = image_set().subset(range(2, 24, 3)), {"geometry": [1, 2.5, 5], "noise": [2]}
    runs = [
        measure(Corner(), images, ["worst_corruption"], families=severities, batch_size=size, seed=seed)
        for size, seed in ((3, 0), (24, 7))
    ]
    turned = measure(Corner(), images.subset(range(7, -1, -1)), ["worst_corruption"], families=severities)
    for column in ("reached", "prediction", "distance", "forwards"):
        assert runs[0][column].tolist() == runs[1][column].tolist(), column
        for attack, norm in runs[0].cells:
            expected = runs[0].matrix(attack, norm, column)[1]
            assert np.array_equal(turned.matrix(attack, norm, column)[1][::-1], expected), column


def test_a_worst_case_is_never_above_a_member_and_falls():
    attacks = {"worst": "worst_corruption"} | {
        name: {"name": "worst_corruption", "only": [name]} for name in ("rotation", "shift", "crop")
    }
    records = measure(Corner(), image_set(), attacks, families={"geometry": [0.5, 1, 2, 3, 4, 5]})
    curves = {curve.attack: curve.correct for curve in records.curves("geometry")}
    for name in GEOMETRY:
        assert (curves["worst"] <= curves[name]).all()  # image by image
        assert (np.diff(curves[name].astype(int), axis=1) <= 0).all()
    assert (curves["worst"] == np.logical_and.reduce([curves[name] for name in GEOMETRY])).all()
    assert any((curves["worst"].mean(0) < curves[name].mean(0)).any() for name in GEOMETRY)
    x, y = tensors()
    for name, severity in itertools.product(GEOMETRY, (1.0, 3.0, 5.0)):  # the corruption itself, as everyday faults are
        right = Corner()(CORRUPTIONS[name](x, severity, draws_of(x))).argmax(1) == y
        column = [0.5, 1, 2, 3, 4, 5].index(severity)
        assert (curves["worst"][:, column] <= right.numpy()).all()


def test_forwards_are_those_that_the_model_was_shown():
    x, y = tensors()
    model = Corner()
    counted = Counted(model, len(x))
    worst_corruption()(counted, x, y, Threat(5, norm="geometry"))
    assert int(counted.forwards.sum()) == model.asked
    least = by_hand(x, y, GEOMETRY, 5)
    each = 2 + 4 + 4  # draws of the three at a severity
    assert (counted.forwards[torch.isinf(least)] == 1 + 10 * each).all()
    fell = torch.isfinite(least)
    k = 2 * least[fell]
    assert ((counted.forwards[fell] > 1 + (k - 1) * each) & (counted.forwards[fell] <= 1 + k * each)).all()
    records = measure(Corner(), image_set(), ["worst_corruption"], families={"geometry": [2, 5]})
    assert records.matrix("worst_corruption", "geometry", "forwards")[1].sum(1).tolist() == counted.forwards.tolist()
    assert records["backwards"].sum() == 0


def test_an_audit_has_it_in_rows_curve_worst_case_and_report(tmp_path):
    run = audit(
        Corner(), image_set(), ["fgsm", "worst_corruption"], linf=["1/255", "8/255"],
        families={"geometry": [1, 2, 3, 4, 5]}, corruptions=GEOMETRY, out=tmp_path / "run",
    )  # fmt: skip
    x, y = tensors()
    least = by_hand(x, y, GEOMETRY, 5)
    expected = [float((least > severity).double().mean()) for severity in SEVERITIES]
    worst = [row for row in run.content["worst_case"] if row["norm"] == "geometry"]
    assert [row["robust_accuracy"]["value"] for row in worst] == pytest.approx(expected, abs=1e-5)
    assert {(row["attack"], row["norm"]) for row in run.content["curve"]} == {
        ("fgsm", "linf"), ("worst_corruption", "geometry"),
    }  # fmt: skip
    # What the everyday faults of the same run say of the family, counted by other code, is the same.
    faults = Records.read(tmp_path / "run" / "corruptions.parquet").matrix(WORST + "geometry", NORM, "reached")[1]
    assert faults.tolist() == run.records.matrix("worst_corruption", "geometry", "reached")[1].tolist()
    audited = json.loads((tmp_path / "run" / "audit.json").read_text())
    assert audited["threat"]["budgets"][-1] == {"norm": "geometry", "epsilon": 5.0, "text": "severity 5"}
    assert not any("geometry, contrast" in sentence for sentence in audited["not_tested"])
    page = run.report.read_text()
    assert "Severity of rotation, shift and crop, from 0 to 5" in page
    assert "severity 3 (geometry)" in page
    assert "GEOMETRY" not in page
    assert "Changes measured by the severity of rotation, shift and crop (geometry)" in page


def test_a_family_alone_says_which_checks_need_a_norm(tmp_path):
    run = audit(Corner(), image_set(), families={"geometry": [2, 4]}, out=tmp_path / "run")  # the standard set
    assert {row["attack"] for row in run.content["curve"]} == {"worst_corruption"}
    said = {row["id"]: row for row in run.content["findings"]}
    for name in ("active-test", "closed-form", "convergence", "black-box", "finite"):
        assert (said[name]["severity"], "no norm was measured" in said[name]["evidence"]) == ("not_run", True), name
    assert run.content["quotable"]["value"] == "no"
    assert "no certificate" in run.content["certified"]["reason"]


def test_the_protocol_of_papers_gives_the_same_rows():
    rows = [
        measure(Corner(), image_set(), ["worst_corruption"], families={"geometry": [1, 3, 5]}, protocol=protocol)
        for protocol in ("honest", "paper")
    ]
    for column in ("prediction", "distance"):
        assert rows[0][column].tolist() == rows[1][column].tolist()


def test_restarts_of_it_stay_in_its_families():
    assert restarts(worst_corruption(only="rotation"), 2).abilities.norms == ("geometry", "everyday")


def refused(overrides: list[str]) -> str:
    with pytest.raises(UserError) as told:
        audit_recipe(read_recipe(None, overrides)).threat.grids()
    return str(told.value)


def test_what_cannot_be_is_refused_in_one_line():
    x, y = tensors()
    assert "2.7 is no severity of geometry" in refused(["threat.norm=geometry", "threat.epsilons=2.7"])
    assert "6 is no severity of blur" in refused(["threat.norm=blur", "threat.epsilons=[1,6]"])
    assert "takes no mask" in refused(["threat.norm=blur", "threat.mask=lesion"])
    with pytest.raises(ValueError, match="takes no mask"):
        Threat(1, norm="blur", mask=torch.ones(1, 1, 16, 16, dtype=torch.bool))
    with pytest.raises(ValueError, match="severity 8 is above 5"):
        Threat(8, norm="blur")
    with pytest.raises(ValueError, match="search it with worst_corruption"):
        Threat(1, norm="blur").around(x).project(x)
    with pytest.raises(ValueError, match="not for linf"):
        worst_corruption()(Corner(), x, y, Threat(0.1))
    with pytest.raises(ValueError, match="not for blur"):
        worst_corruption(only=["rotation"])(Corner(), x, y, Threat(1, norm="blur"))
    with pytest.raises(ValueError, match="did you mean 'rotation'"):
        worst_corruption(only="rotaton")
    with pytest.raises(ValueError, match="corruptions take images"):
        worst_corruption()(lambda x: x[:, 0, :2], torch.rand(2, 1, 9), y[:2] * 0, Threat(1, norm="blur"))
    with pytest.raises(UserError, match="not made for geometry"):
        measure(Corner(), image_set(), [pgd()], families={"geometry": [1]})
    with pytest.raises(UserError, match="not made for linf"):
        measure(Corner(), image_set(), ["worst_corruption"], linf=["1/255"])
    with pytest.raises(UserError, match="none is made for linf"):
        measure(Corner(), image_set(), ["worst_corruption"], linf=["1/255"], families={"geometry": [1]})
    with pytest.raises(UserError, match=r"unknown family 'geometri'.*Did you mean 'geometry'"):
        measure(Corner(), image_set(), ["worst_corruption"], families={"geometri": [1]})
    given = train_recipe({"model": {"name": "zoo:cbr_tiny"}, "threat": {"norm": "geometry", "epsilon": 2}})
    with pytest.raises(UserError, match="Training takes linf, l2 or l1"):
        make_threat(given.threat)
