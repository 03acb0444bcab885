"""claim.md: the rows of CLAIM 2024, a checklist for papers on AI in medical imaging, that an audit can fill."""

from __future__ import annotations

from collections.abc import Callable

from ...records.metric_names import METRICS
from ..measured import Json, clean_accuracy, estimate, focus, lines, mapping, name_of, norms
from ..sentence import for_use
from ..words import counted, percent, plain

AUTHOR = "author must supply"
NOTE = """The numbers of the items were taken from a self-assessment of a third party, and their wording is ours: check
both against the checklist (CLAIM, 2024 update, 44 items). Items that are not listed here are the author's, too."""


def _sample(audit: Json) -> str:
    data = mapping(audit["data"])
    if not data.get("num_images"):
        return ""
    groups = f" of {counted(int(data['num_groups']), 'group')} (such as patients)" if data.get("num_groups") else ""
    return f"{counted(int(data['num_images']), 'image')}{groups}; why so many: {AUTHOR}."


def _split(audit: Json) -> str:
    split = mapping(audit["data"]).get("split")
    return f"Measured on: {plain(split)}. How images were assigned: {AUTHOR}." if split else ""


def _finding(audit: Json, *names: str) -> str:
    found = {str(row.get("id")): row for row in audit.get("findings") or ()}
    rows = [found[name] for name in names if name in found]
    said = [f"{str(row['severity']).replace('_', ' ')}, {plain(row.get('evidence'))}" for row in rows]
    return " ".join(f"{row.get('title')}: {words}." for row, words in zip(rows, said, strict=True))


def _level(audit: Json) -> str:
    return _finding(audit, "data-groups-known", "data-group-leakage", "trained-on")


def _metrics(audit: Json) -> str:
    found = []
    for key, raw in mapping(audit.get("clean")).items():
        one = estimate(raw) if key in METRICS else None
        if one and one.value is not None:
            found.append(f"{METRICS[key].name} {one.value:.3f}")
    return f"{'; '.join(found)}." if found else ""


def _uncertainty(audit: Json) -> str:
    method, clean = mapping(audit.get("clean")).get("method"), clean_accuracy(audit)
    return f"{method}; accuracy {clean.text}, {clean.range}." if method and clean.range else ""


def _robustness(audit: Json) -> str:
    said = []
    for norm in norms(audit):
        worst = lines(audit, norm)[0]
        said.append("; ".join(f"{p.budget.short} {p.accuracy.text}" for p in worst.points))
    start = "Share read correctly in the worst case of the attacks, by size of the change"
    return f"{start}: {'. '.join(said)}." if said else ""


def _failures(audit: Json) -> str:
    fragile = [str(row["image_id"]) for row in audit.get("fragile") or ()][:5]
    point = focus(audit)
    said = f"Changes of up to {point.budget.short} leave {percent(point.accuracy.value)} right. " if point else ""
    return f"{said}The images misled most easily: {', '.join(fragile)}." if fragile else ""


def _limits(audit: Json) -> str:
    return " ".join(str(sentence) for sentence in audit.get("not_tested") or ())


ITEMS: tuple[tuple[str, str, Callable[[Json], str] | None], ...] = (
    ("19", "Sample size, and how it was chosen", _sample),
    ("20", "How data were assigned to partitions", _split),
    ("21", "Level at which partitions are disjoint", _level),
    ("29", "Metrics of performance", _metrics),
    ("30", "Measures of uncertainty", _uncertainty),
    ("31", "Robustness or sensitivity analysis", _robustness),
    ("32", "Methods for explainability", None),
    ("33", "External testing", None),
    ("37", "Failure analysis", _failures),
    ("38", "Limitations", _limits),
)


def _state(text: str) -> str:
    return AUTHOR if not text else "partly" if AUTHOR in text else "filled"


def _line(text: str) -> str:
    """Text for a cell of a table: in one line, its bars and brackets without a meaning of their own."""
    text = " ".join(text.split()).replace("\\", "\\\\")
    for mark in "|<>[]`*_":
        text = text.replace(mark, f"\\{mark}")
    return text


def claim(audit: Json) -> str:
    """The file, in Markdown."""
    rows = [(number, item, made(audit) if made else "") for number, item, made in ITEMS]
    cells = [(n, item, _line(text) or AUTHOR, _state(text)) for n, item, text in rows]
    body = "\n".join(f"| {' | '.join(row)} |" for row in cells)
    sentence = for_use(audit) or "not possible: no accuracy of unchanged images, or no attack was measured"
    return (
        f"# CLAIM 2024: {_line(name_of(audit['model']))}\n\n{NOTE}\n\n| item | what | from this audit | state |\n"
        f"|---|---|---|---|\n{body}\n\n## One sentence for the instructions for use\n\n{_line(sentence)}\n\n"
        "EU AI Act, Article 15(3), asks that accuracy and its metrics be declared; which metrics apply: check.\n"
    )
