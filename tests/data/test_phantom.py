"""Phantom images: reproducible, independent of order, split by patient, and with classes that differ but overlap."""

from __future__ import annotations

import pickle
from collections import Counter, defaultdict
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from medrobust.data import View, batches, open_images
from medrobust.data.phantom.cases import MODALITIES, describe, open_phantom, render
from medrobust.errors import UserError

modalities = pytest.mark.parametrize("modality", sorted(MODALITIES))


@modalities
def test_an_image_depends_on_modality_seed_and_index_alone(modality: str) -> None:
    indices = list(range(6))
    forward = {i: render(describe(modality, 1, i), 32) for i in indices}
    with ThreadPoolExecutor(3) as pool:
        again = dict(
            zip(indices[::-1], pool.map(lambda i: render(describe(modality, 1, i), 32), indices[::-1]), strict=True)
        )
    for i in indices:
        np.testing.assert_array_equal(forward[i], again[i])
    few, many = open_phantom(f"{modality}@32,count=40,seed=1"), open_phantom(f"{modality}@32,count=80,seed=1")
    assert few.samples == many.samples[:40]
    assert (few[5][0] == many[5][0]).all()


@modalities
def test_every_index_and_seed_gives_another_image(modality: str) -> None:
    images = [render(describe(modality, seed, i), 16) for seed in (0, 1) for i in range(4)]
    assert len({image.tobytes() for image in images}) == 8


@modalities
def test_values_are_8_bit_and_use_the_range(modality: str) -> None:
    images = open_phantom(f"{modality}@32,count=40")
    color = modality == "dermoscopy"
    x = np.stack([images.replace(view=View(color="rgb" if color else "grey"))[i][0].numpy() for i in range(8)])
    assert x.shape == (8, 3 if color else 1, 32, 32)
    assert x.dtype == np.float32
    assert x.min() >= 0
    assert x.max() <= 1
    np.testing.assert_array_equal(np.rint(x * 255) / np.float32(255), x)
    assert images.bit_depth(0) == 8
    assert 0.1 < x.mean() < 0.75
    assert x.std(axis=(1, 2, 3)).min() > 0.04


def test_ct_values_are_hounsfield_units_and_take_a_window() -> None:
    images = open_phantom("ct@32,count=40")
    assert (images.source(0).low, images.source(0).high, images.source(0).unit) == (-1000.0, 400.0, "HU")
    soft = images.replace(view=View(window=(0.0, 400.0)))
    shown = np.clip((images[1][0].numpy() * 1400 - 1000 + 200) / 400, 0, 1)
    np.testing.assert_allclose(soft[1][0].numpy(), shown, atol=0.51 / 255)


@pytest.mark.parametrize("size", [16, 28, 100, 160])
def test_any_size_is_drawn(size: int) -> None:
    image = render(describe("ultrasound", 0, 2), size)
    assert image.shape == (size, size)
    assert image.dtype == np.uint8


@modalities
def test_splits_have_their_sizes_and_no_patient_is_in_two(modality: str) -> None:
    images = open_phantom(modality)
    sizes = Counter(sample.split for sample in images.samples)
    assert sizes == {"train": 600, "val": 120, "test": 240}
    malignant = Counter(sample.split for sample in images.samples if sample.label)
    assert malignant == {"train": 240, "val": 48, "test": 96}
    groups: dict[str, list] = defaultdict(list)
    for sample in images.samples:
        groups[sample.group_id].append(sample)
    assert Counter(map(len, groups.values())) == {1: 480, 2: 240}
    for members in groups.values():
        assert len({(s.split, s.label, tuple(s.metadata.items())) for s in members}) == 1
    assert len({sample.image_id for sample in images.samples}) == 960


def test_the_smallest_set_has_both_classes_in_every_split() -> None:
    images = open_phantom("ultrasound,count=40")
    assert {(s.split, s.label) for s in images.samples} == {(p, k) for p in ("train", "val", "test") for k in (0, 1)}


@modalities
def test_metadata_makes_subgroups(modality: str) -> None:
    test = open_phantom(modality).with_split("test")
    ages = {label: [s.metadata["age"] for s in test.samples if s.label == label] for label in (0, 1)}
    assert all(isinstance(age, float) and 10 <= age <= 90 for both in ages.values() for age in both)
    assert np.mean(ages[1]) > np.mean(ages[0]) + 3
    for key in set(test.samples[0].metadata) - {"age"}:
        counts = Counter(sample.metadata[key] for sample in test.samples)
        assert len(counts) > 1, key
        assert min(counts.values()) >= 5, counts


