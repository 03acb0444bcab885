"""Where the adversary was allowed to write: for audit.json, and for the identity of a run."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np

from ..data.images.image_set import ImageSet
from ..measuring.subjects import LESION, allowed

WORDS = {
    LESION: "only pixels inside the mask of each image may change",
    "background": "only pixels outside the mask of each image may change",
}


def mask_digest(images: ImageSet) -> str:
    """SHA-256 hex of the masks of all images, as they are shown. Errors: UserError for an image without one."""
    digest = hashlib.sha256()
    for i in range(len(images)):
        digest.update(np.packbits(images.mask(i).numpy()).tobytes())
    return digest.hexdigest()


def mask_facts(images: ImageSet, where: str) -> dict[str, Any]:
    """What audit.json says of the mask: where, in words, and the share of pixels that may change.

    Example:
        >>> import torch
        >>> images = ImageSet.of(torch.rand(2, 3, 4, 4), [0, 1], masks=torch.eye(4).expand(2, 4, 4))
        >>> said = mask_facts(images, "lesion")
        >>> said["where"], said["median_share"], said["num_empty"]
        ('lesion', 0.25, 0)
    """
    shares = [float(allowed(images, [i], where).double().mean()) for i in range(len(images))]  # type: ignore[union-attr]
    return {
        "where": where,
        "words": WORDS[where],
        "median_share": round(float(np.median(shares)), 6),
        "num_empty": sum(share == 0 for share in shares),
    }
