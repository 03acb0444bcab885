"""Maps by gradients of the images: saliency, SmoothGrad, integrated gradients."""

from __future__ import annotations

import torch
from torch import Tensor

from ..streams import Randomness, as_streams
from .score import Model, Score, gradient, targets
from .smooth import gaussian


def over_channels(change: Tensor) -> Tensor:
    """(n, *spatial) from (n, c, *spatial): the largest absolute value of a pixel's channels."""
    return change.abs().amax(1)


def saliency(
    model: Model, x: Tensor, target: Tensor | int | None = None, *, score: Score = "margin", sigma: float = 0.0
) -> Tensor:
    """How fast the score changes with each pixel: max over channels of |d score / d x|.

    Simonyan et al. 2014 (arXiv:1312.6034). Rodriguez et al. 2022 (doi:10.1186/s12880-022-00891-w) show it for the
    predicted class, smoothed by a Gaussian of 5 pixels: score="logit", sigma=5.

    Args:
        model: (n, c, *spatial) -> logits (n, k), in evaluation mode.
        x: (n, c, *spatial) images.
        target: class of each image, or one for all; by default what the model answers.
        score: margin: z_target - largest other logit. logit: z_target.
        sigma: of the Gaussian, pixels; 0 for none.

    Errors: UserError of a Classifier whose network gives no gradient by its images.

    Example:
        >>> net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(16, 2))
        >>> saliency(net, torch.rand(3, 1, 4, 4)).shape
        torch.Size([3, 4, 4])
    """
    return gaussian(over_channels(gradient(model, x, targets(model, x, target), score)), sigma)


def smoothed_saliency(
    model: Model, x: Tensor, target: Tensor | int | None = None, *, score: Score = "margin", sigma: float = 5.0
) -> Tensor:
    """Saliency smoothed by a Gaussian, of 5 pixels as in Rodriguez et al. 2022; see `saliency`.

    Smoothing leaves where an image has texture, whatever the network: it is tested as a map of its own.
    """
    return saliency(model, x, target, score=score, sigma=sigma)


def smooth_grad(
    model: Model,
    x: Tensor,
    target: Tensor | int | None = None,
    *,
    score: Score = "margin",
    sigma: float = 0.0,
    noise: float = 0.15,
    num_samples: int = 16,
    generator: Randomness = None,
) -> Tensor:
    """Saliency of the mean gradient over noisy copies of the image.

    Smilkov et al. 2017 (arXiv:1706.03825): x + noise (max x - min x) z, z standard normal.

    Args:
        model, x, target, score, sigma: as for saliency; the class is that of the image without noise.
        noise: standard deviation as a share of the image's range.
        num_samples: copies of each image.
        generator: of the noise: streams, a seed, a torch.Generator; seed 0 by default.

    Example:
        >>> net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(16, 2))
        >>> x = torch.rand(2, 1, 4, 4)
        >>> torch.allclose(smooth_grad(net, x), saliency(net, x))  # a linear network has one gradient
        True
    """
    target = targets(model, x, target)
    streams = as_streams(generator, len(x), x.device)
    flat = x.flatten(1)
    spread = noise * (flat.amax(1) - flat.amin(1)).reshape(-1, *[1] * (x.ndim - 1))
    total = torch.zeros_like(x)
    for k in range(num_samples):
        total += gradient(model, x + spread * streams.child("smooth_grad", k).normal(x), target, score)
    return gaussian(over_channels(total / num_samples), sigma)


def integrated_gradients(
    model: Model,
    x: Tensor,
    target: Tensor | int | None = None,
    *,
    score: Score = "margin",
    sigma: float = 0.0,
    baseline: Tensor | float = 0.0,
    num_steps: int = 32,
) -> Tensor:
    """(x - baseline) times the mean gradient on the line from the baseline to the image, max over channels of | |.

    Sundararajan et al. 2017 (arXiv:1703.01365); the integral is taken by Gauss and Legendre's rule, exact for
    polynomials of degree 2 num_steps - 1.

    Args:
        model, x, target, score, sigma: as for saliency.
        baseline: an image without information, one value or (n, c, *spatial); black by default.
        num_steps: gradients on the line.

    Example:
        >>> net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(16, 2))
        >>> x = torch.rand(2, 1, 4, 4)
        >>> torch.allclose(integrated_gradients(net, x), saliency(net, x) * x[:, 0])
        True
    """
    return gaussian(
        over_channels(path_integral(model, x, targets(model, x, target), score, baseline, num_steps)), sigma
    )


def path_integral(
    model: Model, x: Tensor, target: Tensor, score: Score, baseline: Tensor | float, num_steps: int
) -> Tensor:
    """Integrated gradients with their signs, (n, c, *spatial): they sum to score(x) - score(baseline)."""
    import numpy as np

    begin = torch.as_tensor(baseline, dtype=x.dtype, device=x.device).expand_as(x)
    places, weights = np.polynomial.legendre.leggauss(num_steps)
    total = torch.zeros_like(x)
    for place, weight in zip((places + 1) / 2, weights / 2, strict=True):
        total += float(weight) * gradient(model, begin + float(place) * (x - begin), target, score)
    return (x - begin) * total
