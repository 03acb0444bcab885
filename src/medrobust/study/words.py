"""How the pages of a study write numbers, places and what went wrong."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

from ..records.intervals import Estimate
from ..records.metric_names import METRICS
from .expected import COUNT, NUM_PARAMETERS, PERCENT, POINTS, SHARE

PROTOCOL_WORDS = {"paper": "as published", "honest": "honest"}
FOLDERS = re.compile(r"(?<![\w.:/\\])(?:[A-Za-z]:[\\/]|~?/)(?:[^\s/\\'\":;,()]+[\\/])+")


def without_paths(text: str) -> str:
    """A message without the folders of the machine on which it was written.

    Example:
        >>> without_paths("/home/a/data/x.png: no such file; 1/255 and https://a.org/b/c stay")
        '.../x.png: no such file; 1/255 and https://a.org/b/c stay'
    """
    return FOLDERS.sub(".../", text)


def sentence(text: str) -> str:
    """Words with a full stop, where there are any.

    Example:
        >>> sentence("PGD alone"), sentence("Yes."), sentence("")
        ('PGD alone.', 'Yes.', '')
    """
    return text if not text or text.endswith((".", "!", "?")) else f"{text}."


def axes_text(axes: Mapping[str, str]) -> str:
    """A place of the grid in words.

    Example:
        >>> axes_text({"data": "xray", "split": "0"})
        'data=xray, split=0'
    """
    return ", ".join(f"{axis}={value}" for axis, value in axes.items())


def in_unit(value: float, unit: str) -> str:
    """A share of ours as a paper prints it in a unit.

    Example:
        >>> in_unit(0.8837, "%"), in_unit(-0.059, "points"), in_unit(0.8837, "1"), in_unit(121676610, "count")
        ('88.4', '-5.9', '0.884', '121,676,610')
    """
    if unit == COUNT:
        return f"{value:,.0f}"
    if unit == SHARE:
        return f"{value + 0.0:.3f}"
    return f"{100 * value + 0.0:+.1f}" if unit == POINTS else f"{100 * value + 0.0:.1f}"


def interval_text(estimate: Estimate, unit: str) -> str:
    """The interval in a unit; "" where there is none, and of a count that is the same everywhere."""
    if math.isnan(estimate.low) or math.isnan(estimate.high) or (unit == COUNT and estimate.low == estimate.high):
        return ""
    return f"[{in_unit(estimate.low, unit)}, {in_unit(estimate.high, unit)}]"


def metric_words(metric: str) -> str:
    """The name of a metric for readers.

    Example:
        >>> metric_words("auroc"), metric_words("macro_precision")
        ('AUROC', 'Macro precision')
    """
    return METRICS[metric].name if metric in METRICS else metric.replace("_", " ").capitalize()


def unit_words(unit: str, metric: str) -> str:
    """What a column of numbers is counted in.

    Example:
        >>> unit_words("%", "accuracy"), unit_words("1", "macro_f1")
        ('Accuracy, %', 'F1, mean over classes')
    """
    if metric == NUM_PARAMETERS:
        return "Number of parameters"
    name = metric_words(metric)
    return {PERCENT: f"{name}, %", POINTS: f"{name}, points"}.get(unit, name)


def _given(value: Any) -> float | None:
    """A number, None where there is none."""
    return None if value is None or math.isnan(float(value)) else float(value)


def effect_text(one: Mapping[str, Any]) -> str:
    """The effect of a claim with its interval; "" where there is none.

    Example:
        >>> effect_text({"effect": 0.1234, "low": 0.01, "high": 0.25}), effect_text({"effect": None})
        ('0.123 [0.010, 0.250]', '')
    """
    effect, low, high = (_given(one.get(name)) for name in ("effect", "low", "high"))
    if effect is None:
        return ""
    return f"{effect:.3f}" if low is None or high is None else f"{effect:.3f} [{low:.3f}, {high:.3f}]"


def p_text(one: Mapping[str, Any]) -> str:
    """The p of a claim's test; "" where there is none."""
    p = _given(one.get("p"))
    return "" if p is None else "< 0.001" if p < 0.001 else f"{p:.3f}"
