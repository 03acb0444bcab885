"""What survives saving is what a file can hold: one stored unit over the width shown, whatever the file."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from medrobust.attacks import pgd
from medrobust.auditing.summary import source_units, summarize
from medrobust.data import ImageSet, Sample, View
from medrobust.data.files.pixels import Pixels
from medrobust.goals import Goal
from medrobust.measuring.measure import measure
from medrobust.measuring.outcome import Grid
from medrobust.measuring.plan import Plan
from medrobust.measuring.subjects import units_of
from medrobust.measuring.verify import stored, verify
from medrobust.models.classifier import Classifier
from medrobust.threat import Threat

HU = np.random.default_rng(0).integers(-100, 180, (1, 12, 12)).astype(np.int16)
GREY = np.random.default_rng(1).integers(20, 200, (1, 12, 12))
CT = {"bits": 16, "low": -1024.0, "high": 3071.0, "unit": "HU"}
PLAIN, WINDOW = View(color="grey"), View(window=(40, 400), color="grey")


def image(pixels: Pixels, view: View | None = None) -> ImageSet:
    """One image that a file of these pixels would give."""
    return ImageSet("one", ["a", "b"], [Sample("x", None, 0, "x")], view=view or PLAIN, decode=lambda _: pixels)


def brighter(x: Tensor, by: float) -> Callable[[Tensor], Tensor]:
    """Class 1 where the mean is more than `by` above that of x."""
    mean = x.double().mean() + by

    def model(shown: Tensor) -> Tensor:
        z = (shown.double().flatten(1).mean(1) - mean) * 1e4
        return torch.stack([-z, z], 1).float()

    return model


FILES = {
    "8 bit": (Pixels(GREY.astype(np.uint8)), PLAIN, 1 / 255, 1.0),
    "16 bit": (Pixels((GREY * 257).astype(np.uint16), 16, 0.0, 65535.0), PLAIN, 1 / 65535, 257.0),
    "12 bit": (Pixels((GREY * 16).astype(np.uint16), 12, 0.0, 4095.0), PLAIN, 1 / 4095, 4095 / 255),
    "CT in a window": (Pixels(HU, **CT), WINDOW, 1 / 400, 400 / 255),
    "CT, half HU": (Pixels(HU / 2, **CT, step=0.5), WINDOW, 1 / 800, 800 / 255),
    "MONOCHROME1 in a window": (Pixels(HU, **CT, inverted=True), WINDOW, 1 / 400, 400 / 255),
    "a window between two HU": (Pixels(HU, **CT), View(window=(40.25, 400), color="grey"), 1 / 400, 400 / 255),
}


@pytest.mark.parametrize("name", FILES)
def test_less_than_half_a_unit_vanishes_and_more_is_a_whole_one(name: str) -> None:
    pixels, view, unit, levels = FILES[name]
    images = image(pixels, view)
    x, units = images[0][0][None], units_of(images, [0])
    assert float(units[0, 0]) == pytest.approx(unit)
    model, goal = brighter(x, 0.2 * unit), Goal(torch.tensor([0]), False)
    for size, survives in ((0.3, False), (0.45, False), (0.7, True), (1.0, True)):
        found = verify(model, x + size * unit, Threat(size * unit).around(x), goal, units)
        assert (bool(found.reached), bool(found.survives)) == (True, survives), size
        moved = (stored(x + size * unit, units, (0.0, 1.0)) - x).flatten()
        assert moved.numpy() == pytest.approx(np.full(144, survives * unit), abs=2e-5)
    assert torch.allclose(stored(x, units, (0.0, 1.0)), x, atol=1e-5)
    assert 1 / 255 / float(units[0, 0]) == pytest.approx(levels)


def test_an_inverted_image_is_rounded_to_the_same_hu() -> None:
    """Shown as 1 - x: what is saved is a whole HU again, also where the window ends between two."""
    view = View(window=(40.25, 400), color="grey")
    for inverted in (False, True):
        images = image(Pixels(HU, **CT, inverted=inverted), view)
        x, units = images[0][0][None], units_of(images, [0])
        shown = stored(x + 0.0031, units, (0.0, 1.0))[0].double().numpy()
        hu = (1 - shown if inverted else shown) * 400 + 40.25 - 200
        assert np.abs(hu - hu.round()).max() < 1e-3
        assert (hu.round() == HU + (-1 if inverted else 1)).all()  # 1.24 HU are one


def test_floating_point_is_not_rounded() -> None:
    images = image(Pixels(np.float32(GREY / 255), 32, 0.0, 1.0, "float"))
    x, units = images[0][0][None], units_of(images, [0])
    assert units.tolist() == [[0.0, 0.0]]
    assert stored(x + 1e-7, units, (0.0, 1.0)).equal(x + 1e-7)
    goal = Goal(torch.tensor([0]), False)
    found = verify(brighter(x, 2e-6), x + 1e-5, Threat(1e-5).around(x), goal, units)
    assert (bool(found.reached), bool(found.survives)) == (True, True)


def test_a_stretched_set_has_larger_steps() -> None:
    """data.scale=set shows 40 to 240 of 255 grey levels as 0 to 1: a stored unit is 1/200."""
    values = [np.array([[[40, 100], [240, 160]]], np.uint8), np.array([[[90, 90], [91, 140]]], np.uint8)]
    samples = [Sample(f"{i}", None, i, f"{i}", "train", frame=i) for i in range(2)]
    view = View(scale="set", color="grey")
    images = ImageSet("two", ["a", "b"], samples, view=view, decode=lambda sample: Pixels(values[sample.frame]))
    units = units_of(images, range(2))
    assert units.numpy() == pytest.approx(np.array([[1 / 200, 0]] * 2), abs=1e-6)
    x = torch.stack([images[i][0] for i in range(2)])
    assert x[0].flatten().tolist() == pytest.approx([0, 0.3, 1, 0.6], abs=1e-6)
    assert torch.allclose(stored(x + 0.002, units, (0.0, 1.0)), x, atol=1e-6)
    assert torch.allclose(stored(x + 0.003, units, (0.0, 1.0)), (x + 0.005).clamp(max=1), atol=1e-6)


def test_images_of_one_set_have_units_of_their_own() -> None:
    files = [FILES["8 bit"][0], FILES["16 bit"][0], Pixels(np.float32(GREY / 255), 32, 0.0, 1.0, "grey level")]
    samples = [Sample(f"{i}", None, i % 2, f"{i}", frame=i) for i in range(3)]
    images = ImageSet("three", ["a", "b"], samples, view=PLAIN, decode=lambda sample: files[sample.frame])
    units = units_of(images, range(3))
    assert units[:, 0].tolist() == pytest.approx([1 / 255, 1 / 65535, 0])
    x = torch.stack([images[i][0] for i in range(3)])
    moved = (stored(x + 1e-4, units, (0.0, 1.0)) - x).flatten(1).mean(1)
    assert moved.tolist() == pytest.approx([0, 7 / 65535, 1e-4], abs=1e-6)  # 6.55 units are seven
    found = source_units(images, [1 / 255])
    assert found["bits"] == [8, 16, 32]
    assert found["resolutions"] == pytest.approx([0, 1 / 65535, 1 / 255])


@pytest.mark.parametrize("domain", [(0.0, 1.0), (-1.0, 1.0)])
def test_color_images_of_8_bits_are_rounded_bit_for_bit_as_before(domain: tuple[float, float]) -> None:
    """The formula of 8 bits: the nearest of k / 255."""
    low, high = domain
    x = torch.rand(2, 3, 40, 40) * (high - low) + low
    x[0] = (torch.randint(0, 255, (3, 40, 40)) + 0.5) / 255 * (high - low) + low  # ties
    units = torch.tensor([[1 / 255, 0.0]] * 2, dtype=torch.float64)
    expected = ((((x.double() - low) / (high - low)) * 255).round() / 255 * (high - low) + low).float()
    assert stored(x, units, domain).equal(expected)


class Mean(nn.Module):
    """Class 1 where the mean of a windowed CT is above `at` HU."""

    def __init__(self, at: float) -> None:
        super().__init__()
        self.slope, self.at = nn.Parameter(torch.tensor(2e3)), (at + 160) / 400

    def forward(self, x: Tensor) -> Tensor:
        z = self.slope * (x.flatten(1).double().mean(1) - self.at).float()
        return torch.stack([-z, z], 1)


def test_a_ct_audit_says_what_saving_whole_hu_leaves() -> None:
    """Means from 0.2 to 4.2 HU below and above the boundary; the strongest change of b HU moves each by round(b)."""
    rng = np.random.default_rng(3)
    means = np.concatenate([-np.arange(5) - 0.25, np.arange(5) + 0.25])
    volumes = [rng.integers(-50, 90, (1, 8, 8)) for _ in means]
    for values, mean in zip(volumes, means, strict=True):
        missing = round(64 * mean) - int(values.sum())  # a whole number of HU
        values += missing // 64
        values.reshape(-1)[: missing % 64] += 1
    assert [v.mean() for v in volumes] == means.tolist()
    samples = [Sample(f"{i}", None, int(i > 4), f"p{i}", frame=i) for i in range(10)]
    files = [Pixels(v.astype(np.int16), **CT) for v in volumes]
    images = ImageSet("ct", ["a", "b"], samples, view=WINDOW, decode=lambda sample: files[sample.frame])
    model = Classifier(Mean(0.0), channels=1, classes=images.classes)
    hu = (0.1, 0.4, 1.0, 2.0, 4.0)
    grid = Grid("linf", tuple(h / 400 for h in hu))
    records, _ = measure(model, images, Plan({"pgd": pgd(num_steps=10)}, (grid,), precision="float32"))
    source = source_units(images, list(grid.epsilons))
    found = summarize(records, classes=images.classes, positive=1, grids=(grid,), resolutions=source["resolutions"])
    expected = {
        part: [np.mean([abs(mean) > move(h) for mean in means]) for h in hu]
        for part, move in (("worst_case", float), ("stored", round))
    }
    for part, values in expected.items():
        assert [p["robust_accuracy"]["value"] for p in found[part]] == pytest.approx(values), part
    assert [b["grey_levels"] for b in found["threat"]["budgets"]] == list(hu)
    assert (source["words"], source["step"]) == ("1/255 is 1.569 HU of the file", [1.0])
