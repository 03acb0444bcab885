"""Noise of detectors, coherent imaging and transmission."""

from __future__ import annotations

import torch
from torch import Tensor

from .base import Lot, like_channels


def gaussian(x: Tensor, sd: float, lot: Lot) -> Tensor:
    """x + sd * n."""
    return x + sd * like_channels(lot.normal(x), x)


def speckle(x: Tensor, sd: float, lot: Lot) -> Tensor:
    """x * (1 + sd * n): noise that grows with the signal, as of ultrasound."""
    return x * (1 + sd * like_channels(lot.normal(x), x))


def poisson(x: Tensor, inverse: float, lot: Lot) -> Tensor:
    """Counts of Poisson's law with mean x / inverse, times inverse: few photons."""
    from scipy.stats import poisson as law

    share = like_channels(lot.uniform(x.double()), x.double()).cpu().numpy()
    counts = law.ppf(share, x.double().cpu().numpy() / inverse)
    return torch.from_numpy(counts * inverse).to(x)


def impulse(x: Tensor, share: float, lot: Lot) -> Tensor:
    """A share of the pixels is black or white, all channels of a pixel alike."""
    u = lot.uniform(x[:, :1]).expand_as(x)
    return torch.where(u < share / 2, 0.0, torch.where(u > 1 - share / 2, 1.0, x))


def rician(x: Tensor, sd: float, lot: Lot) -> Tensor:
    """|x + sd (n1 + i n2)|: noise of magnitude images (Gudbjartsson & Patz 1995, doi:10.1002/mrm.1910340618)."""
    real, imaginary = (like_channels(lot.child(part).normal(x), x) for part in ("real", "imaginary"))
    return torch.hypot(x + sd * real, sd * imaginary)
