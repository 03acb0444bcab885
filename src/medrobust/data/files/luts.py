"""Lookup tables and windows of DICOM, as PS3.3 C.11.1 and C.11.2 define them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .pixels import BrokenImageError, SourceRange, Tone

FUNCTIONS = ("LINEAR", "LINEAR_EXACT", "SIGMOID")


@dataclass(frozen=True)
class Lut:
    """A table: entry 0 for `first` and all below, the last entry for all beyond the end.

    Args:
        first: stored value of entry 0.
        entries: int64 (n,), 0 to 2**bits - 1.
        bits: of an entry.
    """

    first: int
    entries: np.ndarray
    bits: int

    @property
    def top(self) -> float:
        """The largest value that an entry can have."""
        return float(2**self.bits - 1)

    @property
    def step(self) -> float:
        """The largest step of which all differences between entries are multiples."""
        return float(np.gcd.reduce(np.diff(np.unique(self.entries))))

    def __call__(self, values: np.ndarray) -> np.ndarray:
        """The entries of whole numbers, int64. Errors: BrokenImageError when the numbers are not whole."""
        whole = values if values.dtype.kind in "iu" else np.rint(values)
        if whole is not values and not np.allclose(whole, values, rtol=0, atol=1e-6):
            raise BrokenImageError("a lookup table of whole numbers is given for values that are not whole")
        return np.asarray(self.entries[np.clip(whole.astype(np.int64) - self.first, 0, len(self.entries) - 1)])

    def share(self, values: np.ndarray) -> np.ndarray:
        """The entries over the largest value that they can have."""
        return self(values) / self.top


def read_lut(sequence: Any, name: str, *, ends: tuple[float, float], little_endian: bool) -> Lut:
    """The table of a Modality LUT Sequence or the first of a VOI LUT Sequence.

    Args:
        sequence: the value of the element.
        name: for messages.
        ends: least and largest value to look up; a first value beyond them is a negative one in an unsigned word.
        little_endian: order of the bytes of the file.

    Errors: BrokenImageError for a missing or impossible descriptor, or data that do not fit it.
    """
    item = sequence[0]
    descriptor, data = item.get("LUTDescriptor"), item.get("LUTData")
    if descriptor is None or len(descriptor) != 3 or data is None:
        raise BrokenImageError(f"its {name} is incomplete")
    count, first, bits = (int(number) for number in descriptor)
    count = count % 65536 or 65536  # which 16 bits cannot hold; signed words hold the upper half as negative numbers
    if ends[0] < 0 and first > max(ends[1], 32767):
        first -= 65536
    if not 1 <= bits <= 16:
        raise BrokenImageError(f"its {name} has entries of {bits} bits, which cannot be")
    if isinstance(data, bytes):
        order = "<u2" if little_endian else ">u2"
        words = np.frombuffer(data[: len(data) // 2 * 2], order)
        packed = bits <= 8 and len(data) != 2 * count and len(data) in (count, count + 1)  # two entries a word
        entries = words.astype("<u2").view(np.uint8)[:count] if packed else words
    else:
        entries = np.atleast_1d(np.asarray(data))
    entries = entries.astype(np.int64)
    if len(entries) != count:
        raise BrokenImageError(f"its {name} has {len(entries)} entries instead of {count}")
    if int(entries.max()) >= 2**bits or int(entries.min()) < 0:
        raise BrokenImageError(f"its {name} has the entry {int(entries.max())}, more than {bits} bits")
    if int(entries.max()) == int(entries.min()):
        raise BrokenImageError(f"its {name} shows every value alike")
    return Lut(first, entries, bits)


def number(data: Any, name: str) -> float | None:
    """The only or first value of an element, None without one. Errors: BrokenImageError for NaN and infinity."""
    value = data.get(name)
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        value = value[0] if len(value) else None
    if value is None or value == "":
        return None
    found = float(value)
    if not math.isfinite(found):
        raise BrokenImageError(f"its {name} is {found}")
    return found


def whole(data: Any, name: str, otherwise: int | None = None) -> int:
    """A whole number of the header, or `otherwise` without one. Errors: BrokenImageError."""
    value = data.get(name)
    if value in (None, "", 0) and otherwise is not None:
        return otherwise
    try:
        return int(str(value))
    except ValueError as error:
        raise BrokenImageError(f"its {name} is {value!r}, not a whole number") from error


@dataclass(frozen=True)
class Window:
    """Center, width and function of a window, PS3.3 C.11.2.1.2 and C.11.2.1.3."""

    center: float
    width: float
    function: str

    @property
    def ends(self) -> tuple[float, float]:
        """What is shown as black and as white."""
        if self.function == "LINEAR":
            return self.center - 0.5 - (self.width - 1) / 2, self.center - 0.5 + (self.width - 1) / 2
        return self.center - self.width / 2, self.center + self.width / 2

    def sigmoid(self, values: np.ndarray) -> np.ndarray:
        """1 / (1 + exp(-4 (x - c) / w))."""
        return np.asarray(1 / (1 + np.exp(np.clip(-4 * (values - self.center) / self.width, -700, 700))))

    def above(self, values: np.ndarray) -> np.ndarray:
        """A linear window of width 1: a threshold at c - 0.5."""
        return (values > self.center - 0.5).astype(np.float64)

    def tone(self, bits: int, unit: str, inverted: bool) -> Tone | None:
        """The curve; None for a straight line between the ends."""
        if self.function == "SIGMOID":
            return Tone(self.sigmoid, SourceRange(bits, 0.0, 1.0, "share of the sigmoid window", None, 0.0, inverted))
        if self.ends[0] == self.ends[1]:
            words = f"side of the threshold {self.center - 0.5:g} {unit}"
            return Tone(self.above, SourceRange(bits, 0.0, 1.0, words, inverted=inverted))
        return None


def read_window(data: Any) -> Window | None:
    """The first window of a data set or a functional group.

    Errors: BrokenImageError for half a window, an unknown function, or a width that the function cannot have.
    """
    center, width = number(data, "WindowCenter"), number(data, "WindowWidth")
    if center is None and width is None:
        return None
    if center is None or width is None:
        raise BrokenImageError("it has half a window: a center without a width, or a width without a center")
    function = str(data.get("VOILUTFunction") or "LINEAR").strip().upper()
    if function not in FUNCTIONS:
        raise BrokenImageError(f"its VOI LUT function {function!r} is not one of {', '.join(FUNCTIONS)}")
    if width <= 0 or (function == "LINEAR" and width < 1):
        least = "below 1" if function == "LINEAR" else "not above 0"
        raise BrokenImageError(f"its window has the width {width:g}, {least}")
    return Window(center, width, function)
