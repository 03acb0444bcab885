"""`medrobust study check`: what a study says of its paper, as lines, check.md, check.html and results.csv.

All are pure functions of study.json, of the results of the cells and of expected.csv: equal input, equal bytes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..errors import UserError
from ..files import write_atomic
from .as_html import html
from .as_markdown import markdown
from .behind import Audits, Left, audits, left
from .expected import Expected, read_expected
from .figures import Figure, figures
from .pictured import Pictured
from .read import Study, read_study
from .tables import Table, results_csv, tables, value_text
from .verdicts import RULE, VERDICTS, Verdict, counts, protocols, verdicts
from .words import PROTOCOL_WORDS, sentence

EXPECTED_FILE = "expected.csv"
MARKDOWN, PAGE, RESULTS = "check.md", "check.html", "results.csv"
CAUTIONS = {
    "smoke": "This profile shows that the study runs, on artificial images: its numbers say nothing about the paper.",
    "cpu": (
        "This profile is a smaller experiment than the paper's: fewer and smaller images, shorter trainings. A verdict "
        "here says what this profile shows. It neither confirms nor refutes the paper at its own scale."
    ),
    "paper": "This profile has the scale that the paper states; where the paper is silent, the choice is ours.",
}
OTHER = "This profile is not the paper's scale: a verdict here says what this profile shows."
INTERVALS = (
    "In brackets the 95 % interval: over splits or seeds by Student's t where there are several, and never narrower "
    "than the images allow. With few splits it is wide, and much lies within it. "
    "An honest number is the worst case over all attacks of the audit, image by image. "
    "Sensitivity, precision and F1 of more than two classes are means over classes."
)


@dataclass(frozen=True)
class CheckResult:
    """What a study says of its paper.

    Args:
        study: the study folder.
        verdicts: of every number of the paper, under every protocol.
        figures: of the recipe.
        judged: the paper's claims, each a mapping with name, claim, protocol, verdict, effect, low, high, p, words,
            power_words and num_pairs.
    """

    study: Study
    verdicts: tuple[Verdict, ...]
    figures: tuple[Figure | Pictured, ...] = ()
    judged: Sequence[Mapping[str, Any]] = field(default=())

    @property
    def caution(self) -> str:
        """What is to be kept in mind with this profile."""
        return " ".join(filter(None, (sentence(self.study.words), CAUTIONS.get(self.study.profile, OTHER))))

    @property
    def tables(self) -> tuple[Table, ...]:
        """The tables of the paper."""
        return tables(self.verdicts)

    @property
    def audits(self) -> tuple[Audits, ...]:
        """What the audits found."""
        return audits(self.study)

    @property
    def left(self) -> Left:
        """The jobs without a result."""
        return left(self.study)

    @property
    def protocols(self) -> tuple[str, ...]:
        """The protocols of the study."""
        return protocols(self.study)

    def lines(self) -> list[str]:
        """For a terminal: counts table by table, then every number with its verdicts."""
        study = self.study
        out = [f"{study.title} ({study.name}, profile {study.profile}): {study.num_done} of {study.num_jobs} jobs done"]
        out += [self.caution, ""]
        for table in self.tables:
            out.append(f"Table {table.name}: {table.words}")
            for protocol in self.protocols:
                counted = [f"{num} {verdict}" for verdict, num in table.counted(protocol).items() if num]
                out.append(f"  {protocol}: {', '.join(counted) or 'nothing reported'}")
            width = max(len(f"{one.expected.row} / {one.expected.column}") for one in table.cells.values())
            room = max(len(one.reported) for one in table.cells.values())
            for one in table.cells.values():
                name = f"{one.expected.row} / {one.expected.column}".ljust(width)
                ours = [_said(protocol, one.verdicts[protocol]) for protocol in self.protocols]
                out.append("  ".join([f"  {name}", one.reported.rjust(room), *ours]).rstrip())
            out.append("")
        for claim in self.judged:
            out.append(f"{claim['name']}, {claim['protocol']}: {claim['verdict']}. {claim['words']}")
        return out[:-1] if out[-1] == "" else out

    def write(self, folder: Path) -> list[Path]:
        """Write check.md, check.html and results.csv into a folder; returns their paths."""
        given = content(self)
        pages = {MARKDOWN: markdown(given), PAGE: html(given), RESULTS: results_csv(self.study)}
        for name, text in pages.items():
            write_atomic(Path(folder) / name, text)
        return [Path(folder) / name for name in pages]


def _said(protocol: str, verdict: Verdict) -> str:
    value = value_text(verdict)
    return f"{protocol} {value or '-':>6} {verdict.verdict:<19}"


def check_study(
    folder: Path, cells: Path | None = None, expected: Path | None = None, judged: Sequence[Mapping[str, Any]] = ()
) -> CheckResult:
    """Compare the results of a study with what its paper reports.

    Args:
        folder: the study folder, finished or not.
        cells: where its cells are; folder/cells by default.
        expected: the paper's numbers; folder/expected.csv by default, none where there is no such file.
        judged: the paper's claims, as `CheckResult` has them.

    Errors: UserError when the folder is no study, or a file of it cannot be read or is not in its form.
    """
    path = expected or Path(folder) / EXPECTED_FILE
    try:
        study = read_study(Path(folder), cells)
        rows: tuple[Expected, ...] = read_expected(path) if expected or path.exists() else ()
        made = CheckResult(study, verdicts(study, rows), figures(study, rows), tuple(judged))
        audits(study), results_csv(study)  # what the page will ask for is there
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        problem = f"what it holds is not in the form that a check reads ({type(error).__name__}: {error})"
        raise UserError(str(folder), problem, "run its cells again with this version of medrobust") from error
    return made


def paper_text(paper: Mapping[str, Any]) -> str:
    """Who published what is checked.

    Example:
        >>> paper_text({"authors": "A. Author", "year": 2030, "doi": "10.1000/1"})
        'A. Author, 2030, doi:10.1000/1'
    """
    parts = [str(paper[key]) for key in ("authors", "title", "journal", "year") if paper.get(key)]
    parts += [f"doi:{paper['doi']}"] if paper.get("doi") else []
    return ", ".join(parts)


def content(check: CheckResult) -> dict[str, Any]:
    """What both pages show."""
    study = check.study
    return {
        "study": study,
        "caution": check.caution,
        "paper": paper_text(study.paper),
        "headline": str(study.paper.get("headline", "")),
        "protocols": check.protocols,
        "protocol_words": {name: PROTOCOL_WORDS.get(name, name) for name in check.protocols},
        "counts": {protocol: counts(check.verdicts, protocol) for protocol in check.protocols},
        "verdicts": VERDICTS,
        "rule": RULE,
        "intervals": INTERVALS,
        "judged": check.judged,
        "tables": check.tables,
        "figures": check.figures,
        "audits": check.audits,
        "left": check.left,
    }
