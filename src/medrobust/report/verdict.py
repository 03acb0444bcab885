"""The report's first sentences, computed from the numbers and written for a radiologist."""

from __future__ import annotations

from dataclasses import dataclass

from .measured import Json, broken_share, class_names, clean_accuracy, estimate, focus, mapping, norms, worst_line
from .words import Budget, counted, interval, listed, measured_by, percent, plain

NEAR_CHANCE = 0.05  # a classifier this little above guessing is said to guess
NOT_CHECKED = (
    "The measurement was not checked for the usual errors: the classifier may resist less than these numbers say."
)
VISIBLY_KEPT = 0.01  # saving to a file is worth a sentence when it saves this share of the images


@dataclass(frozen=True)
class Verdict:
    """One sentence; kind is guessing, unmeasured, least (the smallest budget does it), half, some or none."""

    kind: str
    sentence: str
    budget: Budget | None = None


def verdict(audit: Json) -> Verdict:
    """How small a change misleads the classifier, in one sentence.

    The budget named is the smallest of the grid at which at least half of the images that are right untouched are
    wrong; where none does, the largest. Nothing is interpolated.
    """
    point = focus(audit)
    guessing = _guessing(audit)
    if guessing:
        return Verdict("guessing", guessing, point.budget if point else None)
    if point is None:
        sentence = "No attack was measured in this run, so it says nothing about resistance to change."
        return Verdict("unmeasured", sentence)
    budget, share = point.budget, broken_share(audit, point)
    line = worst_line(audit, budget.norm)
    points = line.points if line else ()
    wrong = _wrong_on(share, clean_accuracy(audit).value is not None)
    made = f"makes this classifier wrong on {wrong}"
    if share == 0:
        sentence = (
            f"No change of up to {budget.words}, the largest tested, made this classifier wrong on any image it gets "
            "right, by any attack tried."
        )
        return Verdict("none", sentence, budget)
    if share < 0.5 - 1e-9:
        rest = f"the other {percent(1 - share, 0)} held"
        return Verdict("some", f"A change of up to {budget.words}, the largest tested, {made}; {rest}.", budget)
    if point == points[0] and len(points) > 1:
        look = f" and {budget.look}" if budget.look else ""
        return Verdict("least", f"Even the smallest change tested, at most {budget.words}{look}, {made}.", budget)
    look = f", {budget.look}," if budget.look else ""
    sentence = f"A change of at most {budget.words}{look} is enough to make this classifier wrong on {wrong}."
    return Verdict("half", sentence, budget)


def _guessing(audit: Json) -> str:
    """A sentence where the classifier does no better than guessing, else nothing.

    Balanced accuracy, or plain accuracy where that is unknown, is compared with 1 / (number of classes).
    """
    count = len(class_names(audit))
    clean = audit.get("clean") or {}
    known = clean.get("balanced_accuracy") is not None
    skill = estimate(clean.get("balanced_accuracy" if known else "accuracy"))
    if count < 2 or skill is None or skill.value is None:
        return ""
    chance = 1 / count
    is_at = f"{'balanced accuracy' if known else 'accuracy'} {percent(skill.value)}"
    guessing = f"guessing gives {percent(chance)}"
    if skill.value < chance + NEAR_CHANCE:
        return (
            f"Even on unchanged images this classifier does no better than guessing ({is_at}; {guessing}), "
            "so its resistance to change means nothing."
        )
    if skill.low is not None and skill.low <= chance:
        return (
            f"On so few images this classifier cannot be told from guessing ({is_at}, 95% interval "
            f"{interval(skill.low, skill.high)}; {guessing}), so its resistance to change means little."
        )
    return ""


def _wrong_on(share: float, among_right: bool) -> str:
    images = "images it gets right" if among_right else "images"
    if share == 1:
        return f"every one of the {images}"
    if 0.45 <= share <= 0.55:
        return f"{'' if round(share, 3) == 0.5 else 'about '}half of the {images}"
    return f"{percent(share, 0)} of the {images}"


def context(audit: Json) -> list[str]:
    """The sentences under the verdict: before, after, and whether the change survives in a file."""
    sentences = []
    clean, point = clean_accuracy(audit), focus(audit)
    data = audit["data"] if isinstance(audit["data"], dict) else {}
    images = f"the {counted(int(data['num_images']), 'image')}" if data.get("num_images") else "the images"
    if clean.value is not None:
        spread = f" (95% interval {clean.range})" if clean.range else ""
        sentences.append(f"Untouched, {percent(clean.value)} of {images} are read correctly{spread}.")
    if point is None:
        return sentences
    sentences += allowed_pixels(audit)
    budget, after = point.budget, point.accuracy
    spread = f" (95% interval {after.range})" if after.range else ""
    sentences.append(
        f"When each may be changed by up to {budget.words}, in the way that misleads this classifier most, "
        f"{percent(after.value)} {'are' if sentences else 'are read correctly'}{spread}."
    )
    stored = [row for row in audit.get("stored") or () if budget.same(row["norm"], row["epsilon"])]
    kept = estimate(stored[0]["robust_accuracy"]) if stored else None
    if kept and kept.value is not None and kept.value - (after.value or 0) >= VISIBLY_KEPT:
        sentences.append(
            f"Saved as image files, which rounds these changes to whole {_steps(data)}, "
            f"{percent(kept.value)} are read correctly."
        )
    others = [name for name in norms(audit) if name != budget.norm]
    if others:
        said = listed([measured_by(name) for name in others])
        sentences.append(f"Changes measured by {said} are in the figures below.")
    return sentences


