"""Decoded pixels together with the range and depth of their source."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


class BrokenImageError(Exception):
    """A file that cannot be shown; str() is the reason without the file name."""


@dataclass(frozen=True)
class SourceRange:
    """How a source stores a pixel, so that an epsilon can be shown in grey levels or HU.

    Args:
        bits: bits stored per value.
        low: source value shown as 0.
        high: source value shown as 1; smaller than low when the source shows large values dark (MONOCHROME1).
        unit: "grey level", "HU" or what the source says.

    Example:
        >>> SourceRange(12, -1024.0, 3071.0, "HU").epsilon_in_units(1 / 255)
        16.058823529411764
    """

    bits: int = 8
    low: float = 0.0
    high: float = 255.0
    unit: str = "grey level"

    def epsilon_in_units(self, epsilon: float) -> float:
        """An epsilon on [0, 1] in the unit of the source: epsilon * |high - low|."""
        return epsilon * abs(self.high - self.low)


@dataclass(frozen=True)
class Pixels:
    """One decoded image: values (c, *spatial) with c 1 or 3, in the unit of the source.

    low and high are the source values that become 0 and 1; both are None where the file does not say.
    """

    values: np.ndarray
    bits: int = 8
    low: float | None = 0.0
    high: float | None = 255.0
    unit: str = "grey level"
