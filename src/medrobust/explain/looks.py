"""Where a classifier looks, in words, by a rule on intervals: docs/how-to/explain.md says it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import isnan
from typing import NamedTuple

from ..records.intervals import Estimate

# Both numbers are ours.
MARGIN = 0.5  # of the area: a map with surely less than that above chance does not look at the lesion
FEWEST = 4.0  # places of a map that a lesion covers, two by two, below which the map is too coarse to miss it


class Looks(NamedTuple):
    """What follows from the relevance inside lesions.

    Args:
        verdict: "lesion", "elsewhere" or "not known"; of several maps "disagree" as well.
        words: that, for a report.
    """

    verdict: str
    words: str


def looks(mass: Mapping[str, Estimate], places: int | None = None) -> Looks:
    """The verdict of one map, of untouched images, as `inside_lesions` gives the relevance mass.

    lesion: the 95 % intervals of the paired differences to chance and to a map of the middle both lie above 0.
    elsewhere: the interval of the difference to chance lies below half the area of the lesions, and the map is fine
    enough: a lesion covers four of its places or more. Everything else is not known.

    Args:
        mass: the estimates of `inside_lesions(...)["mass"]`.
        places: that the map is made of, where it has less than one for each pixel.

    Example:
        >>> above, below = Estimate(0.3, 0.2, 0.4), Estimate(-0.1, -0.15, -0.05)
        >>> found = {"clean": Estimate(0.41, 0.3, 0.5), "chance": Estimate(0.12, 0.1, 0.14)}
        >>> looks(found | {"clean_over_chance": above, "clean_over_middle": above}).words
        'looks at the lesion more than chance (0.41 against 0.12 of the area)'
        >>> looks(found | {"clean_over_chance": below, "clean_over_middle": below}).verdict
        'elsewhere'
    """
    over_chance, over_middle, area = mass["clean_over_chance"], mass["clean_over_middle"], mass["chance"].value
    if isnan(area) or isnan(over_chance.value):
        return Looks("not known", "has no relevance anywhere")
    numbers = f"({mass['clean'].value:.2f} against {area:.2f} of the area)"
    coarse = places is not None and places * area < FEWEST
    if over_chance.low > 0 and over_middle.low > 0:
        return Looks("lesion", f"looks at the lesion more than chance {numbers}")
    if coarse:
        return Looks("not known", f"cannot tell {numbers}: a lesion covers less than four places of its layer")
    if over_chance.high < MARGIN * area:
        return Looks("elsewhere", f"does not look at the lesion more than chance {numbers}: something else decides")
    if over_chance.low > 0:
        return Looks("not known", f"cannot be told apart from a map of the middle, where lesions are {numbers}")
    return Looks("not known", f"cannot be told apart from chance {numbers}")


def together(verdicts: Mapping[str, str]) -> Looks:
    """The verdict of all maps that passed the sanity test: of those that are known, where they agree.

    Args:
        verdicts: title of a map -> its verdict.

    Example:
        >>> together({"Saliency": "lesion", "Grad-CAM": "not known"}).words
        'The classifier looks at the lesion, says Saliency; Grad-CAM cannot tell.'
        >>> together({"Saliency": "lesion", "Grad-CAM": "elsewhere"}).verdict
        'disagree'
    """
    by = {name: [title for title, verdict in verdicts.items() if verdict == name] for name in _SAYS}
    said = [f"{_SAYS[name]}, {_say(by[name])}" for name in ("lesion", "elsewhere") if by[name]]
    unsure = f"{_listed(by['not known'])} cannot tell" if by["not known"] else ""
    if len(said) == 2:
        return Looks("disagree", f"The maps disagree: {_joined(*said, unsure)}.")
    if said:
        verdict = "lesion" if by["lesion"] else "elsewhere"
        return Looks(verdict, f"The classifier {_joined(said[0], unsure)}.")
    if unsure:
        return Looks("not known", "No map can tell whether the classifier looks at the lesion.")
    return Looks("not known", "No map that passed the sanity test could be compared with the lesions.")


_SAYS = {
    "lesion": "looks at the lesion",
    "elsewhere": "does not look at the lesion more than chance, so that something else decides",
    "not known": "",
}


def _joined(*parts: str) -> str:
    return "; ".join(part for part in parts if part)


def _say(titles: Sequence[str]) -> str:
    return f"{'says' if len(titles) == 1 else 'say'} {_listed(titles)}"


def _listed(titles: Sequence[str]) -> str:
    return titles[0] if len(titles) == 1 else f"{', '.join(titles[:-1])} and {titles[-1]}"
