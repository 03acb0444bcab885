"""Class activation maps: Grad-CAM and Grad-CAM++, of the layer that is found by itself."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from .layer import Layer, activation, find_layer
from .score import Model, Score

TINY = 1e-7  # as in MONAI


def grad_cam(
    model: Model,
    x: Tensor,
    target: Tensor | int | None = None,
    *,
    score: Score = "margin",
    layer: Layer | None = None,
) -> Tensor:
    """Channels of a layer weighted by the mean of their gradients: relu(sum over c of mean(d score / d a_c) a_c).

    Selvaraju et al. 2017 (arXiv:1610.02391), enlarged to the size of the image by linear interpolation.

    Args:
        model: (n, c, *spatial) -> logits (n, k), in evaluation mode.
        x: (n, c, *spatial) images, 2-D or 3-D.
        target: class of each image, or one for all; by default what the model answers.
        score: margin: z_target - largest other logit. logit: z_target.
        layer: whose output is used; by default `find_layer(model, x)`, the last with places of the image.

    Errors: UserError where no layer has places of the image.

    Example:
        >>> from torch import nn
        >>> net = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2))
        >>> grad_cam(net, torch.rand(2, 1, 8, 8)).shape
        torch.Size([2, 8, 8])
    """
    values, slopes = _of_layer(model, x, target, score, layer)
    return _enlarged(values, slopes.flatten(2).mean(2), x)


def grad_cam_pp(
    model: Model,
    x: Tensor,
    target: Tensor | int | None = None,
    *,
    score: Score = "margin",
    layer: Layer | None = None,
) -> Tensor:
    """Grad-CAM whose weights count the places where a channel speaks for the class: Grad-CAM++.

    Chattopadhay et al. 2018 (arXiv:1710.11063): weight_c = sum of alpha relu(g), alpha = g^2 / (2 g^2 + sum of a g^3).
    The factor exp(score) of the paper is one for the whole image and is left out.

    Args:
        model, x, target, score, layer: as for grad_cam.

    Errors: as grad_cam.

    Example:
        >>> from torch import nn
        >>> net = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2))
        >>> bool((grad_cam_pp(net, torch.rand(2, 1, 8, 8)) >= 0).all())
        True
    """
    values, slopes = _of_layer(model, x, target, score, layer)
    a, g = values.flatten(2), slopes.flatten(2)
    below = 2 * g**2 + (a * g**3).sum(2, keepdim=True)
    alpha = g**2 / (torch.where(below != 0, below, torch.ones_like(below)) + TINY)
    return _enlarged(values, (alpha * g.relu()).sum(2), x)


def _of_layer(
    model: Model, x: Tensor, target: Tensor | int | None, score: Score, layer: Layer | None
) -> tuple[Tensor, Tensor]:
    wanted = None if target is None else torch.as_tensor(target, dtype=torch.long, device=x.device).expand(len(x))
    return activation(model, x, wanted, layer or find_layer(model, x), score)


def _enlarged(values: Tensor, weights: Tensor, x: Tensor) -> Tensor:
    maps = (weights.reshape(*weights.shape, *[1] * (values.ndim - 2)) * values).sum(1, keepdim=True).relu()
    mode = "bilinear" if x.ndim == 4 else "trilinear"
    maps = maps.to(torch.promote_types(maps.dtype, torch.float32))
    return interpolate(maps, size=x.shape[2:], mode=mode, align_corners=False)[:, 0]
