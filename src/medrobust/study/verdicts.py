"""Does a paper's number hold? One verdict for each number and protocol.

The rule, as it stands on the page too (`RULE`):

- reproduced: the reported number lies within the tolerance of ours: the spread that the paper prints, at least 2 points
  or 0.02; a count is the same number;
- within the interval: it does not, but lies inside the 95 % interval of ours;
- not reproduced: neither;
- not run: the value is not there yet, or not in this profile; cannot run: nobody can run it here; each with the reason.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from .expected import Expected
from .found import CANNOT_RUN, NOT_RUN, Found, find
from .read import Study

PROTOCOLS = ("paper", "honest")  # first of all protocols, in this order
REPRODUCED, WITHIN, NOT_REPRODUCED = "reproduced", "within the interval", "not reproduced"
VERDICTS = (REPRODUCED, WITHIN, NOT_REPRODUCED, NOT_RUN, CANNOT_RUN)
NO_VERDICT = ""  # the paper reports nothing
ROUNDING = 1e-9
RULE = (
    "Reproduced: the reported number lies within the tolerance of ours, which is the spread that the paper prints, at "
    "least 2 points or 0.02; a count must be the same. Within the interval: it does not, but lies inside our 95 % "
    "interval. Not reproduced: neither. Not run and cannot run: there is no value, for the reason given."
)


@dataclass(frozen=True)
class Verdict:
    """What is to be said of a paper's number under a protocol.

    Args:
        expected: the paper's number.
        protocol: paper or honest.
        verdict: one of VERDICTS; "" where the paper reports nothing.
        found: our value, or why there is none.
    """

    expected: Expected
    protocol: str
    verdict: str
    found: Found

    @property
    def why(self) -> str:
        """Why there is no value, or what it leaves out."""
        return self.found.why or self.found.note


def verdict_of(expected: Expected, found: Found) -> str:
    """The rule on one number.

    Args:
        expected: the paper's number, in its unit.
        found: ours, as a share.
    """
    if expected.reported is None:
        return NO_VERDICT
    if found.estimate is None:
        return found.verdict
    ours = found.estimate
    if abs(expected.reported - ours.value * expected.scale) <= expected.tolerance + ROUNDING:
        return REPRODUCED
    low, high = ours.low * expected.scale, ours.high * expected.scale
    if not math.isnan(low) and low - ROUNDING <= expected.reported <= high + ROUNDING:
        return WITHIN
    return NOT_REPRODUCED


def protocols(study: Study) -> tuple[str, ...]:
    """The protocols of a study's jobs, paper and honest first."""
    used = dict.fromkeys(job.protocol for job in study.jobs)
    return tuple([name for name in PROTOCOLS if name in used] + [name for name in used if name not in PROTOCOLS])


def verdicts(study: Study, expected: Iterable[Expected]) -> tuple[Verdict, ...]:
    """All numbers of a paper under every protocol, in the order of expected.csv, a number's protocols together."""
    out = []
    for one in expected:
        for protocol in protocols(study):
            found = find(study, one.wanted, protocol)
            out.append(Verdict(one, protocol, verdict_of(one, found), found))
    return tuple(out)


def counts(found: Iterable[Verdict], protocol: str) -> dict[str, int]:
    """Verdict -> how many numbers have it under a protocol; every verdict is a key."""
    given = [one.verdict for one in found if one.protocol == protocol]
    return {verdict: given.count(verdict) for verdict in VERDICTS}
