"""Every hypothesis of a study, under both protocols."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ...errors import UserError, nearest
from ...numbers import parse_number
from ...records.metric_names import METRICS
from ..read import Study
from ..select import check_where
from .better import better
from .judged import Judged
from .rank import rank
from .referral import referral

PROTOCOLS = ("paper", "honest")
Kind = Callable[[Study, Mapping[str, Any], str], Judged]
KINDS: dict[str, Kind] = {"rank": rank, "better": better, "equal": better, "referral": referral}
NEEDED: dict[str, tuple[str, ...]] = {
    "rank": ("axis", "order"),
    "better": ("better", "than"),
    "equal": ("better", "than"),
    "referral": ("fraction",),
}
COMMON = ("name", "claim", "kind", "where", "metric")


def judge(study: Study) -> list[Judged]:
    """What each named hypothesis of a study comes to, for the protocols paper and honest.

    An interval speaks of other images read by the same networks; another training may differ, and the words say how
    many there were. p-values are corrected over the comparisons of one hypothesis, not over the hypotheses of a study.

    Args:
        study: as `read_study` gives it; cells may be missing.

    Errors: UserError for a hypothesis that lacks a key, or names an axis or a value that the study does not have.
    """
    for number, given in enumerate(study.hypotheses):
        check(study, given, number)
    return [KINDS[str(given["kind"])](study, given, protocol) for given in study.hypotheses for protocol in PROTOCOLS]


def check(study: Study, given: Mapping[str, Any], number: int) -> None:
    """Refuse a hypothesis that cannot be judged as it is written.

    Errors: UserError.
    """
    place = f"hypotheses.{given.get('name', number)}"
    kind = given.get("kind")
    if kind not in KINDS:
        raise UserError(f"{place}.kind", f"unknown kind {kind!r}", nearest(str(kind), KINDS))
    for key in given:
        valid = (*COMMON, *NEEDED[str(kind)], *(("margin",) if kind == "equal" else ()))
        if key not in valid:
            raise UserError(f"{place}.{key}", "unknown key", nearest(str(key), valid))
    metric = str(given.get("metric", "accuracy"))
    if metric not in METRICS:
        raise UserError(f"{place}.metric", f"unknown metric {metric!r}", nearest(metric, METRICS))
    for key in ("name", *NEEDED[str(kind)]):
        if key not in given:
            raise UserError(place, f"a hypothesis of kind {kind} needs {key}", f"add {key}")
    check_where(study, given.get("where", {}), f"{place}.where")
    if kind == "equal":
        parse_number(given.get("margin", 0), f"{place}.margin")
    if kind == "rank":
        check_where(study, {given["axis"]: list(given["order"])}, f"{place}.order")
    elif kind in ("better", "equal"):
        check_where(study, given["better"], f"{place}.better")
        for other in given["than"] if isinstance(given["than"], (list, tuple)) else [given["than"]]:
            check_where(study, other, f"{place}.than")
