"""Budgets as people write them."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Any

from .errors import UserError

GREYS = (0.1, 0.2, 0.3, 0.5, 1, 2, 3, 5, 8, 10)
DEFAULT_EPSILONS: dict[str, Any] = {
    "linf": [f"{k:g}/255" for k in GREYS],
    "l2": "geometric(0.02, 2, 10)",
    "l1": "geometric(0.5, 50, 10)",
}


def epsilons(given: Any, norm: str = "linf", place: str = "threat.epsilons") -> list[float]:
    """A grid of budgets: a list, one value, `a, b, c`, or geometric(first, last, count).

    Errors: UserError for what is not a number, is negative, or for linf exceeds the domain [0, 1].

    Example:
        >>> [round(255 * e, 3) for e in epsilons(["8/255", "1/255"])]
        [1.0, 8.0]
        >>> epsilons("geometric(0.01, 1, 3)")
        [0.01, 0.1, 1.0]
    """
    from .attacks.build import number

    if isinstance(given, str):
        spec = re.fullmatch(r"\s*geometric\(([^,]+),([^,]+),([^,]+)\)\s*", given)
        if spec:
            first, last = number(spec[1].strip(), place), number(spec[2].strip(), place)
            count = number(spec[3].strip(), place)
            if not (0 < first < last and count >= 2 and count == int(count)):
                raise UserError(place, f"{given!r} is no grid", "write geometric(smallest, largest, count)")
            step = math.log(last / first) / (count - 1)
            given = [float(f"{first * math.exp(step * k):.12g}") for k in range(int(count))]
        else:
            given = [part.strip() for part in given.strip("[]").split(",")]
    values = [number(e, place) for e in (given if isinstance(given, Sequence) else [given])]
    if not values:
        raise UserError(place, "no budget", "give at least one, for example 1/255")
    for value in values:
        if not value >= 0 or math.isinf(value):
            raise UserError(place, f"{value:g} is not a budget", "epsilon is 0 or larger")
        if norm == "linf" and value > 1:
            raise UserError(place, f"{value:g} is larger than the domain [0, 1]", f"did you mean {value:g}/255?")
    return sorted(set(values))
