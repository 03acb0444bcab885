"""What comes of a choice among networks: the candidates, the one to take, and why."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..records.intervals import UNDEFINED, Estimate
from ..report.words import listed
from .read import Key

BEST, YES, NO, NOT_SHOWN = "best", "yes", "no", "not shown"


@dataclass(frozen=True)
class Candidate:
    """One value of the axis.

    Args:
        name: the value.
        num_parameters: of its network; None where the audits do not say.
        clean, robust: accuracy on unchanged images and under the worst attack, with 95 % intervals.
        equivalent: best, yes, no or not shown: whether its clean accuracy is that of the best within the margin.
        gap: clean accuracy less that of the best, with the 90 % interval of two one-sided tests.
        p: of the two one-sided tests; NaN of the best.
        behind: robust accuracy less that of the most robust that is good enough, with its 95 % interval; undefined for
            those that are not good enough.
        chosen: whether it is the one to take.
        why: why it is or is not.
    """

    name: str
    num_parameters: int | None
    clean: Estimate
    robust: Estimate
    equivalent: str = NOT_SHOWN
    gap: Estimate = UNDEFINED
    p: float = math.nan
    behind: Estimate = UNDEFINED
    chosen: bool = False
    why: str = ""

    @property
    def good_enough(self) -> bool:
        """Whether it may be taken."""
        return self.equivalent in (BEST, YES)

    @property
    def order(self) -> tuple[float, float, str]:
        """By which the simplest comes first: parameters, then robustness, then name."""
        many = math.inf if self.num_parameters is None else self.num_parameters
        return many, -self.robust.value, self.name


def undecided(candidates: Sequence[Candidate]) -> tuple[str, ...]:
    """Those more robust than the one to take, of which it is not shown whether they are as good on unchanged images."""
    take = next(one for one in candidates if one.chosen)
    return tuple(one.name for one in candidates if one.equivalent == NOT_SHOWN and one.robust.value > take.robust.value)


@dataclass(frozen=True)
class Choice:
    """What `choose` found.

    Args:
        study, title: of the study.
        axis: whose values were compared.
        where: what all of them share.
        key: attack, norm and budget at which robustness was measured.
        margin: within which clean accuracies count as equal.
        candidates: the one to take first, then the others that are good enough, then the rest.
        why: in a few sentences.
        cautions: what the reader should know before acting on it.
        left_out: (value, why) of those that were not run.
        power_words: what could have been told apart.
        num_images, num_groups, num_networks: of each candidate.
    """

    study: str
    title: str
    axis: str
    where: Mapping[str, Any]
    key: Key
    margin: float
    candidates: tuple[Candidate, ...]
    why: str
    cautions: tuple[str, ...]
    left_out: tuple[tuple[str, str], ...]
    power_words: str
    num_images: int
    num_groups: int
    num_networks: int

    @property
    def chosen(self) -> Candidate:
        """The one to take."""
        return next(one for one in self.candidates if one.chosen)

    @property
    def undecided(self) -> tuple[str, ...]:
        """Those that read more images correctly under attack, and of which it is open whether they are good enough."""
        return undecided(self.candidates)

    @property
    def headline(self) -> str:
        """What to do, in a line."""
        unless = f", unless {listed(self.undecided, 'or')} is as good" if self.undecided else ""
        return f"Take {self.chosen.name}{unless}"

    def markdown(self) -> str:
        """The page for the person who must choose, as Markdown."""
        from .choose_page import markdown

        return markdown(self)

    def html(self) -> str:
        """The same as one HTML page that needs nothing else."""
        from .choose_page import html

        return html(self)
