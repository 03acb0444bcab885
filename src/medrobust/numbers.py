"""A number as people write it, budgets, and a budget as people read it."""

from __future__ import annotations

import math
import re
from typing import Any

from .errors import UserError

GREYS = (0.1, 0.2, 0.3, 0.5, 1, 2, 3, 5, 8, 10)
DEFAULT_EPSILONS: dict[str, Any] = {
    "linf": [f"{k:g}/255" for k in GREYS],
    "l2": "geometric(0.02, 2, 10)",
    "l1": "geometric(0.5, 50, 10)",
}
# Families of corruptions, whose budget is a severity; everyday is all of them. Here, so that recipes need no torch.
FAMILIES = ("noise", "blur", "resolution", "light", "color", "scanner", "geometry", "everyday")
MOST_SEVERE, SEVERITY_STEP = 5.0, 0.5
DEFAULT_EPSILONS |= {family: [1, 2, 3, 4, 5] for family in FAMILIES}


def parse_number(text: Any, where: str) -> float:
    """A number as people write it: 0.03, "1e-3", "8/255", "2%".

    Errors: UserError when it is none of these.

    Example:
        >>> parse_number("2%", "x"), round(parse_number("8/255", "x"), 6)
        (0.02, 0.031373)
    """
    try:
        if isinstance(text, bool):
            raise ValueError
        if isinstance(text, str) and text.strip().endswith("%"):
            return float(text.strip()[:-1]) / 100
        if isinstance(text, str) and "/" in text:
            above, below = text.split("/")
            return float(above) / float(below)
        return float(text)
    except (TypeError, ValueError, ZeroDivisionError) as error:
        raise UserError(where, f"{text!r} is not a number", "write 8/255, 0.03 or 2%") from error


def parse_budgets(
    given: Any, norm: str = "linf", place: str = "threat.epsilons", domain: tuple[float, float] = (0.0, 1.0)
) -> list[float]:
    """A grid of budgets: a list, one value, `a, b, c`, or geometric(first, last, count).

    Errors: UserError for what is not a number, is negative, for linf exceeds the domain, or for a family of corruptions
        is no half of a severity up to 5.

    Example:
        >>> [round(255 * e, 3) for e in parse_budgets(["8/255", "1/255"])]
        [1.0, 8.0]
        >>> parse_budgets("geometric(0.01, 1, 3)")
        [0.01, 0.1, 1.0]
    """
    if isinstance(given, str):
        spec = re.fullmatch(r"\s*geometric\(([^,]+),([^,]+),([^,]+)\)\s*", given)
        if spec:
            first, last = parse_number(spec[1].strip(), place), parse_number(spec[2].strip(), place)
            count = parse_number(spec[3].strip(), place)
            if not (0 < first < last and count >= 2 and count == int(count)):
                raise UserError(place, f"{given!r} is no grid", "write geometric(smallest, largest, count)")
            step = math.log(last / first) / (count - 1)
            given = [float(f"{first * math.exp(step * k):.12g}") for k in range(int(count))]
        else:
            given = [part.strip() for part in given.strip("[]").split(",")]
    try:
        listed = list(given)  # a tuple, an array, a tensor
    except TypeError:
        listed = [given]
    values = [parse_number(e, place) for e in listed]
    if not values:
        raise UserError(place, "no budget", "give at least one, for example 1/255")
    for value in values:
        if not value >= 0 or math.isinf(value):
            raise UserError(place, f"{value:g} is not a budget", "epsilon is a finite number, 0 or larger")
        low, high = domain
        if norm == "linf" and value > high - low:
            reason = f"{value:g} is larger than the domain [{low:g}, {high:g}]"
            raise UserError(place, reason, f"did you mean {value:g}/255?")
        if norm in FAMILIES and (value > MOST_SEVERE or value % SEVERITY_STEP):
            reason = f"{value:g} is no severity of {norm}"
            raise UserError(place, reason, f"write steps of {SEVERITY_STEP:g} from 0 to {MOST_SEVERE:g}")
    return sorted(set(values))


def epsilon_text(epsilon: float, norm: str) -> str:
    """A budget as people read it: grey levels of 255 for linf, a severity as such, the distance itself otherwise.

    Example:
        >>> epsilon_text(1 / 255, "linf"), epsilon_text(0.25, "l2"), epsilon_text(1.5, "blur")
        ('1/255', '0.25', 'severity 1.5')
    """
    if norm in FAMILIES:
        return f"severity {epsilon:.4g}"
    return f"{epsilon * 255:.4g}/255" if norm == "linf" else f"{epsilon:.4g}"
