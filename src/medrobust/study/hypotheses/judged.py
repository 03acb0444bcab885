"""What is said of a hypothesis, in numbers and in words."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ...auditing.compare import p_text
from ...report.words import counted
from ..read import Study, values_of

HOLDS, CONTRADICTED, NOT_SHOWN, NOT_RUN = "holds", "contradicted", "not shown", "not run"
ALPHA = 0.05
FLOOR = 0.02  # shares below it, or above 1 less it, leave no room for a difference


@dataclass(frozen=True)
class Judged:
    """A hypothesis under one protocol.

    Args:
        name, claim: of the recipe.
        protocol: paper or honest.
        verdict: holds, contradicted, not shown or not run.
        effect: by how much what is claimed to be better is better, 0.01 a point; NaN where it was not run.
        low, high: its 95 % interval (90 % of a hypothesis of equality, as two one-sided tests use it).
        p: corrected by Holm where a claim has several comparisons; the largest of them.
        power_words: which effect could have been seen.
        words: what was found.
        num_pairs: pairs of cells, or cells, that it was found in.
        kind: rank, better, equal or referral.
        rho: Spearman's correlation of a claimed order, NaN of other kinds.
        parts: of a claim with several comparisons, each of them.
    """

    name: str
    claim: str
    protocol: str
    verdict: str
    effect: float
    low: float
    high: float
    p: float
    power_words: str
    words: str
    num_pairs: int
    kind: str = ""
    rho: float = math.nan
    parts: tuple[Judged, ...] = field(default=())


def not_run(given: Mapping[str, Any], protocol: str, why: str) -> Judged:
    """A hypothesis that nothing was found on, and why."""
    nothing = math.nan
    return Judged(
        str(given["name"]), str(given.get("claim", "")), protocol, NOT_RUN, nothing, nothing, nothing, nothing,
        "", f"Not run: {why}.", 0, str(given["kind"]),
    )  # fmt: skip


def verdict_of(low: float, high: float, p: float) -> str:
    """By an interval of a difference, above 0 as claimed, and its two-sided p.

    Example:
        >>> verdict_of(0.1, 0.3, 0.01), verdict_of(-0.3, -0.1, 0.01), verdict_of(-0.1, 0.3, 0.2)
        ('holds', 'contradicted', 'not shown')
    """
    if not p < ALPHA:
        return NOT_SHOWN
    return HOLDS if low > 0 else CONTRADICTED if high < 0 else NOT_SHOWN


def absent(study: Study, sides: Sequence[Mapping[str, Any]], protocol: str) -> str:
    """Why no outcomes of all these selections are there, in words."""
    for side in sides:
        if study.select(side, protocol):
            continue
        wanted = {key: values_of(value) for key, value in side.items() if key in study.all_axes}
        for axis, values in wanted.items():
            if not set(values) & set(study.axes[axis]):
                return f"the profile {study.profile} leaves out {axis} {' and '.join(values)}"
        jobs = [
            job for job in study.jobs
            if job.protocol == protocol and all(job.axes[axis] in values for axis, values in wanted.items())
        ]  # fmt: skip
        if not jobs:
            return f"the profile {study.profile} has no such cells under the protocol {protocol}"
        reasons = [job.cannot for job in jobs if job.cannot is not None]
        if len(reasons) == len(jobs):
            return f"it cannot be run here, {reasons[0]}"
        failed = [why for job, why in study.failed if job in jobs]
        if failed:
            return f"{counted(len(failed), 'cell')} failed, the first with {failed[0]!r}"
        return (
            f"the cells of {', '.join(f'{axis} {values[0]}' for axis, values in wanted.items()) or 'it'} are not done"
        )
    return "no cells of both sides agree in all other axes"


def points(value: float, low: float = math.nan, high: float = math.nan, share: bool = True) -> str:
    """A difference with its interval: in points of 100 where it is one of shares.

    Example:
        >>> points(0.22, 0.12, 0.31), points(-0.05, share=False)
        ('+22.0 points [+12.0, +31.0]', '-0.050')
    """
    scale, decimals, unit = (100, 1, " points") if share else (1, 3, "")
    said = f"{_plain(scale * value, decimals)}{unit}"
    known = not (math.isnan(low) or math.isnan(high))
    return f"{said} [{_plain(scale * low, decimals)}, {_plain(scale * high, decimals)}]" if known else said


def _plain(value: float, decimals: int) -> str:
    said = f"{value:+.{decimals}f}"
    return said[1:] if float(said) == 0 else said


def size(value: float, share: bool = True) -> str:
    """How large a difference is, without its sign.

    Example:
        >>> size(0.0712), size(0.05, share=False)
        ('7.1 points', '0.050')
    """
    return f"{100 * value:.1f} points" if share else f"{value:.3f}"


def floor_words(shares: Iterable[float]) -> str:
    """A remark where nothing can be told apart, as all sides read next to no image correctly, or nearly all of them.

    Example:
        >>> floor_words([0.0, 0.01]), floor_words([0.0, 0.4])
        ('; none withstands this budget, only a smaller one could tell them apart', '')
    """
    values = list(shares)
    if max(values) <= FLOOR:
        return "; none withstands this budget, only a smaller one could tell them apart"
    return "; all withstand it, only harder images could tell them apart" if min(values) >= 1 - FLOOR else ""


def p_words(p: float) -> str:
    """A p-value in a sentence.

    Example:
        >>> p_words(0.0421), p_words(1e-7), p_words(float("nan"))
        ('p = 0.042', 'p < 0.001', 'no p')
    """
    if math.isnan(p):
        return "no p"
    said = p_text(p)
    return f"p {said[0]} {said[1:].strip()}" if said[0] in "<>" else f"p = {said}"


def seen_words(what: str, visible: float, num: str, level: str = ".05", share: bool = True) -> str:
    """Which effect could have been seen."""
    if math.isnan(visible):
        return f"With {num}, no {what} could have been shown, however large."
    return (
        f"With {num}, a {what} of {size(visible, share)} or more would have been found in 8 of 10 such studies "
        f"(80 % power, alpha {level})."
    )
