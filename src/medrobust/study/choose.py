"""Which network to take: of those as good as the best on unchanged images the most robust, and then the simplest.

After Rodriguez et al. 2022, doi:10.1186/s12911-022-01891-w: whoever cannot defend a network takes the simplest one that
is good enough. Here "as good" is tested as an equivalence, and "more robust" is what the images can tell apart.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from ..errors import UserError, nearest
from ..numbers import epsilon_text
from ..records.intervals import UNDEFINED, Estimate, Grouping
from ..records.paired import difference, equivalence, moments
from .choice import BEST, NO, NOT_SHOWN, YES, Candidate, Choice
from .choose_words import cautions, reason, why
from .hypotheses.judged import absent, size
from .hypotheses.power import smallest_margin, visible_of
from .read import NONE, WORST, Key, Outcome, Study
from .select import Pooled, along, check_where, condition_words, full_key, group_names, pool

CLEAN: Key = (NONE, "", 0.0)
MARGIN, ALPHA = 0.03, 0.05


def choose(
    study: Study,
    where: Mapping[str, Any] | None = None,
    axis: str = "model",
    margin: float = MARGIN,
    condition: Key | None = None,
    protocol: str = "honest",
) -> Choice:
    """The network to take among the values of an axis.

    First those whose accuracy on unchanged images is equivalent to the best: two one-sided tests on the paired
    difference, within the margin. A network that is only "not different" is not among them. Of these the most robust,
    and of those whose robustness cannot be told from the most robust (the paired 95 % interval holds 0) the one with
    the fewest parameters. All on the same images, at the same values of all other axes, which are pooled.

    Args:
        study: as `read_study` gives it.
        where: values of other axes, as {"data": "chest_xray", "training": "standard"}; epsilon and norm too.
        axis: whose values are compared.
        margin: difference of clean accuracies that does not matter, above 0.
        condition: (attack, norm, epsilon) of robustness; by default epsilon of `where`, else the median budget of the
            worst case.
        protocol: whose cells are used.

    Errors: UserError for an unknown axis or value, a budget that was not measured, or where nothing can be compared.
    """
    where = dict(where or {})
    if axis not in study.all_axes:
        raise UserError("axis", f"no axis {axis!r} in this study", nearest(axis, study.all_axes))
    if not 0 < margin < 1:
        raise UserError("margin", f"{margin:g} is no margin", "give a share between 0 and 1, as 0.03")
    check_where(study, where, "where")
    where = {key: value for key, value in where.items() if key != axis}
    sides = {name: {**where, axis: name} for name in study.axes[axis]}
    run = [name for name, side in sides.items() if study.select(side, protocol)]
    left_out = tuple((name, absent(study, [sides[name]], protocol)) for name in sides if name not in run)
    if not run:
        raise UserError("choose", f"no cell of {axis} is done: {left_out[0][1]}", "run the study first")
    lists, _ = along(study, [sides[name] for name in run], protocol)
    if not lists[0]:
        raise UserError("choose", f"no place of the grid is done for all of {', '.join(run)}", "run the study first")
    cells = dict(zip(run, lists, strict=True))
    key = condition or _key(study, where, protocol, lists[0])
    _measured(cells, key)
    pairs = _Pairs(cells, key)
    found = _equivalent([_candidate(name, own, key) for name, own in cells.items()], pairs, margin)
    found = _decide(found, pairs, margin)
    kept = {name: value for name, value in where.items() if name in study.all_axes}
    grouping = Grouping(np.concatenate([group_names(one) for one in lists[0]]))
    return Choice(
        study.name, study.title, axis, kept, key, margin, tuple(found), why(found, margin),
        tuple(cautions(found, cells, left_out)), left_out, _power(found, pairs), len(grouping.groups),
        grouping.num_groups, len(lists[0]),
    )  # fmt: skip


class _Pairs:
    """Two candidates image by image, clean or under attack."""

    def __init__(self, cells: Mapping[str, list[Outcome]], key: Key) -> None:
        self._cells, self._key = cells, key

    def __call__(self, a: str, b: str, clean: bool) -> Pooled:
        key = CLEAN if clean else self._key
        found, problem = pool(self._cells[a], self._cells[b], (key, key), "accuracy")
        if found is None:
            raise UserError("choose", f"{a} and {b} cannot be compared: {problem}", "fix the data set with where")
        return found


def _key(study: Study, where: Mapping[str, Any], protocol: str, outcomes: Sequence[Outcome]) -> Key:
    """The budget that is asked for, else the median of those of the worst case, in the first norm."""
    if "epsilon" in where:
        return full_key(study.condition_of({"attack": WORST, **where}, protocol), outcomes)
    budgets = measured_budgets(outcomes, str(where.get("norm", "")))
    if not budgets:
        raise UserError("choose", "no worst case under attack was measured", "audit with protocol: honest")
    first = [key for key in budgets if key[1] == budgets[0][1]]
    return first[(len(first) - 1) // 2]


def measured_budgets(outcomes: Sequence[Outcome], norm: str = "") -> list[Key]:
    """The worst cases that were measured in the first of these cells, ascending in each norm."""
    rows = [row for row in outcomes[0].result["conditions"] if row["attack"] == WORST and row["epsilon"] > 0]
    norms = dict.fromkeys(row["norm"] for row in rows if norm in ("", row["norm"]))
    return [(WORST, n, e) for n in norms for e in sorted({row["epsilon"] for row in rows if row["norm"] == n})]


def _measured(cells: Mapping[str, list[Outcome]], key: Key) -> None:
    for name, outcomes in cells.items():
        for one in outcomes:
            for wanted in (CLEAN, key):
                if one.condition(*wanted) is None:
                    known = ", ".join(f"{n} {epsilon_text(e, n)}" for _, n, e in measured_budgets([one]))
                    raise UserError(
                        "epsilon",
                        f"{condition_words(wanted)} was not measured for {name}",
                        f"measured: {known or 'none'}",
                    )


def _candidate(name: str, outcomes: list[Outcome], key: Key) -> Candidate:
    groups = np.concatenate([group_names(one) for one in outcomes])
    shares: list[Estimate] = []
    for wanted in (CLEAN, key):
        rows = [one.correct(found) for one in outcomes if (found := one.condition(*wanted)) is not None]
        shares.append(Grouping(groups).mean(np.concatenate(rows)))
    counts = [one.result.get("num_parameters") for one in outcomes]
    known = [int(count) for count in counts if count is not None]
    return Candidate(name, max(known) if known else None, shares[0], shares[1])


def _equivalent(candidates: list[Candidate], pairs: _Pairs, margin: float) -> list[Candidate]:
    best = min(candidates, key=lambda one: (-one.clean.value, *one.order))
    found = []
    for one in candidates:
        if one is best:
            found.append(replace(one, equivalent=BEST, gap=Estimate(0.0, 0.0, 0.0)))
            continue
        both = pairs(best.name, one.name, True)
        gap, p = equivalence(both.a, both.b, both.grouping, margin, both.among)
        worse = difference(both.a, both.b, both.grouping, both.among).high < -margin
        found.append(replace(one, equivalent=YES if p < ALPHA else NO if worse else NOT_SHOWN, gap=gap, p=p))
    return found


def _decide(candidates: list[Candidate], pairs: _Pairs, margin: float) -> list[Candidate]:
    """Mark the one to take, and say of each why it is or is not."""
    good = [one for one in candidates if one.good_enough]
    most = min(good, key=lambda one: (-one.robust.value, *one.order))
    behind = {most.name: Estimate(0.0, 0.0, 0.0)}
    for one in good:
        if one is not most:
            both = pairs(most.name, one.name, False)
            behind[one.name] = difference(both.a, both.b, both.grouping, both.among)
    alike = [one for one in good if behind[one.name].high >= 0]
    take = min(alike, key=lambda one: one.order)
    found = []
    for one in candidates:
        found.append(
            replace(
                one,
                behind=behind.get(one.name, UNDEFINED),
                chosen=one is take,
                why=reason(one, take, most, behind.get(one.name, UNDEFINED), margin),
            )
        )
    rank = {YES: 0, BEST: 0, NOT_SHOWN: 1, NO: 2}
    return sorted(found, key=lambda one: (not one.chosen, rank[one.equivalent], -one.robust.value, *one.order))


def _power(candidates: list[Candidate], pairs: _Pairs) -> str:
    """The margin that could have been shown, and the difference under attack that could have been seen."""
    if len(candidates) == 1:
        return ""
    best = next(one for one in candidates if one.equivalent == BEST)
    margins, seen = [], []
    for one in candidates:
        if one is not best:
            both = pairs(best.name, one.name, True)
            found = moments(both.a, both.b, both.grouping, both.among)
            margins.append(smallest_margin(found.error) if found else math.nan)
            both = pairs(best.name, one.name, False)
            seen.append(visible_of(both.a, both.b, both.grouping, both.among))
    words = (
        "With these images, networks that do not differ are shown to be as good in 8 of 10 such studies within a "
        f"margin of {size(max(margins))} or more"
    )
    if any(math.isnan(value) for value in seen):
        return f"{words}; under attack there are too few images to tell any two apart."
    return f"{words}, and networks are told apart under attack from a difference of {size(max(seen))} on."
