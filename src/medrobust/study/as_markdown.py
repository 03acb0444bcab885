"""check.md: what a study says of its paper, for a repository's page."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from .behind import threads_text
from .pictured import Pictured, PicturePanel
from .tables import Table, range_text, value_text
from .words import effect_text, p_text, sentence

MOST = 30  # jobs that are listed one by one


def markdown(given: Mapping[str, Any]) -> str:
    """The page as Markdown, of what `page.content` gives, with one row for each number of the paper."""
    study, protocols, words = given["study"], given["protocols"], given["protocol_words"]
    out = [f"# {_plain(study.title)}: what of it holds", ""]
    out += [f"{_plain(given['paper'])}. {_plain(given['headline'])}".strip(". ") + ".", ""] if given["paper"] else []
    out += [f"Profile `{study.profile}`, {study.num_done} of {study.num_jobs} jobs done. {given['caution']}", ""]
    if given["tables"]:
        out += ["## Verdicts", ""]
        out += _table(
            ["verdict", *(words[name] for name in protocols)],
            ([verdict, *(str(given["counts"][name][verdict]) for name in protocols)] for verdict in given["verdicts"]),
        )
        out += [given["rule"], "", given["intervals"], ""]
    if given["judged"]:
        out += ["## Claims", ""]
        header = ["claim", "protocol", "verdict", "effect", "p", "in words"]
        out += _table(
            header,
            (
                [
                    f"**{one['name']}**: {one['claim']}",
                    words.get(one["protocol"], str(one["protocol"])),
                    str(one["verdict"]),
                    effect_text(one),
                    p_text(one),
                    f"{one['words']} {one['power_words']}",
                ]
                for one in given["judged"]
            ),
        )
    for table in given["tables"]:
        out += [f"## Table {_plain(table.name)}", "", f"{table.words}.", ""]
        out += _paper_table(table, protocols, words)
    for figure in given["figures"]:
        out += [f"## {_plain(figure.name)}", "", _plain(f"{sentence(figure.words)} Drawn in check.html."), ""]
        if isinstance(figure, Pictured):
            names = [f"{one.title} {words.get(one.protocol, one.protocol)}".strip() for one in figure.panels]
            lines = [f"- {_plain(name)}: {_plain(_said(one))}" for name, one in zip(names, figure.panels, strict=True)]
            out += [*lines, *([""] if lines else [])]
    out += _behind(given)
    return "\n".join(out).rstrip("\n") + "\n"


def _said(panel: PicturePanel) -> str:
    """A panel of pictures in words."""
    parts = [f"{part.title.lower()} {part.words}".strip().rstrip(".") for part in panel.parts]
    return " ".join(sentence(text) for text in ("; ".join(parts), panel.words) if text)


def _paper_table(table: Table, protocols: Sequence[str], words: dict[str, str]) -> list[str]:
    header = ["row", "column", "reported", *(part for name in protocols for part in (words[name], "verdict"))]
    rows = []
    for one in table.cells.values():
        row = [one.expected.row, one.expected.column, one.reported]
        for name in protocols:
            verdict = one.verdicts[name]
            why = f" ({verdict.why})" if verdict.why else ""
            row += [f"{value_text(verdict)} {range_text(verdict)}".strip(), f"{verdict.verdict}{why}".strip()]
        rows.append(row)
    return _table(header, rows)


def _behind(given: Mapping[str, Any]) -> list[str]:
    out = ["## The audits behind it", ""]
    for one in given["audits"]:
        out.append(
            f"Protocol {one.protocol}: {one.num_done} of {one.num_jobs} audits done, {one.num_quotable} quotable."
        )
        out += [threads_text(one)] if threads_text(one) else []
        out += [line for text in one.alike for line in ("", f"**{_plain(text)}**")]
        out += ["", *(f"- {_plain(place)}: not quotable. {_plain(why)}" for place, why in one.refused)]
        out += [""] if one.refused else []
        if one.findings:
            rows = ([f["severity"], f["id"], f["title"], f"{f['num']} of {one.num_done}"] for f in one.findings)
            out += _table(["severity", "check", "first found", "audits"], rows)
    left = given["left"]
    for title, lines in (
        ("Failed", [f"{place} ({protocol}): {why}" for place, protocol, why in left.failed]),
        ("Still to be done", [f"{place} ({protocol})" for place, protocol in left.missing]),
        ("Cannot be run here", [f"{place}: {why}" for place, why in left.cannot]),
    ):
        if lines:
            more = [f"- and {len(lines) - MOST} more"] if len(lines) > MOST else []
            out += [f"## {title}", "", *(f"- {_plain(line)}" for line in lines[:MOST]), *more, ""]
    return out


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    lines = [header, ["---"] * len(header), *rows]
    return ["| " + " | ".join(_plain(cell) for cell in line) + " |" for line in lines] + [""]


def _plain(text: object) -> str:
    """Text that cannot end a cell or a line, and starts no tag."""
    return " ".join(str(text).split()).replace("|", "\\|").replace("<", "&lt;")
