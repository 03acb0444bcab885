"""Decoded pixels together with the range and depth of their source."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

MAX_VALUES = 2**29  # of one image or volume: 2 GB as float32; a header that asks for more is damage or an attack


class BrokenImageError(Exception):
    """A file that cannot be shown; str() is the reason without the file name."""


def affordable(*sides: int) -> None:
    """Errors: BrokenImageError when an array of these sides has more values than any image; nothing is allocated."""
    count = math.prod(max(int(side), 0) for side in sides)
    if count > MAX_VALUES:
        shape = " x ".join(str(int(side)) for side in sides)
        raise BrokenImageError(f"its header asks for {shape} values, more than the {MAX_VALUES} that are read")


@dataclass(frozen=True)
class SourceRange:
    """How a source stores a pixel, so that an epsilon can be shown in grey levels or HU and rounded as a file would.

    The values that a file can hold are offset + k * step; on [0, 1] they are origin + k * resolution.

    Args:
        bits: bits stored per value.
        low: source value at one end of what is shown; below it everything looks the same.
        high: source value at the other end.
        unit: "grey level", "HU" or what the source says.
        step: one stored unit, in the unit of the source (the rescale slope); None for floating point.
        offset: any value that the source can hold.
        inverted: low is shown as 1 and high as 0 (MONOCHROME1).

    Example:
        >>> lung = SourceRange(12, -1024.0, 3071.0, "HU")
        >>> lung.epsilon_in_units(1 / 255), lung.levels(1 / 255)
        (16.058823529411764, 16.058823529411764)
    """

    bits: int = 8
    low: float = 0.0
    high: float = 255.0
    unit: str = "grey level"
    step: float | None = 1.0
    offset: float = 0.0
    inverted: bool = False

    def __post_init__(self) -> None:
        if not self.low <= self.high:
            raise ValueError(f"low {self.low} is above high {self.high}: inversion is a flag")

    def epsilon_in_units(self, epsilon: float) -> float:
        """An epsilon on [0, 1] in the unit of the source: epsilon * (high - low)."""
        return epsilon * (self.high - self.low)

    @property
    def resolution(self) -> float:
        """One stored unit on [0, 1]: step / (high - low); 0 for floating point, which has none."""
        return self.step / (self.high - self.low) if self.step and self.high > self.low else 0.0

    @property
    def origin(self) -> float:
        """A stored value on [0, 1], the least that is not below 0."""
        if self.resolution == 0:
            return 0.0
        share = (self.offset - self.low) / (self.high - self.low)
        share = 1.0 - share if self.inverted else share
        rest = share - round(share / self.resolution) * self.resolution
        if abs(rest) < 1e-9 * max(1.0, abs(share)):
            return 0.0
        return rest if rest > 0 else rest + self.resolution

    def levels(self, epsilon: float) -> float | None:
        """An epsilon on [0, 1] in stored units; None for floating point.

        Example:
            >>> SourceRange(16, -160.0, 240.0, "HU").levels(0.01), SourceRange(24, 0.0, 1.0, step=None).levels(0.01)
            (4.0, None)
        """
        return epsilon / self.resolution if self.resolution else None

    def stored(self, x: Any) -> Any:
        """Values on [0, 1], a tensor or an array, as the source would store and show them again.

        Example:
            >>> SourceRange(16, -160.0, 240.0, "HU").stored(np.array([0.0012, 0.0013, 1.0])).tolist()
            [0.0, 0.0025, 1.0]
        """
        step = self.resolution
        return x if step == 0 else (((x - self.origin) / step).round() * step + self.origin).clip(0.0, 1.0)


@dataclass(frozen=True)
class Tone:
    """What a source shows for a value where that is no straight line: a VOI LUT, a sigmoid, a threshold.

    Args:
        show: values in the unit of the source, float64, to [0, 1].
        shown: bits, range, unit and steps of what is shown; epsilons are in its unit.
    """

    show: Callable[[np.ndarray], np.ndarray]
    shown: SourceRange


@dataclass(frozen=True)
class Pixels:
    """One decoded image: values (c, *spatial) with c 1 or 3, in the unit of the source.

    Args:
        values: integers or floating point.
        bits: stored per value.
        low, high: source values that become 0 and 1. Both None: the file does not say.
        unit: of the values.
        step: one stored unit; "auto" is 1 for integers and None for floating point.
        offset: any value that the source can hold.
        inverted: low becomes 1 and high 0.
        tone: the curve that the file asks for; low and high then bound the values that it takes.
        problem: why low and high are None; a view with a range of its own can still show the values.
    """

    values: np.ndarray
    bits: int = 8
    low: float | None = 0.0
    high: float | None = 255.0
    unit: str = "grey level"
    step: float | Literal["auto"] | None = "auto"
    offset: float = 0.0
    inverted: bool = False
    tone: Tone | None = None
    problem: str = ""

    def __post_init__(self) -> None:
        if self.low is not None and self.high is not None and not self.low <= self.high:
            raise ValueError(f"low {self.low} is above high {self.high}: inversion is a flag")

    def source(self, low: float, high: float) -> SourceRange:
        """The source range of these values when low is shown at one end and high at the other."""
        step = (None if self.values.dtype.kind == "f" else 1.0) if self.step == "auto" else self.step
        return SourceRange(self.bits, low, high, self.unit, step, self.offset, self.inverted)
