"""What a training objective or an attack receives."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor


class Batch(NamedTuple):
    """Images, labels and their positions in the image set.

    Shapes: x float32 (n, c, *spatial) in [0, 1]; y long (n,); index long (n,).
    """

    x: Tensor
    y: Tensor
    index: Tensor  # type: ignore[assignment]  # the field hides tuple.index, which nobody calls
