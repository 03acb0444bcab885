"""A set of images made in memory, for tests and examples."""

from __future__ import annotations

import numpy as np

from ..data.files.pixels import Pixels
from ..data.images.image_set import ImageSet
from ..data.images.sample import Sample


def decode_tiny(sample: Sample) -> Pixels:
    """8x8 grey noise from the frame number; each class is brighter by 60 grey levels than the one before."""
    noise = np.random.default_rng(sample.frame).integers(0, 160, size=(1, 8, 8))
    return Pixels((noise + 60 * sample.label).astype(np.uint8))


def tiny_set(num_images: int = 12, num_classes: int = 2, name: str = "tiny") -> ImageSet:
    """Images of 8x8 pixels in two or more classes, two images per group.

    Example:
        >>> tuple(tiny_set()[0][0].shape)
        (3, 8, 8)
    """
    samples = [
        Sample(f"{i:04d}", None, i % num_classes, f"group{i // 2}", frame=i) for i in range(num_images)
    ]  # fmt: skip
    return ImageSet(name, [f"class{k}" for k in range(num_classes)], samples, decode=decode_tiny)
