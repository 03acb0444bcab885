"""Figures of a paper that are pictures, a panel for each audit that the recipe names."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ...errors import UserError, nearest
from ...explain.registry import MAPS
from ..read import CONDITIONS, NONE, Key, Outcome, Study, values_of
from ..select import check_where
from ..verdicts import protocols
from .boundary import boundary
from .confusion import confusion
from .examples import examples
from .maps import maps
from .part import Asked, Part, Shown
from .residual import residual

PICTURES: dict[str, Callable[[Asked], Shown]] = {
    "confusion": confusion,
    "examples": examples,
    "maps": maps,
    "boundary": boundary,
    "residual": residual,
}
KEYS = ("name", "kind", "where", "protocols", "map", "words")


@dataclass(frozen=True)
class PicturePanel:
    """What one audit shows.

    Args:
        title: its place, as far as it differs from that of the other panels.
        protocol: of the audit.
        parts: pictures, side by side.
        words: what is said of them, or why there are none.
    """

    title: str
    protocol: str
    parts: tuple[Part, ...]
    words: str


@dataclass(frozen=True)
class Pictured:
    """A figure of pictures: its name, words and kind, its panels, and how many audits it should show."""

    name: str
    words: str
    kind: str
    panels: tuple[PicturePanel, ...]
    num_panels: int


def pictured(study: Study, entry: Mapping[str, Any], place: str) -> Pictured:
    """A figure of a kind in PICTURES.

    Axes that `where` leaves open have a panel for each value of this profile; of repetitions, name one.

    Args:
        study: a study folder.
        entry: name, kind, words; where: axes, and the attack with its budget; map: of kind maps, a name of
            medrobust.explain.MAPS; protocols: those that are shown, all by default.
        place: of the entry, for errors.

    Errors: UserError for keys, axes, values, maps and protocols that there are not.
    """
    for key in entry:
        if key not in KEYS:
            raise UserError(f"{place}.{key}", "unknown key", nearest(str(key), KEYS))
    kind, where = str(entry["kind"]), entry.get("where", {})
    name = str(entry.get("map", ""))
    if (kind == "maps") != (name in MAPS):
        fix = nearest(name, list(MAPS)) if kind == "maps" else "it is for the kind maps"
        raise UserError(f"{place}.map", f"{name!r} is no map" if kind == "maps" else "is not asked for", fix)
    check_where(study, where, f"{place}.where")
    wanted = values_of(entry.get("protocols", protocols(study)))
    for one in wanted:
        if one not in protocols(study):
            raise UserError(f"{place}.protocols", f"no protocol {one!r}", nearest(one, protocols(study)))
    panels, num = [], 0
    for protocol in wanted:
        condition = _condition(study, where, protocol)
        jobs = [job for job in study.jobs if job.protocol == protocol and _inside(study, where, job.axes)]
        num += sum(job.cannot is None for job in jobs)
        for outcome in study.select(where, protocol):
            parts, words = PICTURES[kind](Asked(outcome, *condition, name))
            panels.append(PicturePanel(_title(study, where, outcome), protocol, parts, words))
    return Pictured(str(entry.get("name", "")), str(entry.get("words", "")), kind, tuple(panels), num)


def _condition(study: Study, where: Mapping[str, Any], protocol: str) -> Key:
    """The condition beside the unchanged images; these alone where no budget is named."""
    named = "epsilon" in where or "epsilon" in study.conditions.get(str(where.get("attack", NONE)), {})
    return study.condition_of(where, protocol) if named else (NONE, "", 0.0)


def _inside(study: Study, where: Mapping[str, Any], axes: Mapping[str, str]) -> bool:
    return all(axes[key] in values_of(value) for key, value in where.items() if key not in CONDITIONS)


def _title(study: Study, where: Mapping[str, Any], outcome: Outcome) -> str:
    """The values of the axes that tell panels apart."""
    fixed = {key for key, value in where.items() if len(values_of(value)) == 1}
    open_axes = [axis for axis, values in study.axes.items() if axis not in fixed and len(values) > 1]
    return " ".join(outcome.axes[axis] for axis in open_axes)
