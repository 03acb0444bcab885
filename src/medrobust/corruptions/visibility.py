"""How visible a change is: PSNR and SSIM, the same for corruptions and attacks."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import conv2d

from .base import planes

WINDOW, SIGMA = 11, 1.5


def psnr(x: Tensor, changed: Tensor) -> Tensor:
    """(n,) peak signal-to-noise ratio in dB of images on [0, 1]; inf where nothing changed."""
    return -10 * torch.log10((x.double() - changed.double()).flatten(1).square().mean(1))


def linf_of(psnr_db: float) -> float:
    """The linf budget whose use in every pixel has this PSNR: 10 ** (-PSNR / 20)."""
    return float(10 ** (-psnr_db / 20))


def ssim(x: Tensor, changed: Tensor) -> Tensor:
    """(n,) structural similarity of images on [0, 1], Gaussian window of 11 pixels (Wang et al. 2004,
    doi:10.1109/TIP.2003.819861); volumes plane by plane, smaller images with a window of their size.
    """
    a, b = (planes(one.double())[0] for one in (x, changed))
    n, channels, *sides = a.shape
    size = min(WINDOW, *sides)
    at = torch.arange(size, dtype=torch.float64, device=a.device) - (size - 1) / 2
    line = torch.exp(-((at / SIGMA) ** 2) / 2)
    window = (line[:, None] * line[None, :] / line.sum() ** 2)[None, None]

    def mean(one: Tensor) -> Tensor:
        return conv2d(one.reshape(n * channels, 1, *sides), window)

    mu_a, mu_b = mean(a), mean(b)
    var_a, var_b, both = mean(a * a) - mu_a**2, mean(b * b) - mu_b**2, mean(a * b) - mu_a * mu_b
    c1, c2 = 0.01**2, 0.03**2
    found = (2 * mu_a * mu_b + c1) * (2 * both + c2) / ((mu_a**2 + mu_b**2 + c1) * (var_a + var_b + c2))
    return found.reshape(n, -1).mean(1)
