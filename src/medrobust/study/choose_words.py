"""Why a network is taken, and what to know before acting on it, in words."""

from __future__ import annotations

from collections.abc import Mapping

from ..records.intervals import Estimate
from ..report.words import listed
from .choice import BEST, NO, NOT_SHOWN, Candidate, undecided
from .hypotheses.judged import points, size
from .read import Outcome

WEAK = 0.5  # under attack: a network that reads fewer images correctly does not withstand the attack


def reason(one: Candidate, take: Candidate, most: Candidate, behind: Estimate, margin: float) -> str:
    """Why one of the candidates is taken or not."""
    if one is take:
        return "taken" if one is not most else "taken: the most robust of those that are good enough"
    if one.equivalent == NO:
        return f"not as good on unchanged images: {points(one.gap.value, one.gap.low, one.gap.high)}"
    if one.equivalent == NOT_SHOWN:
        return f"not shown to be as good within {size(margin)}: {points(one.gap.value, one.gap.low, one.gap.high)}"
    if behind.high < 0:
        return f"less robust than {most.name}: {points(behind.value, behind.low, behind.high)}"
    return f"as robust as {take.name} as far as these images tell, and not simpler"


def why(candidates: list[Candidate], margin: float) -> str:
    """Why the first of the candidates is taken."""
    take = candidates[0]
    good = [one for one in candidates if one.good_enough]
    alike = [one for one in good if one.behind.high >= 0]
    best = next(one for one in candidates if one.equivalent == BEST)
    if len(candidates) == 1:
        return f"{take.name} is the only one that was measured, so that there was nothing to choose from."
    if len(good) == 1:
        return (
            f"{take.name} is the best on unchanged images, and no other is shown to be as good within {size(margin)}; "
            "robustness did not have to decide."
        )
    others = [one.name for one in good if one is not best]
    verb = "is" if len(others) == 1 else "are"
    opening = f"{listed(others)} {verb} as good on unchanged images as the best, {best.name}, within {size(margin)}. "
    if len(alike) == 1:
        return f"{opening}{take.name} is the most robust of them, by more than chance explains."
    most = min(alike, key=lambda one: (-one.robust.value, *one.order))
    told = listed([one.name for one in alike if one is not most])
    has = "has" if take.num_parameters is not None else "is taken by name; nothing says which has"
    return (
        f"{opening}{most.name} is the most robust, and {told} cannot be told from it with these images; of these "
        f"{take.name} {has} the fewest parameters."
    )


def cautions(
    candidates: list[Candidate], cells: Mapping[str, list[Outcome]], left_out: tuple[tuple[str, str], ...]
) -> list[str]:
    """What the reader should know before acting on it."""
    take, found = candidates[0], []
    top = max(one.robust.value for one in candidates if one.good_enough)
    if top < WEAK:
        found.append(
            f"Under this attack the most robust of them reads {100 * top:.0f} of 100 images correctly: none withstands "
            "it. A smaller budget, or hardened networks, would be a better ground to choose on."
        )
    open_ = undecided(candidates)
    if open_:
        found.append(
            f"{listed(open_)} may be more robust, but might lose more on unchanged images than "
            "the margin allows. More images would decide."
        )
    doubtful = {name: against(own) for name, own in cells.items()}
    said = {name: why for name, why in doubtful.items() if why}
    if said:
        first = next(iter(said))
        found.append(
            f"By their own audits, the numbers of {listed(list(said))} may not be quoted. Of {first}: {said[first]} "
            "A network whose attack failed looks more robust than it is."
        )
    if len(cells[take.name]) == 1:
        found.append("Each was trained once. Another training of the same network may do better or worse.")
    found += [f"{name} was not compared: {why}." for name, why in left_out]
    return found


def against(outcomes: list[Outcome]) -> str:
    """The first reason why an audit may not be quoted; nothing where all may."""
    for one in outcomes:
        said = one.result.get("quotable") or {}
        if said.get("value") == "no":
            why = said.get("why") or ["it does not say why."]
            return str(why if isinstance(why, str) else why[0]).rstrip(".") + "."
    return ""
