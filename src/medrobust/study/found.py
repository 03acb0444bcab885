"""Our value of a number of a paper, from the outcomes of a study that it speaks of, or why there is none."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..errors import UserError
from ..records.intervals import Estimate
from .expected import NUM_PARAMETERS, Wanted
from .read import CONDITIONS, NONE, Job, Key, Outcome, Study, values_of
from .values import difference_of, estimate_of, pooled, spread_of
from .words import without_paths

NOT_RUN, CANNOT_RUN = "not run", "cannot run"
COUNTED = "counted in the network of the recipe, not run"
MODEL, LAYER = "model", "layer"  # keys of a selection that name a network of the recipe, and one of its layers
Place = tuple[str, ...]


@dataclass(frozen=True)
class Found:
    """What a study says on a number.

    Args:
        estimate: our value as a share (a count for num_parameters) with its 95 % interval; None where there is none.
        num_used, num_jobs: jobs whose mean it is, and those of this profile that it should be.
        spread: the same value from the lowest repetition to the highest; of one repetition as `estimate`.
        verdict: not run or cannot run, where there is no value.
        why: the reason for that.
        note: of a value that is of less than what the paper's is, what is left out.
    """

    estimate: Estimate | None
    num_used: int = 0
    num_jobs: int = 0
    spread: Estimate | None = None
    verdict: str = ""
    why: str = ""
    note: str = ""


@dataclass(frozen=True)
class Selected:
    """The jobs of one protocol at one selection: of each the repetition that it belongs to, and its place in that."""

    runnable: Mapping[tuple[Place, Place], Job]
    done: Mapping[tuple[Place, Place], Outcome]
    blocked: tuple[str, ...]


def find(study: Study, wanted: Wanted, protocol: str) -> Found:
    """Our value of a number under a protocol.

    Axes that the selection leaves open (splits, seeds, folds) are repetitions: one counts when all its jobs that
    can run are done. Of several values of an axis (`model=a,b`) the mean is meant, of those that this profile has.

    Args:
        study: a study folder.
        wanted: the number.
        protocol: paper or honest.
    """
    sides = (wanted, wanted.other) if wanted.minus else (wanted,)
    if all(_is_counted(study, side) for side in sides):
        return _counted(study, sides)
    ruled = next((why for side in sides if (why := _ruled(study, side, protocol))), "")
    lacking = next((lack for side in sides if (lack := _lacking(study, side.where))), None)
    if lacking:
        return Found(None, verdict=CANNOT_RUN, why=ruled) if ruled else Found(None, verdict=lacking[0], why=lacking[1])
    try:
        keys = [study.condition_of(side.where, protocol) for side in sides]
    except UserError as error:
        return Found(None, verdict=CANNOT_RUN, why=str(error))
    stated = set(wanted.where)
    selected = [_selected(study, side.where, protocol, stated) for side in sides]
    jobs = list({id(job): job for one in selected for job in one.runnable.values()}.values())
    empty = next((one for one in selected if not one.runnable), None)
    if empty:
        blocked = ruled or "; ".join(dict.fromkeys(empty.blocked))
        absent = f"this profile has no job of it under the protocol {protocol}"
        return Found(None, verdict=CANNOT_RUN if blocked else NOT_RUN, why=blocked or absent)
    units, used, complete = [], {}, False
    for unit, places in _units(selected).items():
        complete = True
        members = [[one.done[unit, place] for one in selected] for place in places]
        estimates = [_estimate(member, sides, keys) for member in members]
        known = [one for one in estimates if one is not None]
        if len(known) == len(members):
            units.append(known)
            used.update({id(outcome): outcome for member in members for outcome in member})
    if not units:
        if ruled:
            return Found(None, 0, len(jobs), verdict=CANNOT_RUN, why=ruled)
        why = _unmeasured(wanted.metric, keys) if complete else _unfinished(study, jobs)
        return Found(None, 0, len(jobs), verdict=NOT_RUN, why=why)
    reach = (-1.0 if wanted.minus else 0.0, 1.0)
    if wanted.metric == NUM_PARAMETERS:
        reach = (-math.inf, math.inf)
    sets = {tuple(one.result["image_ids"]) for one in used.values()}
    note = _note(wanted.where, list(used.values()), len(jobs))
    ours = pooled(units, len(sets), reach)
    return Found(ours, len(used), len(jobs), spread_of(units) if len(units) > 1 else ours, note=note)


def _is_counted(study: Study, side: Wanted) -> bool:
    """Whether a number is of a network of the recipe that no audit is of."""
    name = side.where.get(MODEL)
    return side.metric == NUM_PARAMETERS and name in study.networks and name not in study.all_axes.get(MODEL, ())


def _counted(study: Study, sides: tuple[Wanted, ...]) -> Found:
    """Parameters of a network or of one of its layers, the same under every protocol, in every profile."""
    numbers = []
    for side in sides:
        name, layer = side.where[MODEL], side.where.get(LAYER)
        rest = {key: text for key, text in side.where.items() if key not in (MODEL, LAYER)}
        lacking = _lacking(study, rest)
        if lacking and lacking[0] == CANNOT_RUN:  # a misspelled layer= must not pass as the total
            return Found(None, verdict=CANNOT_RUN, why=lacking[1])
        layers = study.networks[name]["layers"]
        if layer is not None and layer not in layers:
            return Found(None, verdict=CANNOT_RUN, why=f"the network {name} of the recipe has no layer {layer}")
        numbers.append(float(study.networks[name]["total"] if layer is None else layers[layer]))
    value = numbers[0] - sum(numbers[1:])
    ours = Estimate(value, value, value)
    return Found(ours, spread=ours, note=COUNTED)


def _units(selected: list[Selected]) -> dict[Place, list[Place]]:
    """The repetitions of which every job that can run is done, each with the places of its jobs."""
    found: dict[Place, list[Place]] = {}
    for unit, place in selected[0].runnable:
        found.setdefault(unit, []).append(place)
    return {
        unit: places
        for unit, places in found.items()
        if all((unit, place) in one.done for one in selected for place in places)
    }


def _estimate(member: list[Outcome], sides: tuple[Wanted, ...], keys: list[Key]) -> Estimate | None:
    if len(sides) == 1:
        return estimate_of(member[0], sides[0], keys[0])
    return difference_of((member[0], member[1]), (sides[0], sides[1]), (keys[0], keys[1]))


def chosen(study: Study, where: Mapping[str, str]) -> dict[str, tuple[str, ...]]:
    """Axis -> the values of this profile that a selection names; axes that it leaves open are not in it."""
    return {
        axis: tuple(value for value in values_of(where[axis]) if value in study.axes.get(axis, ()))
        for axis in study.all_axes
        if axis in where
    }


def _selected(study: Study, where: Mapping[str, str], protocol: str, stated: set[str]) -> Selected:
    names = chosen(study, where)

    def key(axes: Mapping[str, str]) -> tuple[Place, Place]:
        """What is left open is the repetition; of what is stated, a list has places in their order."""
        unit = tuple(axes[axis] for axis in study.all_axes if axis not in stated)
        return unit, tuple(axes[axis] for axis in names if len(values_of(where[axis])) > 1)

    def inside(axes: Mapping[str, str], of: str) -> bool:
        return of == protocol and all(axes[axis] in values for axis, values in names.items())

    jobs = [job for job in study.jobs if inside(job.axes, job.protocol)]
    return Selected(
        {key(job.axes): job for job in jobs if job.cannot is None},
        {key(one.axes): one for one in study.outcomes if inside(one.axes, one.protocol)},
        tuple(job.cannot for job in jobs if job.cannot is not None),
    )


def _lacking(study: Study, where: Mapping[str, str]) -> tuple[str, str] | None:
    """What of a selection is not in this study, or not in this profile."""
    for key, text in where.items():
        if key in CONDITIONS:
            continue
        if key not in study.all_axes:
            return CANNOT_RUN, f"the study does not tell results apart by {key} ({key}={text})"
        values = values_of(text)
        unknown = [value for value in values if value not in study.all_axes[key]]
        if len(unknown) == len(values):
            return CANNOT_RUN, f"{key}={text} is not in the study"
        if not set(values) & set(study.axes.get(key, ())):
            return NOT_RUN, f"{key}={text} is not in this profile"
    return None


def _ruled(study: Study, side: Wanted, protocol: str) -> str:
    """Why nobody can run a selection, by the study's list of that; "" where it names no reason."""
    given = {**side.where, "metric": side.metric, "subset": side.subset, "protocol": protocol}
    for rule in study.cannot:
        where: Mapping[str, Any] = rule["where"]
        allowed = {
            key: {str(v) for v in (value if isinstance(value, list) else [value])} for key, value in where.items()
        }
        if all(key in given and set(values_of(given[key])) <= values for key, values in allowed.items()):
            return str(rule["why"])
    return ""


