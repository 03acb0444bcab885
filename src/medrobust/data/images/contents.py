"""What tells one image from another whatever its file is called: the bytes of the file, and the pixels shown."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from .hashes import MISSING, content_hashes
from .image_set import ImageSet
from .sample import Sample

DIGITS = 32  # of a SHA-256 in hex: 128 bits are enough to tell images apart


def file_keys(samples: Sequence[Sample]) -> dict[str, str]:
    """image_id -> SHA-256 of its file, and the frame where a file holds several; "" for images without a file.

    Example:
        >>> file_keys([Sample("a", None, 0, "a")])
        {'a': ''}
    """
    contents = content_hashes(sample.path for sample in samples if sample.path is not None)
    found = {}
    for sample in samples:
        content = "" if sample.path is None else contents[sample.path]
        frame = f":{sample.frame}" if sample.frame >= 0 else ""
        found[sample.image_id] = "" if content in ("", MISSING) else content[:DIGITS] + frame
    return found


def pixel_keys(images: ImageSet) -> dict[str, str]:
    """image_id -> SHA-256 of the pixels as the view shows them, whatever file they came from.

    Example:
        >>> import torch
        >>> x = torch.zeros(2, 1, 4, 4)
        >>> len(set(pixel_keys(ImageSet.of(x, torch.tensor([0, 1]))).values()))
        1
    """
    found = {}
    for sample in images.samples:
        values = images.store.get(sample).values
        head = f"{values.dtype} {values.shape}".encode()
        found[sample.image_id] = hashlib.sha256(head + values.tobytes()).hexdigest()[:DIGITS]
    return found
