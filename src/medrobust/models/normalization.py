"""The normalization that belongs to a network by name: what its publisher computed its own weights with."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .zoo import parse_spec

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
Values = float | Sequence[float] | None


def usual_normalization(spec: str, channels: int) -> tuple[Any, Any]:
    """The mean and std that torchvision or timm publish for a network of this name; none for others.

    A stem for another number of channels than three takes the average.

    Example:
        >>> usual_normalization("torchvision:resnet18", 3)[0]
        (0.485, 0.456, 0.406)
        >>> usual_normalization("zoo:cbr_tiny", 3)
        (None, None)
    """
    source, name, _ = parse_spec(spec)
    if source not in ("torchvision", "timm"):
        return None, None
    mean, std = _torchvision(name) if source == "torchvision" else _timm(name)
    if channels == len(mean):
        return mean, std
    return sum(mean) / len(mean), sum(std) / len(std)


def origin(spec: str) -> str:
    """Where usual_normalization has it from, in words.

    Example:
        >>> origin("torchvision:resnet18"), origin("torchvision:efficientnet_v2_l"), origin("zoo:cbr_tiny")
        ("torchvision's ImageNet", "torchvision's own for this name", 'none')
    """
    source = parse_spec(spec)[0]
    if source == "timm":
        return "timm's own for this name"
    if source != "torchvision":
        return "none"
    own = usual_normalization(spec, len(IMAGENET_MEAN)) != (IMAGENET_MEAN, IMAGENET_STD)
    return "torchvision's own for this name" if own else "torchvision's ImageNet"


def _torchvision(name: str) -> tuple[tuple[float, ...], tuple[float, ...]]:
    import torchvision

    try:
        published = torchvision.models.get_model_weights(name).DEFAULT.transforms()
    except (ValueError, AttributeError):  # no weights of this name
        return IMAGENET_MEAN, IMAGENET_STD
    return tuple(map(float, published.mean)), tuple(map(float, published.std))


def _timm(name: str) -> tuple[tuple[float, ...], tuple[float, ...]]:
    import timm
    from timm.data import resolve_data_config

    config = timm.get_pretrained_cfg(name, allow_unregistered=True)
    found = resolve_data_config(pretrained_cfg=config.to_dict()) if config else {}
    return tuple(found.get("mean", IMAGENET_MEAN)), tuple(found.get("std", IMAGENET_STD))
