"""What stands behind the numbers of a study: what its audits found, and which jobs failed or are still to be done."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..report.words import listed
from .read import Outcome, Study
from .verdicts import protocols
from .words import axes_text, without_paths

SEVERITIES = ("fail", "warn")  # findings that are listed, the worst first


@dataclass(frozen=True)
class Audits:
    """The audits under one protocol.

    Args:
        protocol: its name.
        num_done, num_jobs: those that are done, and all that can run.
        num_quotable: those whose numbers may be quoted.
        refused: (place, why) of the others, in one line each.
        threads: with how many threads they computed; empty where their results do not say.
        alike: of different trainings that came out with the same weights, a sentence each.
        findings: of every check that failed or warned: id, severity, title of the first audit, and in how many audits.
    """

    protocol: str
    num_done: int
    num_jobs: int
    num_quotable: int
    refused: tuple[tuple[str, str], ...]
    threads: tuple[int, ...]
    alike: tuple[str, ...]
    findings: tuple[Mapping[str, Any], ...]


def audits(study: Study) -> tuple[Audits, ...]:
    """What the audits of each protocol found."""
    out = []
    for protocol in protocols(study):
        done = [one for one in study.outcomes if one.protocol == protocol]
        runnable = sum(job.protocol == protocol and job.cannot is None for job in study.jobs)
        refused = tuple((axes_text(one.axes), _why(one)) for one in done if not _quotable(one))
        threads = tuple(sorted({int(one.result["threads"]) for one in done if one.result.get("threads")}))
        num, same = len(done) - len(refused), _alike(study, done)
        out.append(Audits(protocol, len(done), runnable, num, refused, threads, same, _findings(done)))
    return tuple(out)


def threads_text(one: Audits) -> str:
    """A sentence where audits of one protocol computed with different numbers of threads; "" else.

    Example:
        >>> threads_text(Audits("paper", 2, 2, 2, (), (1, 2), (), ()))
        'They were computed with 1 and 2 threads: other numbers of threads change the last bits of weights.'
    """
    if len(one.threads) < 2:
        return ""
    named = listed(map(str, one.threads))
    return f"They were computed with {named} threads: other numbers of threads change the last bits of weights."


def _alike(study: Study, done: list[Outcome]) -> tuple[str, ...]:
    """Trainings that differ and gave one network: what differs between them had no effect."""
    trained = {(tuple(job.axes.items()), job.protocol): job.train for job in study.jobs}
    places: dict[str, dict[str, str]] = {}
    for one in done:
        key = trained.get((tuple(one.axes.items()), one.protocol), "")
        if one.result.get("weights") and key:
            places.setdefault(str(one.result["weights"]), {}).setdefault(key, axes_text(one.axes))
    out = []
    for texts in places.values():
        if len(texts) > 1:
            often = "twice" if len(texts) == 2 else f"{len(texts)} times"
            out.append(
                f"One network, {often} trained: {'; '.join(texts.values())}. The weights are the same, so what differs "
                "between these trainings had no effect on what was kept."
            )
    return tuple(out)


def _quotable(outcome: Outcome) -> bool:
    return outcome.result["quotable"]["value"] in (True, "yes")


def _why(outcome: Outcome) -> str:
    why = outcome.result["quotable"]["why"]
    return without_paths(why if isinstance(why, str) else " ".join(why))


def _findings(done: list[Outcome]) -> tuple[Mapping[str, Any], ...]:
    counted: dict[tuple[str, str], dict[str, Any]] = {}
    for one in done:
        for finding in one.result["findings"]:
            if finding["severity"] in SEVERITIES:
                title = without_paths(str(finding["title"]))
                fresh = {"id": finding["id"], "severity": finding["severity"], "title": title, "num": 0}
                counted.setdefault((finding["severity"], finding["id"]), fresh)["num"] += 1
    return tuple(counted[key] for key in sorted(counted, key=lambda key: (SEVERITIES.index(key[0]), key[1])))


@dataclass(frozen=True)
class Left:
    """Jobs without a result: (place, protocol, why) of those that failed, (place, protocol) of those still to be done,
    and (place, why) of those that nobody can run here."""

    failed: tuple[tuple[str, str, str], ...]
    missing: tuple[tuple[str, str], ...]
    cannot: tuple[tuple[str, str], ...]


def left(study: Study) -> Left:
    """The jobs of this profile that have no result."""
    failed = {(axes_text(job.axes), job.protocol): without_paths(why) for job, why in study.failed}
    done = {(axes_text(one.axes), one.protocol) for one in study.outcomes}
    wanted = [(axes_text(job.axes), job.protocol) for job in study.jobs if job.cannot is None]
    cannot = {axes_text(job.axes): without_paths(job.cannot) for job in study.jobs if job.cannot is not None}
    return Left(
        tuple((*place, why) for place, why in failed.items()),
        tuple(place for place in wanted if place not in done and place not in failed),
        tuple(cannot.items()),
    )