def allowed_pixels(audit: Json) -> list[str]:
    """The sentence on which pixels were allowed to change, where not all were."""
    mask = mapping(mapping(audit.get("threat")).get("mask"))
    if not mask.get("where"):
        return []
    share, empty = estimate(mask.get("median_share")), int(mask.get("num_empty") or 0)
    half = f", in half of the images {percent(share.value)} of all or less" if share else ""
    none = f"; in {counted(empty, 'image')} none may" if empty else ""
    side = "inside" if mask["where"] == "lesion" else "outside"
    return [f"Only pixels {side} the mask of each image may change{half}{none}: these numbers are of that adversary."]


# Findings of the look at the classifier and of what was read: a warning of theirs changes what a number means, too.
FIRST = ("gradients", "saturation", "head", "finite", "class-order", "normalization", "trained-on", "sources")


# First words of a reason that lose their capital within a sentence; others may be names.
OPENERS = ("A", "An", "The", "No", "All", "Some", "Not", "Only", "One", "Every", "It", "This", "These", "There")


def first(audit: Json) -> list[dict[str, str]]:
    """What stands before the numbers: every failure, and warnings about what the classifier was shown and asked.

    What the first line gives as a reason already is not said again.
    """
    said = " ".join(quote(audit).reasons)
    rows = [row for row in audit.get("findings") or () if str(row.get("title") or row.get("id")) not in said]
    chosen = [
        row
        for row in rows
        if row.get("severity") == "fail" or (row.get("severity") == "warn" and row.get("id") in FIRST)
    ]
    return [
        {
            "severity": str(row["severity"]),
            "title": str(row.get("title") or row.get("id", "")),
            "evidence": plain(row["evidence"]) if row.get("evidence") not in (None, "", {}, []) else "",
        }
        for row in chosen
    ]


@dataclass(frozen=True)
class Quote:
    """The first line of the page: severity is that of its sign; reasons are those of the audit."""

    severity: str
    answer: str
    reasons: tuple[str, ...] = ()


def quote(audit: Json) -> Quote:
    """May the numbers be quoted, and why not: `quotable` of the audit in one sentence, then how the checks ended."""
    severity, trusted = trust(audit)
    said = mapping(audit.get("quotable"))
    if said.get("value") not in ("yes", "no"):
        return Quote(severity, f"This run does not say. {trusted}")
    raw = said.get("why") or ()
    why = tuple(str(reason) for reason in ([raw] if isinstance(raw, str) else raw))
    because = f", because {'; '.join(_clause(reason) for reason in why)}" if why else ""
    if said["value"] == "no":
        return Quote("fail", f"No{because}. {_counts(audit)}".rstrip(), why)
    return Quote("warn" if severity == "warn" else "pass", f"Yes{because}. {_counts(audit)}".rstrip(), why)


def _clause(reason: str) -> str:
    """A sentence as part of another: no stop at its end, no capital of an article at its start."""
    reason = reason.strip().rstrip(".")
    head = reason.split(" ", 1)[0]
    return reason[:1].lower() + reason[1:] if head in OPENERS else reason


def _counts(audit: Json) -> str:
    """How the checks ended, in numbers."""
    rows = audit.get("findings") or ()
    by = {kind: sum(row.get("severity") == kind for row in rows) for kind in ("fail", "warn", "not_run")}
    ran = len(rows) - by["not_run"]
    if not ran:
        return ""
    skipped = f", {by['not_run']} could not run" if by["not_run"] else ""
    warns = f"{by['warn'] or 'none'} {'gives' if by['warn'] == 1 else 'give'} a warning"
    return f"Of {counted(ran, 'check')}, {by['fail'] or 'none'} failed, {warns}{skipped}."


def _steps(data: Json) -> str:
    """What files round to: grey levels, or the unit that they say."""
    unit = str((data.get("source") or {}).get("unit") or "grey level")
    return "grey levels" if unit == "grey level" else "stored units" if unit in ("mixed", "float") else unit


def trust(audit: Json) -> tuple[str, str]:
    """The severity of the worst finding, and a sentence on how far the numbers can be trusted."""
    findings = audit.get("findings") or ()
    by = {kind: [f for f in findings if f.get("severity") == kind] for kind in ("fail", "warn", "not_run", "pass")}
    ran = len(findings) - len(by["not_run"])
    if not ran:
        return "not_run", NOT_CHECKED
    skipped = f" {counted(len(by['not_run']), 'check')} could not run." if by["not_run"] else ""
    if by["fail"]:
        titles = " ".join(f"\u201c{f.get('title') or f.get('id', '')}\u201d" for f in by["fail"])
        said = f"{len(by['fail'])} of {counted(ran, 'check')} failed: {titles} Read the numbers with this in mind."
        return "fail", said + skipped
    if by["warn"]:
        gives = "gives" if len(by["warn"]) == 1 else "give"
        said = f"No check of the measurement failed; {len(by['warn'])} of {ran} {gives} a warning."
        return "warn", said + skipped
    return "pass", f"{'The check' if ran == 1 else f'All {ran} checks'} of the measurement passed." + skipped