def area_under_curve(scores: list[float], labels: list[int]) -> float:
    ranked = list(zip(scores, labels, strict=True))
    return float(np.mean([(a > b) + 0.5 * (a == b) for a, i in ranked if i for b, j in ranked if not j]))


def shadow(x: np.ndarray) -> float:
    """How dark the middle columns are below the lesion, against the sides."""
    low = x[20:28, :, 0].astype(float)
    column = np.argmin(np.convolve(x[10:18, :, 0].mean(0), np.ones(5) / 5, mode="same")[6:26]) + 6
    return float(np.delete(low, slice(column - 2, column + 3), axis=1).mean() - low[:, column - 2 : column + 3].mean())


def bulk(x: np.ndarray) -> float:
    """How much tissue there is around the center."""
    return float(x[8:24, 8:24, 0].mean())


def colors(x: np.ndarray) -> float:
    """How much hue varies in the center."""
    center = x[8:24, 8:24].astype(float) + 20
    return float(np.log(center[..., 0] / center[..., 2]).std() + np.log(center[..., 0] / center[..., 1]).std())


@pytest.mark.parametrize(("modality", "sign"), [("ultrasound", shadow), ("ct", bulk), ("dermoscopy", colors)])
def test_one_sign_tells_the_classes_apart_but_not_always(modality: str, sign) -> None:
    cases = [describe(modality, 2, i) for i in range(100)]
    scores = [sign(np.atleast_3d(render(case, 32))) for case in cases]
    assert 0.65 < area_under_curve(scores, [case.label for case in cases]) < 0.99


@modalities
def test_signs_of_the_classes_overlap(modality: str) -> None:
    cases = [describe(modality, 0, i) for i in range(0, 2000, 4)]
    means = {label: np.array([np.mean(c.features) for c in cases if c.label == label]) for label in (0, 1)}
    assert means[0].mean() < 0.35 < 0.65 < means[1].mean()
    assert means[0].max() > np.quantile(means[1], 0.1)


def test_speckle_is_rayleigh_and_wider_than_deep() -> None:
    from medrobust.data.phantom.shapes import stream
    from medrobust.data.phantom.ultrasound import Scanner, speckle

    power = 10 ** (speckle(stream(0), np.zeros((256, 256)), Scanner(1, 0.8, 1.6, 50.0, -80.0), 1.0) / 10)
    assert power.mean() == pytest.approx(1, abs=0.05)
    envelope = np.sqrt(power)
    assert envelope.mean() / envelope.std() == pytest.approx(1.91, abs=0.06)  # Rayleigh: sqrt(pi / (4 - pi))

    def correlation(a: np.ndarray, b: np.ndarray) -> float:
        return float(np.corrcoef(a.ravel(), b.ravel())[0, 1])

    deep, wide = correlation(power[2:], power[:-2]), correlation(power[:, 2:], power[:, :-2])
    assert deep == pytest.approx(np.exp(-(2**2) / (2 * 0.8**2)), abs=0.05)
    assert wide == pytest.approx(np.exp(-(2**2) / (2 * 1.6**2)), abs=0.05)


def test_the_echo_weakens_with_depth() -> None:
    images = [render(describe("ultrasound", 0, i), 32) for i in range(20)]
    assert np.mean([x[26:30].mean() for x in images]) < 0.7 * np.mean([x[4:8].mean() for x in images])


def test_opens_by_name_on_its_test_split_and_in_batches() -> None:
    images = open_images("phantom:ultrasound@16,count=160", view=View(color="grey"))
    assert len(images) == 40
    assert images.card.positive_class == "malignant"
    assert images.positive_index == 1
    batch = next(iter(batches(images, 4)))
    assert tuple(batch.x.shape) == (4, 1, 16, 16)
    assert images.fingerprint() == open_images("phantom:@16,count=160", view=View(color="grey")).fingerprint()
    other = open_images("phantom:ultrasound@16,count=160,seed=1", view=View(color="grey"))
    assert images.fingerprint() != other.fingerprint()


def test_loader_workers_can_be_started() -> None:
    images = open_phantom("ct@16,count=40")
    again = pickle.loads(pickle.dumps(images))
    assert (again[3][0] == images[3][0]).all()


@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("ultrasund", "'ultrasound'"),
        ("ct@8", "from 16 to 1024"),
        ("ct@big", "'big'"),
        ("ct,count=39", "from 40"),
        ("ct,number=80", "'number'"),
        ("ct,seed=-1", "MODALITY@SIZE"),
        ("ct count=80", "MODALITY@SIZE"),
    ],
)
def test_a_wrong_name_is_one_clear_line(path: str, says: str) -> None:
    with pytest.raises(UserError, match="phantom:") as caught:
        open_phantom(path)
    assert says in str(caught.value)
    assert path in str(caught.value)
