"""The words on one comparison or on several, in which what they have in common stands once."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from ...report.words import listed
from .judged import CONTRADICTED, HOLDS, NOT_SHOWN, size

VERDICTS = {HOLDS: "as claimed", CONTRADICTED: "the other way round", NOT_SHOWN: "could not be told"}
POINTS = " points"


class Seen(NamedTuple):
    """Which effect a comparison could have shown.

    Args:
        what: it was made on, in words.
        least: the smallest such effect, or of equality the smallest margin, 0.01 a point; NaN where there is none.
        level: alpha in words, corrected for the number of comparisons.
        equal: whether equality was claimed.
        share: whether it is one of shares, which are told in points.
    """

    what: str
    least: float
    level: str
    equal: bool = False
    share: bool = True


class Told(NamedTuple):
    """What one comparison found, in pieces of a sentence.

    Args:
        name: of what it is compared with.
        start: the condition, and how often the side that is claimed to be better is right.
        against: how often the other side is.
        effect: the difference with its interval.
        remarks: what else is to be known.
        seen: which effect it could have shown.
    """

    name: str
    start: str
    against: str
    effect: str
    remarks: tuple[str, ...]
    seen: Seen


class Shown(NamedTuple):
    """One of several comparisons: its name, its pieces (None: not run), its words, its p in words, its verdict."""

    name: str
    told: Told | None
    words: str
    p: str
    verdict: str


def answers(n: int, num_images: int, num_networks: int, kind: str = "images") -> tuple[str, str]:
    """How many answers were compared, and in brackets of how many networks on how many images.

    Args:
        n: answers of each side.
        num_images: different images.
        num_networks: on each side.
        kind: images, or which of them.

    Example:
        >>> answers(100, 100, 1), answers(480, 240, 2)[0]
        (('100 images', ''), '480 answers')
        >>> print(*(answers(*given)[1] for given in ((480, 240, 2), (200, 185, 2), (60, 60, 3))), sep="")
         (240 images, 2 networks on each side) (185 images, each read by at least one of the 2 networks on each side)\
 (60 images, each read by one of the 3 networks on each side)
    """
    if num_networks == 1:
        return f"{n} {kind}", ""
    networks = f"{num_networks} networks on each side"
    if n != num_images * num_networks:
        networks = f"each read by {'one' if n == num_images else 'at least one'} of the {networks}"
    return f"{n} answers", f" ({num_images} {kind}, {networks})"


def alone(told: Told, p: str) -> str:
    """One comparison in a sentence.

    Args:
        p: in words.

    Example:
        >>> seen = Seen("100 images", 0.1, ".05")
        >>> alone(Told("old", "New reads 6 of 9 correctly", "4 of old", "+22.2 points", ("one pair",), seen), "p = 0.2")
        'New reads 6 of 9 correctly against 4 of old: +22.2 points; one pair; p = 0.2.'
    """
    return f"{told.start} against {told.against}: {'; '.join((told.effect, *told.remarks, p))}."


def together(shown: Sequence[Shown]) -> str:
    """Several comparisons: once what they have in common, then each other side with its difference, p and verdict."""
    groups: dict[str, list[Shown]] = {}
    for one in shown:
        groups.setdefault(one.told.start if one.told else "", []).append(one)
    lacking, said = groups.pop("", []), []
    alike = len({one.verdict for one in shown}) == 1 and len(groups) == 1
    for start, group in groups.items():
        told = [one.told for one in group if one.told]
        shared = [r for r in told[0].remarks if len(told) > 1 and all(r in other.remarks for other in told)]
        clauses = []
        for one, pieces in zip(group, told, strict=True):
            own = [remark for remark in pieces.remarks if remark not in shared]
            rest = "; ".join((pieces.effect, *own, one.p))
            verdict = "" if alike else f" ({VERDICTS[one.verdict]})"
            clauses.append(f"Against {pieces.against}: {rest}{verdict}.")
        shared += [VERDICTS[group[0].verdict]] if alike else []
        common = [f"Each time: {'; '.join(shared)}."] if shared else []
        said.append(" ".join([f"{start}.", *clauses, *common]))
    reasons: dict[str, list[str]] = {}
    for one in lacking:
        reasons.setdefault(one.words.removeprefix("Not run: "), []).append(one.name)
    said += [f"Not run against {listed(names, 'and')}: {why}" for why, names in reasons.items()]
    return " ".join(said)


def power_words(told: Sequence[Told]) -> str:
    """Which effects could have been seen: one sentence where the comparisons differ in their sizes alone.

    Example:
        >>> told = [Told(n, "", "", "", (), Seen("9 images", v, ".05 / 2")) for n, v in (("a", 0.048), ("b", 0.04))]
        >>> print(power_words(told))
        With 9 images, a difference of at least 4.8 points (from a) or 4.0 (b) would have been found in 8 of 10 such\
 studies (80 % power, alpha .05 / 2).
    """
    groups: dict[Seen, list[Told]] = {}
    for one in told:
        groups.setdefault(one.seen._replace(least=0.0), []).append(one)
    return " ".join(_power(seen, group, named=len(told) > 1) for seen, group in groups.items())


def _power(seen: Seen, told: Sequence[Told], named: bool) -> str:
    link, what = ("with", "equality") if seen.equal else ("from", "difference")
    sizes: dict[str, list[str]] = {}
    for one in told:
        sizes.setdefault(size(one.seen.least, seen.share), []).append(one.name)
    never = sizes.pop(size(math.nan, seen.share), [])
    said = []
    if sizes:
        least = f"{next(iter(sizes))} or more"
        if named:
            parts = [f"{words.removesuffix(POINTS)} ({', '.join(names)})" for words, names in sizes.items()]
            words, names = next(iter(sizes.items()))
            parts[0] = f"{words} ({link} {', '.join(names)})"
            least = f"at least {listed(parts, 'or')}"
        found = f"equality within {least} would have been shown" if seen.equal else ""
        found = found or f"a difference of {least} would have been found"
        of = " of sides that do not differ" if seen.equal else ""
        said.append(f"With {seen.what}, {found} in 8 of 10 such studies{of} (80 % power, alpha {seen.level}).")
    if never:
        of = f" {link} {listed(never, 'or')}" if named else ""
        ever = "wide the margin" if seen.equal else "large"
        said.append(f"With {seen.what}, no {what}{of} could have been shown, however {ever}.")
    return " ".join(said)
