"""Write docs/what-survives.md: of each paper the claim, as published, re-run as published, and under an honest attack.

    python scripts/what_survives.py [--out docs/what-survives.md] [--studies studies]

A pure function of committed files: studies/NAME/results/PROFILE (the largest profile that is there), recipe.yaml and
expected.csv. Seconds.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "src"), str(ROOT / "scripts")]

from what_survives_numbers import PROTOCOLS, Result, listed, unchanged  # noqa: E402

from medrobust.study.expected import read_expected  # noqa: E402
from medrobust.study.hypotheses import CONTRADICTED, HOLDS, NOT_RUN, NOT_SHOWN, Judged, judge  # noqa: E402
from medrobust.study.read import STUDY_FILE, Study, read_study  # noqa: E402
from medrobust.study.recipe import EXPECTED, RECIPE  # noqa: E402

PAGE = ROOT / "docs" / "what-survives.md"
PROFILES = ("paper", "gpu", "cpu")  # the largest first; smoke shows nothing about a paper
SHORT = {"paper": "As published", "honest": "Under an honest attack"}
SAID = {HOLDS: "holds", CONTRADICTED: "the other way round", NOT_SHOWN: "could not be told"}
CHECK = "check.md"

OPENING = """# What survives

Written by `python scripts/what_survives.py` from the committed results of the studies. Four papers on the robustness of
medical image classifiers, each re-run twice: *as published*, with the attacks and settings of the paper, and *under an
honest attack*, the worst case of each image over several strong attacks with true labels, at the same budget.

How to read it:

- Every verdict is one on the re-run, which is smaller than the paper in what its section says. A claim that could not
  be shown here may hold at the scale of the paper. In italics stands the difference that 8 of 10 such studies would
  have found; a smaller one may have been missed.
- An interval speaks of other images read by the same networks; images of one patient or lesion form a group, and only
  groups count as independent. How much another training would differ is seen only where there were several, and the
  words say how many.
- A claim *holds* where its 95 % interval lies wholly on the claimed side and p is below .05, corrected by Holm over the
  comparisons of one claim. It is *the other way round* where the interval lies wholly on the other side. Everything
  between *could not be told*: that is no evidence against a claim. A claim with several comparisons has the verdict of
  the weakest. p is not corrected over the claims of this page.
- Accuracy on unchanged images stands beside the published one, where both are known: the further they are apart, the
  less these networks are those of the paper, and the less a verdict on them says about it.
- In the tables of numbers the interval is over splits, folds or seeds by Student's t where there are several, so that
  it is wide where they are few.

