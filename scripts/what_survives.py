"""Write docs/what-survives.md: of each paper the claim, as published, re-run as published, and under an honest attack.

    python scripts/what_survives.py [--out docs/what-survives.md] [--studies studies]

A pure function of committed files: studies/NAME/results/PROFILE (the largest profile that is there), recipe.yaml and
expected.csv. Seconds.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "src")]

from medrobust.numbers import parse_number  # noqa: E402
from medrobust.study.expected import ALL, Expected, read_expected  # noqa: E402
from medrobust.study.found import Found, find  # noqa: E402
from medrobust.study.hypotheses import CONTRADICTED, HOLDS, NOT_RUN, NOT_SHOWN, Judged, judge  # noqa: E402
from medrobust.study.read import STUDY_FILE, Study, read_study, values_of  # noqa: E402
from medrobust.study.recipe import EXPECTED, RECIPE, read_study_recipe  # noqa: E402
from medrobust.study.words import in_unit, interval_text, metric_words  # noqa: E402

PAGE = ROOT / "docs" / "what-survives.md"
PROFILES = ("paper", "gpu", "cpu")  # the largest first; smoke shows nothing about a paper
PROTOCOLS = ("paper", "honest")
SHORT = {"paper": "As published", "honest": "Under an honest attack"}
MOST = 16  # numbers of a paper's tables
NUMBERS = "numbers"  # of `paper` in a recipe: a list of {select, words}, the numbers of its headline

OPENING = """# What survives

Written by `python scripts/what_survives.py` from the committed results of the studies. Four papers on the robustness of
medical image classifiers, each re-run twice: *as published*, with the attacks and settings of the paper, and *under an
honest attack*, the worst case of each image over several strong attacks with true labels, at the same budget.

Read it with three things in mind.

- The re-runs are smaller than the papers in what each section says. A claim that could not be shown here may hold at
  the scale of the paper; the effect that could have been seen is given with every verdict.
- An interval speaks of other images read by the same networks. How much another training would differ is seen only
  where there were several, and the words say how many.
- A claim *holds* where its 95 % interval lies wholly on the claimed side and p is below .05, corrected by Holm over the
  comparisons of one claim. It is *the other way round* where the interval lies wholly on the other side. Everything
  between *could not be told*: that is no evidence against a claim. p is not corrected over the claims of this page.

