"""How far maps moved: against scipy, MONAI, and by hand; intervals that cover."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import ndimage
from scipy.stats import spearmanr

from medrobust.explain.agreement import agreement, center_of_mass, means, rank_correlation, ssim
from medrobust.records.intervals import Grouping

SHAPES = [(3, 20, 14), (2, 12, 13, 14)]


def two_maps(shape: tuple[int, ...]) -> tuple[torch.Tensor, torch.Tensor]:
    source = torch.Generator().manual_seed(0)
    a = torch.rand(shape, generator=source)
    return a, (a + 0.3 * torch.rand(shape, generator=source)) / 1.3


@pytest.mark.parametrize("shape", SHAPES)
def test_ssim_is_that_of_monai(shape: tuple[int, ...]) -> None:
    from monai.metrics import SSIMMetric

    a, b = two_maps(shape)
    theirs = SSIMMetric(len(shape) - 1, data_range=1.0, win_size=11, kernel_sigma=1.5)(a[:, None], b[:, None])[:, 0]
    assert torch.allclose(ssim(a, b).float(), theirs, atol=1e-5)
    assert 0.2 < float(ssim(a, b).min()) < float(ssim(a, b).max()) < 0.99


def test_ssim_of_maps_smaller_than_the_window() -> None:
    a, b = two_maps((4, 6, 5))
    assert torch.allclose(ssim(a, a), torch.ones(4).double())
    assert bool((ssim(a, b) < 0.999).all())


@pytest.mark.parametrize("shape", SHAPES)
def test_rank_correlation_is_that_of_scipy_ties_included(shape: tuple[int, ...]) -> None:
    a, b = two_maps(shape)
    a, b = (a * 5).round(), (b * 4).relu().round()
    theirs = [spearmanr(x.flatten(), y.flatten()).statistic for x, y in zip(a.numpy(), b.numpy(), strict=True)]
    assert np.allclose(rank_correlation(a, b), theirs, atol=1e-12)


@pytest.mark.parametrize("shape", SHAPES)
def test_center_of_mass_is_that_of_scipy(shape: tuple[int, ...]) -> None:
    a, _ = two_maps(shape)
    assert np.allclose(center_of_mass(a), [ndimage.center_of_mass(one) for one in a.numpy()], atol=1e-6)


def test_a_map_that_moved_by_3_and_4_pixels_moved_by_5() -> None:
    a, b = torch.zeros(1, 20, 20), torch.zeros(1, 20, 20)
    a[0, 5:8, 5:8] = 1
    b[0, 8:11, 9:12] = 7
    assert agreement(a, b).shift.tolist() == pytest.approx([5.0])


def test_a_map_of_zeros_has_no_agreement() -> None:
    a, _ = two_maps((2, 12, 12))
    a[1] = 0
    found = agreement(a, a)
    for measure in found:
        assert not np.isnan(measure[0])
        assert np.isnan(measure[1])
    mean = means(found, (12, 12), Grouping(np.arange(2)))
    assert mean["ssim"].value == pytest.approx(1.0)
    assert mean["ssim"].low < 1.0


def test_means_are_of_images_and_intervals_of_groups() -> None:
    values = np.repeat([0.2, 0.9, 0.4, 0.7, 0.1, 0.8], 5)
    alone, together = Grouping(np.arange(30)), Grouping(np.repeat(np.arange(6), 5))
    single, grouped = (by.mean_between(values, -1.0, 1.0) for by in (alone, together))
    assert single.value == pytest.approx(values.mean())
    assert grouped.value == pytest.approx(values.mean())
    assert grouped.high - grouped.low > 1.5 * (single.high - single.low)


def test_intervals_of_means_cover_them() -> None:
    """Of 400 samples of 40 numbers on -1 .. 1, in groups of two that are alike, about 95 % of intervals hold 0.2."""
    draw = np.random.default_rng(0)
    held = 0
    for _ in range(400):
        shared = draw.beta(3, 2, 20).repeat(2)
        values = 2 * (0.7 * shared + 0.3 * draw.beta(3, 2, 40)) - 1
        found = Grouping(np.arange(20).repeat(2)).mean_between(values, -1.0, 1.0)
        held += found.low <= 0.2 <= found.high
    assert held >= 0.93 * 400
