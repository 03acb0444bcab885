"""The order of the page and what proves its numbers: quote, threats, planted answers, certificate, evidence."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from medrobust.report.evidence import ROWS, present, status
from medrobust.report.measured import certified
from medrobust.report.sections import SECTIONS
from medrobust.report.sections.curve import without_certificate
from medrobust.report.sections.tested import KNOWS
from medrobust.report.sentence import for_use
from medrobust.report.verdict import first, quote
from report.make_keys import make_keys
from report.make_run import make_audit, make_run
from report.reader import Document, read

Make = Callable[..., Document]


def whole(**options: Any) -> dict[str, Any]:
    audit = make_audit()
    return audit | make_keys(audit, **options)


def test_whether_it_may_be_quoted_is_the_first_line(page: Make) -> None:
    made = page(replace=make_keys(make_audit(), quotable=False))
    line = made.root.one("header").all("p")[0]
    assert line.has("class", "fail")
    assert line.text == (
        "May this be quoted? No, because PGD finds 3 of 30 planted answers at 0.1/255; the patients are on both sides. "
        "Of 5 checks, none failed, 1 gives a warning, 1 could not run. The checks"
    )


@pytest.mark.parametrize(
    ("given", "severity", "answer"),
    [
        ({"quotable": {"value": "yes", "why": []}}, "pass", "Yes."),
        ({"quotable": {"value": "no", "why": "GAP is 0."}}, "fail", "No, because GAP is 0."),
        ({"quotable": {"value": "no", "why": []}}, "fail", "No."),
        ({}, "not_run", "This run does not say. The measurement was not checked for the usual errors: the classifier "
         "may resist less than these numbers say."),
        ({"quotable": "yes"}, "not_run", "This run does not say. The measurement was not checked for the usual errors: "
         "the classifier may resist less than these numbers say."),
    ],
)  # fmt: skip
def test_quote(given: dict[str, Any], severity: str, answer: str) -> None:
    said = quote(given)
    assert (said.severity, said.answer) == (severity, answer)


def test_a_reason_of_the_first_line_is_not_said_twice() -> None:
    rows = [{"id": i, "severity": "fail", "title": t, "evidence": "e"} for i, t in (("a", "Is A so?"), ("b", "Is B?"))]
    audit = {"findings": rows, "quotable": {"value": "no", "why": ["Is A so? e"]}}
    assert [row["title"] for row in first(audit)] == ["Is B?"]
    assert [row["title"] for row in first({"findings": rows})] == ["Is A so?", "Is B?"]


def test_sections_prove_before_they_tell() -> None:
    order = [section.id for section in SECTIONS]
    wanted = [
        "tested",
        "proof",
        "data",
        "clean",
        "curve",
        "smallest",
        "fragile",
        "referral",
        "compare",
        "checks",
        "evidence",
        "repeat",
    ]
    assert [name for name in order if name in wanted] == wanted


def test_threats_say_who_could_and_what_is_out_of_scope(page: Make) -> None:
    audit = make_audit()
    audit["protocol"]["attacks"]["cw_linf"]["needs"] = "labels"
    rows = [e.text for e in page(replace=audit).section("tested").one("tbody").all("tr")]
    assert rows[0].startswith("Evasion: any pixel by at most 10 grey levels 10 sizes from 0.1 grey levels to 10 grey")
    assert f"{KNOWS['gradients'][1]}, knowing {KNOWS['gradients'][0]} FGSM, BIM and PGD" in rows[0]
    assert f"{KNOWS['labels'][1]}, knowing {KNOWS['labels'][0]} CW (linf)" in rows[0]
    assert sum("out of scope" in row for row in rows) == 4
    assert sum("partly" in row for row in rows) == 3


def test_planted_answers_are_counted_without_those_that_noise_finds(page: Make) -> None:
    made = page(replace=make_keys(make_audit(), quotable=False))
    rows = [[e.text for e in row.all("td")] for row in made.section("proof").one("tbody").all("tr")]
    assert rows[0] == ["0.1 grey levels", "32", "2", "30 of 30"]
    assert [row[-1] for row in rows] == ["30 of 30"] * 4 + ["3 of 30"] * 2 + ["30 of 30"] * 2
    together = f"All attacks together found 30 of 30 at 0.1 grey levels and 30 of 30 at {rows[1][0]}."
    assert together in made.section("proof").text
    without = page(replace={"active_test": {"rows": [], "reason": "no layer before the last"}}).section("proof").text
    assert "nothing here proves that they would find one: no layer before the last." in without


def test_certified_share_is_drawn_below_and_in_the_table(page: Make) -> None:
    made = page(replace=make_keys(make_audit()))
    audit = json.loads((made.path.parent / "audit.json").read_text())
    plot = made.section("curve").one("svg", class_="wide")
    rows = plot.all("line", class_="grid")
    bottom, top = float(rows[0].attributes["y1"]), float(rows[-1].attributes["y1"])
    dots = [e for e in plot.all("circle", class_="certified") if e.all("title")]
    shares = [(bottom - float(e.attributes["cy"])) / (bottom - top) for e in dots]
    known = [row["certified_accuracy"]["value"] for row in audit["certified"]["rows"]]
    assert shares == pytest.approx([share for share in known if share], abs=2e-3)
    assert len(shares) < len(known)  # a bound of zero is no bound, so it is not drawn
    assert len(plot.all("path", class_="bracket")) == 1
    table = made.section("curve").one("table")
    assert [e.text for e in table.one("thead").all("th")][-1] == "Certified"
    assert table.one("tbody").all("tr")[0].all("td")[-1].one("span", class_="value").text == "88.8%"
    assert table.one("tbody").all("tr")[-1].all("td")[-1].text == "n/a"


def test_no_certificate_is_said_with_its_reason() -> None:
    given = whole(reason="the network has batch normalization.")
    assert without_certificate(given).startswith("No certificate: the network has batch normalization. The true share")
    assert without_certificate(make_audit()).startswith("No certificate: none was asked for.")
    assert without_certificate(whole()) == ""
    nought = whole()
    nought["certified"]["rows"] = [row | {"certified_accuracy": {"value": 0.0}} for row in nought["certified"]["rows"]]
    assert certified(nought, "linf") is None
    assert "at none of these sizes" in without_certificate(nought)


def test_evidence_map_points_at_sections_and_keys_that_are_there(page: Make) -> None:
    ids = {section.id for section in SECTIONS}
    assert all(row.section in ids for row in ROWS if row.section)
    made = page(replace=make_keys(make_audit()))
    states = [row.all("td")[-1].text for row in made.section("evidence").one("tbody").all("tr")]
    assert len(states) == len(ROWS)
    assert set(states) == {"filled", "author must supply", "check"}
    audit = whole()
    assert all(present(audit, path) for row in ROWS for path in row.paths)
    assert status(ROWS[0], {"worst_case": [1]}) == "partly"
    assert status(ROWS[0], {}) == "not measured"


def test_sentence_for_use_has_metric_value_interval_data_and_date() -> None:
    assert for_use(make_audit()) == (
        "Accuracy of default (zoo:cbr_tiny) on 200 images of phantom, split test: 91.5% (95% interval 86.8% to 94.6%) "
        "unchanged, and 31.0% (95% interval 25.0% to 37.7%) under the worst change found of up to 0.77 grey levels out "
        "of 255, measured 2026-11-21 with medrobust 0.1.0."
    )
    assert for_use({"model": "m", "data": {}, "curve": []}) == ""


def test_comparison_shows_every_row_of_its_file(tmp_path: Path) -> None:
    from medrobust.report import write_report

    folder = make_run(tmp_path / "run")
    rows = [{"norm": "linf", "difference": -0.02, "low": -0.05}, {"norm": "linf", "verdict": "<b>pass</b>"}]
    (folder / "compare.json").write_text(json.dumps({"with": "runs/old", "rows": rows}))
    section = read(write_report(folder)).section("compare")
    assert [e.text for e in section.one("thead").all("th")] == ["norm", "difference", "low", "verdict"]
    assert [e.text for e in section.one("tbody").all("tr")[1].all("td")] == ["linf", "", "", "<b>pass</b>"]
    assert "with runs/old" in section.text


def test_calibration_and_classes_are_shown_where_they_are(page: Make) -> None:
    made = page(replace=make_keys(make_audit()))
    assert "Expected calibration error" in made.section("clean").text
    assert "0.031 0.020 to 0.050" in made.section("clean").text
    table = made.section("clean").all("table")[-1]
    assert [e.text for e in table.one("tbody").all("tr")[0].walk() if e.tag in ("th", "td")][:2] == [
        "benign",
        "untouched",
    ]
    assert len(made.section("groups").all("table")[-1].one("tbody").all("tr")) == 4
    assert "Calibration" not in page().section("clean").text


def test_every_smallest_change_is_a_step_where_its_number_is(page: Make) -> None:
    made = page(replace=make_keys(make_audit()))
    section = made.section("smallest")
    assert section.one("p", class_="said").text == (
        "Of the 100 images read correctly untouched, the first is misled by a change of 0.1 grey levels, the most "
        "fragile 5% by at most 0.5 grey levels, half of them by at most 5 grey levels. 10 (10%) resisted every change "
        "of up to 10 grey levels that was tried."
    )
    plot = section.one("svg", class_="wide")
    corners = [
        tuple(map(float, pair.split())) for pair in plot.one("path", class_="steps").attributes["d"][1:].split("L")
    ]
    grid = [float(e.attributes["y1"]) for e in plot.all("line", class_="grid")]
    share = [(grid[0] - y) / (grid[0] - grid[-1]) for _, y in corners]
    assert share[1:-1:2] == pytest.approx([(i + 1) / 100 for i in range(90)], abs=1e-3)
    assert share[-1] == pytest.approx(0.9, abs=1e-3)  # the line ends at the share that fell
    left, right = corners[0][0], corners[-1][0]
    wanted = [math.log((0.1 + i / 10) / 0.1) / math.log(10 / 0.1) for i in range(90)]
    assert [(x - left) / (right - left) for x, _ in corners[1:-1:2]] == pytest.approx(wanted, abs=1e-3)
    assert "10% never misled" in plot.text


def test_fragile_images_have_the_size_of_the_change_itself(page: Make) -> None:
    rows = page(replace=make_keys(make_audit())).section("fragile").one("tbody").all("tr")
    assert [row.all("td")[0].text for row in rows[:2]] == ["0.08 grey levels", "0.0803 grey levels"]
    assert "benign read as malignant" in rows[0].text
    assert page().section("fragile").one("tbody").all("tr")[0].all("td")[0].text == "0.1 grey levels"
