"""Numbers and budgets in words: the one place that decides how the report writes them."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from ..numbers import FAMILIES, epsilon_text

GREY_LEVELS = 255  # what an 8-bit screen shows; pixel values run from 0 to 1

# Rough guide, stated in the glossary: up to this many grey levels a change of every pixel looks like this.
VISIBILITY = ((1, "invisible to the eye"), (2, "practically invisible"), (4, "hard to see"), (8, "faintly visible"))

# What the corruptions of a family are, as it stands in a sentence after "of".
FAULTS = {
    "noise": "noise",
    "blur": "blur",
    "resolution": "lost resolution",
    "light": "brightness and contrast",
    "color": "color",
    "scanner": "artifacts of scanners",
    "geometry": "rotation, shift and crop",
    "everyday": "any everyday fault",
}


def measured_by(norm: str) -> str:
    """How the sizes of a norm are measured, as it stands after "Changes measured by".

    Example:
        >>> measured_by("linf"), measured_by("l2"), measured_by("blur")
        ('the largest change of a pixel (linf)', 'L2 distance', 'the severity of blur (blur)')
    """
    if norm in FAMILIES:
        return f"the severity of {FAULTS[norm]} ({norm})"
    return "the largest change of a pixel (linf)" if norm == "linf" else f"{norm.upper()} distance"


def number(value: float | None, digits: int = 2) -> str:
    """A number with this many significant digits, never in powers of ten while it is readable without.

    Example:
        >>> number(0.5), number(10.0), number(0.0257), number(1234567), number(None)
        ('0.5', '10', '0.026', '1,234,567', 'n/a')
    """
    if value is None or not math.isfinite(value):
        return "n/a"
    if value == 0:
        return "0"
    if abs(value) < 1e-6:
        return f"{value:.{digits - 1}e}"
    decimals = max(0, digits - 1 - math.floor(math.log10(abs(value))))
    text = f"{value:,.{decimals}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def percent(share: float | None, decimals: int | None = None) -> str:
    """A share in percent; one decimal unless it is whole, and never rounded up to 100 or down to 0.

    Example:
        >>> percent(0.915), percent(0.5), percent(1.0), percent(0.9999), percent(0.0001), percent(None)
        ('91.5%', '50%', '100%', '>99.9%', '<0.1%', 'n/a')
    """
    if share is None or not math.isfinite(share):
        return "n/a"
    places = 1 if decimals is None else decimals
    least = 10.0**-places
    value = 100 * share
    text = f"{value:.{places}f}"
    if value > 0 and float(text) == 0:
        return f"<{least:g}%"
    if value < 100 and float(text) == 100:
        return f">{100 - least:g}%"
    if decimals is None and text.endswith(".0"):
        text = text[:-2]
    return f"{text}%"


def interval(low: float | None, high: float | None) -> str:
    """Both ends of an interval of shares, or nothing when there is none.

    Example:
        >>> interval(0.868, 0.946), interval(None, 1.0)
        ('86.8% to 94.6%', '')
    """
    return "" if low is None or high is None else f"{percent(low, 1)} to {percent(high, 1)}"


def of_hundred(share: float) -> str:
    """How many of every 100.

    Example:
        >>> of_hundred(0.915), of_hundred(0.002), of_hundred(0.0), of_hundred(0.998)
        ('92', 'fewer than 1', '0', 'more than 99')
    """
    if 0 < share < 0.005:
        return "fewer than 1"
    return "more than 99" if 0.995 <= share < 1 else f"{100 * share:.0f}"


def counted(count: int, noun: str, plural: str = "") -> str:
    """A count with its noun.

    Example:
        >>> counted(1, "image"), counted(1200, "image"), counted(2, "class", "classes")
        ('1 image', '1,200 images', '2 classes')
    """
    return f"{count:,} {noun if count == 1 else plural or noun + 's'}"


def listed(words: Iterable[str], last: str = "and") -> str:
    """Words joined for a sentence.

    Example:
        >>> listed(["a"]), listed(["a", "b", "c"]), listed(["a", "b"], "or")
        ('a', 'a, b and c', 'a or b')
    """
    *most, end = [*words] or [""]
    return f"{', '.join(most)} {last} {end}" if most else end


@dataclass(frozen=True)
class Budget:
    """How large a change may be: a norm and an epsilon, for pixel values from 0 to 1.

    Example:
        >>> Budget("linf", 0.5 / 255).words, Budget("linf", 1 / 255).words, Budget("l2", 0.5).words
        ('0.5 grey levels out of 255', '1 grey level out of 255', '0.5 in L2 distance')
        >>> Budget("linf", 0.5 / 255).look, Budget("linf", 16 / 255).look, Budget("l2", 0.5).look
        ('invisible to the eye', 'visible', '')
        >>> Budget("geometry", 2.0).words, Budget("geometry", 2.0).short
        ('severity 2 of rotation, shift and crop', 'severity 2 (geometry)')
    """

    norm: str
    epsilon: float

    @property
    def grey_levels(self) -> float | None:
        """The largest change of a pixel on the scale of an 8-bit screen; None where the norm does not bound it."""
        return self.epsilon * GREY_LEVELS if self.norm == "linf" else None

    @property
    def is_severity(self) -> bool:
        """Whether it is the severity of a family of corruptions, not the size of a change of pixels."""
        return self.norm in FAMILIES

    @property
    def label(self) -> str:
        """The size alone: grey levels for linf, else the distance; three digits where they say it exactly, else two."""
        size = self.epsilon if self.grey_levels is None else self.grey_levels
        exact = math.isclose(float(number(size, 3).replace(",", "")), size, rel_tol=1e-6)
        return number(size, 3 if exact or size >= 10 else 2)

    @property
    def short(self) -> str:
        """A few words, for tables and captions."""
        if self.is_severity:
            return f"severity {self.label} ({self.norm})"
        if self.grey_levels is None:
            return f"{self.label} ({self.norm.upper()})"
        return f"{self.label} grey level{'' if self.label == '1' else 's'}"

    @property
    def words(self) -> str:
        """As it stands in a sentence, after "up to" or "at most"."""
        if self.is_severity:
            return f"severity {self.label} of {FAULTS[self.norm]}"
        if self.grey_levels is None:
            return f"{self.label} in {self.norm.upper()} distance"
        return f"{self.short} out of {GREY_LEVELS}"

    @property
    def fraction(self) -> str:
        """As papers write it."""
        return epsilon_text(self.epsilon, self.norm)

    @property
    def look(self) -> str:
        """What the eye makes of it; nothing where the norm does not say."""
        if self.grey_levels is None:
            return ""
        return next((look for most, look in VISIBILITY if self.grey_levels <= most * (1 + 1e-9)), "visible")

    def far(self, other: Budget) -> float:
        """How many times larger or smaller another budget is, as a logarithm."""
        return abs(math.log(other.epsilon / self.epsilon))

    def same(self, norm: str | None, epsilon: float) -> bool:
        """Whether a row of the audit is about this budget; a row without a norm is about any."""
        return norm in (None, self.norm) and math.isclose(self.epsilon, epsilon, rel_tol=1e-6)


def plain(value: Any) -> str:
    """Any JSON value as text for a table of facts.

    Example:
        >>> plain([1, "a"]), plain({"a": 0.1, "b": None}), plain(True), plain("")
        ('1, a', 'a: 0.1; b: none', 'yes', 'none')
    """
    if value is None or value == "":
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, dict):
        return "; ".join(f"{str(key).replace('_', ' ')}: {plain(item)}" for key, item in value.items())
    if isinstance(value, (list, tuple)):
        return ", ".join(plain(item) for item in value)
    if isinstance(value, float):
        return f"{value:.6g}"
    return str(value)