def _unfinished(study: Study, jobs: list[Job]) -> str:
    """Why no repetition is complete: the error of a job that failed, or how many are still to be done."""
    failed = [why for job, why in study.failed if any(job is one for one in jobs)]
    if failed:
        return f"failed: {without_paths(failed[0])}"
    done = {(tuple(one.axes.items()), one.protocol) for one in study.outcomes}
    return f"{sum((tuple(job.axes.items()), job.protocol) in done for job in jobs)} of {len(jobs)} jobs are done"


def _unmeasured(metric: str, keys: list[Key]) -> str:
    under = [
        "on unchanged images" if attack == NONE else f"under {attack} at epsilon {epsilon:.6g}"
        for attack, _, epsilon in keys
    ]
    return f"the audits have no {metric} {' or '.join(dict.fromkeys(under))}"


def _note(where: Mapping[str, str], used: list[Outcome], num_jobs: int) -> str:
    """What a value leaves out of what the paper's is the mean of."""
    parts = []
    for axis, text in where.items():
        asked, given = values_of(text), {one.axes.get(axis) for one in used}
        if len(asked) > 1 and not set(asked) <= given:
            there = [value for value in asked if value in given]
            parts.append(f"{len(there)} of {len(asked)} values of {axis} ({', '.join(there)})")
    if len(used) < num_jobs:
        parts.append(f"{len(used)} of {num_jobs} jobs")
    return "; ".join(parts)