"""


class Result(NamedTuple):
    """One study with results.

    Args:
        study: of its results.
        expected: the paper's numbers.
        scale: in what the re-run is smaller than the paper.
    """

    study: Study
    expected: tuple[Expected, ...]
    scale: str


def read_results(studies: Path) -> list[Result]:
    """Every study under a folder that has results, with the largest profile that it has."""
    found = []
    for recipe in sorted(studies.glob(f"*/{RECIPE}")):
        folders = [recipe.parent / "results" / profile for profile in PROFILES]
        there = [folder for folder in folders if (folder / STUDY_FILE).is_file()]
        if there:
            study = read_study(there[0])
            profile = read_study_recipe(recipe).profiles.get(study.profile)
            expected = read_expected(recipe.parent / EXPECTED)
            found.append(Result(study, expected, profile.words if profile else ""))
    return found


def page(results: Sequence[Result]) -> str:
    """The whole page."""
    judged = [judge(one.study) for one in results]
    parts = [OPENING.strip(), _overview(results, judged)]
    parts += [_section(one, own) for one, own in zip(results, judged, strict=True)]
    return "\n\n".join(parts) + "\n"


def _overview(results: Sequence[Result], judged: Sequence[list[Judged]]) -> str:
    rows = ["| paper | claim | as published | under an honest attack |", "|---|---|---|---|"]
    for one, own in zip(results, judged, strict=True):
        for name in dict.fromkeys(claim.name for claim in own):
            by = {claim.protocol: claim for claim in own if claim.name == name}
            cells = [_label(by.get(protocol)) for protocol in PROTOCOLS]
            rows.append(f"| {_paper(one.study)} | {_cell(by[PROTOCOLS[0]].claim)} | {cells[0]} | {cells[1]} |")
    return "## In short\n\n" + "\n".join(rows)


def _label(claim: Judged | None) -> str:
    if claim is None or claim.verdict == NOT_RUN:
        return "not run"
    return {HOLDS: "**holds**", CONTRADICTED: "the other way round", NOT_SHOWN: "could not be told"}[claim.verdict]


def _paper(study: Study) -> str:
    first = str(study.paper.get("authors", study.name)).partition(",")[0].removesuffix(" and others")
    return f"{first} et al. {study.paper.get('year', '')}".strip()


def _cell(words: str) -> str:
    return words.replace("|", "\\|").replace("\n", " ")


def _section(one: Result, judged: Sequence[Judged]) -> str:
    study = one.study
    link = study.paper.get("doi") or study.paper.get("arxiv")
    kind = "doi:" if study.paper.get("doi") else "arXiv:"
    source = f" ({kind}{link})" if link else ""
    smaller = f" {one.scale.strip()}" if one.scale else ""
    parts = [
        f"## {_paper(study)}: {study.title}",
        f"**The claim.** {str(study.paper.get('headline', '')).strip()}{source}",
        f"**The re-run.** Profile `{study.profile}`, {study.num_done} of {study.num_jobs} audits.{smaller}",
        _numbers(one),
        *[_claim(study, [claim for claim in judged if claim.name == name]) for name in _names(judged)],
    ]
    return "\n\n".join(part for part in parts if part)


def _names(judged: Sequence[Judged]) -> list[str]:
    return list(dict.fromkeys(claim.name for claim in judged))


def _claim(study: Study, judged: Sequence[Judged]) -> str:
    """A claim with both verdicts, and once what could have been seen where it is the same."""
    lines = [f"### {judged[0].claim.rstrip('.') or judged[0].name}", ""]
    for claim in judged:
        told = f"{sentence(study, claim)} {claim.words}".strip()
        said = f"- **{SHORT.get(claim.protocol, claim.protocol)}.** {told}"
        lines.append(f"{said} *{claim.power_words}*" if claim.power_words else said)
    return "\n".join(lines)


def sentence(study: Study, claim: Judged) -> str:
    """A verdict in words that the authors of a paper would accept as fair."""
    run = "this re-run" if study.profile == "paper" else "this smaller re-run"
    if claim.verdict == NOT_RUN:
        return ""
    if claim.verdict == HOLDS:
        return f"In {run} it holds."
    if claim.verdict == CONTRADICTED:
        return f"In {run} it came out the other way round."
    what = {
        "rank": "the order could not be told from one of chance",
        "better": "the sides could not be told apart",
        "equal": "it could be shown neither that they are equal nor that they differ by more than the margin",
        "referral": "the gain could not be told from none",
    }[claim.kind]
    if claim.parts and len(claim.parts) > 1:
        short = sum(part.verdict == NOT_SHOWN for part in claim.parts)
        lacking = sum(part.verdict == NOT_RUN for part in claim.parts)
        told = [f"{short} of its {len(claim.parts)} comparisons could not be told apart"] if short else []
        told += [f"{lacking} of its {len(claim.parts)} comparisons were not run"] if lacking else []
        return f"In {run} {' and '.join(told)}, so that the claim as a whole is not shown."
    return f"In {run} {what}."


def _numbers(one: Result) -> str:
    """The numbers of the headline: published, re-run as published, under an honest attack."""
    rows = headline(one)
    if not rows:
        return ""
    lines = ["| number | published | as published, here | under an honest attack |", "|---|---|---|---|"]
    for words, row in rows:
        cells = [_ours(row, find(one.study, row.wanted, protocol)) for protocol in PROTOCOLS]
        spread = f" +- {row.spread:g}" if row.spread is not None else ""
        lines.append(f"| {_cell(words)} | {row.printed}{spread} {_unit(row)} | {cells[0]} | {cells[1]} |")
    return "\n".join(lines)


def _unit(row: Expected) -> str:
    return row.unit if row.unit in ("%", "points") else ""


def _ours(row: Expected, found: Found) -> str:
    if found.estimate is None:
        return found.verdict
    said = f"{in_unit(found.estimate.value, row.unit)} {_unit(row)}".strip()
    return f"{said} {interval_text(found.estimate, row.unit)}".strip()


def headline(one: Result) -> list[tuple[str, Expected]]:
    """(words, number) of the numbers that carry the headline: those that the recipe names, else those of its claims."""
    named = one.study.paper.get(NUMBERS)
    if named:
        return [
            (str(item["words"]), row)
            for item in named
            for row in one.expected
            if row.reported is not None and _same(item["select"], row)
        ]
    found: dict[tuple[str, str, str], tuple[str, Expected]] = {}
    for given in one.study.hypotheses:
        for side in sides(given):
            for row in _rows(one.expected, side, str(given.get("metric", "accuracy"))):
                words = f"Table {row.table}, {row.row}, {row.column}: {metric_words(row.wanted.metric)}"
                found.setdefault((row.table, row.row, row.column), (words, row))
    return list(found.values())[:MOST]


def sides(given: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The selections that a hypothesis compares."""
    where = dict(given.get("where", {}))
    if given["kind"] == "rank":
        return [{**where, given["axis"]: value} for value in given["order"]]
    if given["kind"] == "referral":
        return [where]
    others = given["than"] if isinstance(given["than"], (list, tuple)) else [given["than"]]
    return [{**where, **given["better"]}, *({**where, **other} for other in others)]


def _rows(expected: Iterable[Expected], side: Mapping[str, Any], metric: str) -> list[Expected]:
    """The paper's numbers at a selection: of the metric, or where it has none of it, of F1."""
    at = [row for row in expected if row.reported is not None and not row.wanted.minus and _inside(side, row)]
    return [row for row in at if row.wanted.metric == metric] or [row for row in at if row.wanted.metric == "f1"]


def _inside(side: Mapping[str, Any], row: Expected) -> bool:
    wanted = {"attack": "none", **side}
    return all(_equal(key, value, row.wanted.where.get(key)) for key, value in wanted.items())


def _equal(key: str, value: Any, given: str | None) -> bool:
    if given is None:
        return False
    if key == "epsilon":
        return abs(parse_number(value, key) - parse_number(given, key)) <= 1e-9
    return set(values_of(given)) <= set(values_of(value))


def _same(select: str, row: Expected) -> bool:
    """Whether a number is the one that `select` names, as expected.csv writes it; metric=... may stand in it."""
    given = dict(part.split("=", 1) for part in str(select).split())
    metric, subset = given.pop("metric", row.wanted.metric), given.pop("subset", ALL)
    there = (dict(row.wanted.where), row.wanted.metric, row.wanted.subset)
    return (given, metric, subset) == there and not row.wanted.minus


def main() -> None:
    """Write the page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=PAGE)
    parser.add_argument("--studies", type=Path, default=ROOT / "studies")
    given = parser.parse_args()
    results = read_results(given.studies)
    if not results:
        sys.exit(f"{given.studies} holds no results: medrobust study run NAME, then medrobust study pack")
    given.out.write_text(page(results), encoding="utf-8")
    print(f"{given.out}: {len(results)} studies")


if __name__ == "__main__":
    main()