"""


def read_results(studies: Path) -> list[Result]:
    """Every study under a folder that has results, with the largest profile that it has."""
    found = []
    for recipe in sorted(studies.glob(f"*/{RECIPE}")):
        folders = [recipe.parent / "results" / profile for profile in PROFILES]
        there = [folder for folder in folders if (folder / STUDY_FILE).is_file()]
        if there:
            study = read_study(there[0])
            expected = read_expected(recipe.parent / EXPECTED)
            check = there[0] / CHECK
            link = f"../studies/{check.relative_to(studies).as_posix()}" if check.is_file() else ""
            found.append(Result(study, expected, study.words, link))
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
    """A verdict in short, and of how many comparisons where they differ in it."""
    if claim is None or claim.verdict == NOT_RUN:
        return "not run"
    if claim.verdict == HOLDS:
        return "**holds**"
    num = sum(part.verdict == claim.verdict for part in claim.parts)
    some = f" ({num} of {len(claim.parts)})" if num < len(claim.parts) else ""
    return f"{SAID[claim.verdict]}{some}"


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
        f"## {_paper(study)}: {study.title.removesuffix(f'({_paper(study)})').strip()}",
        f"**The claim.** {str(study.paper.get('headline', '')).strip()}{source}",
        f"**The re-run.** Profile `{study.profile}`, {study.num_done} of {study.num_jobs} audits.{smaller}",
        _numbers(one),
        *[_claim(one, [claim for claim in judged if claim.name == name]) for name in _names(judged)],
    ]
    return "\n\n".join(part for part in parts if part)


def _names(judged: Sequence[Judged]) -> list[str]:
    return list(dict.fromkeys(claim.name for claim in judged))


def _claim(one: Result, judged: Sequence[Judged]) -> str:
    """A claim with its verdicts, once where both protocols say the same, and accuracy on unchanged images."""
    lines = [f"### {judged[0].claim.rstrip('.') or judged[0].name}", ""]
    lines += _bullets({claim.protocol: told(claim) for claim in judged})
    given = next(given for given in one.study.hypotheses if str(given["name"]) == judged[0].name)
    run = [claim.protocol for claim in judged if claim.verdict != NOT_RUN]
    clean = {protocol: unchanged(one, given, protocol) for protocol in run}
    if len(set(clean.values())) == 1:
        clean = dict.fromkeys([next(iter(clean))], next(iter(clean.values())))
    where = {protocol: f", {SHORT[protocol].lower()}" if len(clean) > 1 else "" for protocol in clean}
    lines += [f"- **On unchanged images{where[protocol]}.** {said}" for protocol, said in clean.items() if said]
    return "\n".join(lines)


def _bullets(said: Mapping[str, str]) -> list[str]:
    same: dict[str, list[str]] = {}
    for protocol, words in said.items():
        same.setdefault(words, []).append(SHORT.get(protocol, protocol))
    names = {words: " and ".join([own[0], *(name.lower() for name in own[1:])]) for words, own in same.items()}
    return [f"- **{names[words]}{':' if words.startswith('**') else '.'}** {words}" for words in same]


def told(claim: Judged) -> str:
    """A verdict in words that the authors of a paper would accept as fair, what was found, and what could have been."""
    parts = [f"{sentence(claim)} {claim.words}".strip()]
    return " ".join([*parts, f"*{claim.power_words}*"] if claim.power_words else parts)


def sentence(claim: Judged) -> str:
    """A verdict in a sentence; "" of what was not run, as the words say why."""
    if claim.verdict == NOT_RUN:
        return ""
    if len(claim.parts) > 1:
        return _several(claim.parts)
    if claim.verdict == HOLDS:
        return "It holds."
    if claim.verdict == CONTRADICTED:
        return "It came out the other way round."
    return {
        "rank": "The order could not be told from one of chance.",
        "better": "The sides could not be told apart.",
        "equal": "It could be shown neither that they are equal nor that they differ by more than the margin.",
        "referral": "The gain could not be told from none.",
    }[claim.kind]


def _several(parts: Sequence[Judged]) -> str:
    """How many of several comparisons came out in which way."""
    all_of = {
        HOLDS: "It holds in each of its {} comparisons.",
        CONTRADICTED: "It came out the other way round in each of its {} comparisons.",
        NOT_SHOWN: "None of its {} comparisons could be told.",
    }
    verdicts = [part.verdict for part in parts]
    if len(set(verdicts)) == 1:
        return all_of[verdicts[0]].format(len(parts))
    ways = ((HOLDS, "as claimed"), (CONTRADICTED, "the other way round"))
    said = [f"{verdicts.count(way)} came out {words}" for way, words in ways if way in verdicts]
    said += [f"{verdicts.count(NOT_SHOWN)} could not be told"] if NOT_SHOWN in verdicts else []
    said += (
        [f"{verdicts.count(NOT_RUN)} {'was' if verdicts.count(NOT_RUN) == 1 else 'were'} not run"]
        if NOT_RUN in verdicts
        else []
    )
    return f"Of its {len(parts)} comparisons {', '.join(said[:-1])} and {said[-1]}."


def _numbers(one: Result) -> str:
    """The numbers of the headline: published, re-run as published, under an honest attack; and where all others are."""
    rows, num = listed(one)
    lines = ["| number | published | as published, here | under an honest attack |", "|---|---|---|---|"]
    lines += [f"| {' | '.join((_cell(row.words), *row.cells))} |" for row in rows]
    reported = sum(row.reported is not None for row in one.expected)
    parts = ["\n".join(lines)] if rows else []
    if one.check and reported:
        others = f", {reported - num} of them not listed here," if reported > num else ""
        link = f"[{one.check.removeprefix('../')}]({one.check})"
        parts.append(
            f"All {reported} numbers of the paper{others} are in {link}, with the reason where one was not run."
        )
    return "\n\n".join(parts)


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
