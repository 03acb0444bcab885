"""check.md, check.html and results.csv: a pure function of a study folder, which a browser shows in every form."""

from __future__ import annotations

import csv
import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from medrobust.errors import UserError
from medrobust.study.behind import left
from medrobust.study.page import CheckResult, check_study
from medrobust.study.read import read_study
from report.browser import Page
from report.conftest import chromium  # noqa: F401 - the fixture
from studies.make_check import HEADER, Folder, condition, result, small

AT = "data=xray model={model} training={training} attack={attack}"
FIGURES = [
    {
        "name": "Fig. 1",
        "kind": "curve",
        "series": "model",
        "panels": "data",
        "where": {"training": "standard", "attack": "pgd"},
        "metric": "accuracy",
        "words": "Accuracy of two networks under PGD.",
    },
    {
        "name": "Fig. 2",
        "kind": "bars",
        "series": "model",
        "where": {"data": "xray", "training": "standard", "attack": "pgd", "epsilon": "1/255"},
        "metric": "accuracy",
        "words": "Accuracy at one grey level.",
    },
]
JUDGED = [
    {
        "name": "small-is-good",
        "claim": "The smaller network is more robust (abstract)",
        "protocol": "paper",
        "verdict": "supported",
        "effect": 0.4,
        "low": 0.3,
        "high": 0.5,
        "p": 0.0004,
        "power_words": "A difference of 0.1 would have been seen.",
        "words": "By 40 points on average.",
        "num_pairs": 2,
    }
]


def rows() -> list[str]:
    """Two tables with a hole, a number that is not reported, and rows of every verdict."""
    out = []
    for model in ("small", "large"):
        clean = AT.format(model=model, training="standard", attack="none")
        pgd = AT.format(model=model, training="standard", attack="pgd epsilon=1/255")
        out.append(f"1(a),No attack,{model},accuracy,{90 if model == 'small' else 75},1.5,%,{clean}")
        out.append(f"1(a),PGD | 20 steps,{model},accuracy,61.0,,%,{pgd}")
    both = AT.format(model="small,large", training="standard", attack="none")
    out += [
        f'1(a),No attack,both,accuracy,90.0,,%,"{both}"',
        "1(a),OCT,small,accuracy,50.0,,%,data=oct model=small training=standard attack=none",
        f"1(a),Change,small,accuracy,-40.0,,points,{AT.format(model='small', training='standard', attack='pgd')}"
        " epsilon=1/255 minus=attack:none",
        "2,<parameters>,large,num_parameters,1235,,count,data=xray model=large training=standard",
        "2,F1,small,f1,-,,1,data=xray model=small training=standard attack=none",
        "2,F1,large,f1,0.500,,1,data=xray model=large training=adversarial attack=none",
        "2,AUROC,large,auroc,0.9,,1,data=mri model=large attack=none",
    ]
    return out


def checked(folder: Path, **more: Any) -> tuple[Path, CheckResult]:
    made = small(folder, figures=FIGURES, **more)
    for job in made.jobs[:1]:
        path = next((folder / "cells").glob(f"{job['audit']}-*")) / "result.json"
        content = json.loads(path.read_text())
        content["quotable"] = {"value": "no", "why": ["The attack is not what it should be."]}
        content["findings"] = [
            {"id": "gradients", "severity": "fail", "title": "Gradients <vanish>", "evidence": "all are 0"},
            {"id": "head", "severity": "pass", "title": "The head is sound", "evidence": ""},
        ]
        path.write_text(json.dumps(content))
    made.write(rows())
    return folder, check_study(folder, judged=JUDGED)


def test_tables_are_redrawn_with_every_verdict(tmp_path: Path) -> None:
    _, check = checked(tmp_path / "study")
    one, two = check.tables
    assert (one.rows, one.columns) == (
        ("No attack", "PGD | 20 steps", "OCT", "Change"),
        ("small", "large", "both"),
    )
    assert (two.name, ("F1", "small") in two.cells, ("AUROC", "small") in two.cells) == ("2", True, False)
    assert one.counted("paper") == {
        "reproduced": 3,  # small without attack, small under PGD (60 for 61), both without attack (90)
        "within the interval": 2,  # large without attack (90 for 75), the change of small (-30 for -40)
        "not reproduced": 1,  # large under PGD (20 for 61)
        "not run": 1,
        "cannot run": 0,
    }
    given = {place: cell.verdicts["paper"].verdict for place, cell in two.cells.items()}
    assert given == {
        ("<parameters>", "large"): "not reproduced",
        ("F1", "small"): "",
        ("F1", "large"): "not run",
        ("AUROC", "large"): "cannot run",
    }


def test_lines_hold_every_number(tmp_path: Path) -> None:
    _, check = checked(tmp_path / "study")
    said = check.lines()
    assert said[0] == "A small study (small2030, profile cpu): 10 of 14 jobs done"
    assert "smaller experiment" in said[1]
    line = next(line for line in said if "PGD | 20 steps / small" in line)
    shown = "PGD | 20 steps / small 61.0 paper 60.0 reproduced honest 50.0 within the interval"
    assert " ".join(line.split()) == shown
    assert "  paper: 3 reproduced, 2 within the interval, 1 not reproduced, 1 not run" in said
    assert sum(" honest " in line and " paper " in line for line in said) == len(rows())


def test_jobs_without_a_result(tmp_path: Path) -> None:
    folder, _ = checked(tmp_path / "study")
    found = left(read_study(folder))
    at = "data=xray, model={}, training=adversarial, split={}"
    assert found.failed == tuple(
        (at.format("large", 0), protocol, ".../x.png: no such file") for protocol in ("paper", "honest")
    )
    assert found.missing == ((at.format("small", 1), "paper"), (at.format("small", 1), "honest"))
    assert found.cannot == ((at.format("large", 1), "needs a larger machine"),)


def test_markdown_says_it_all(tmp_path: Path) -> None:
    folder, check = checked(tmp_path / "study")
    check.write(folder)
    text = (folder / "check.md").read_text()
    assert "| reproduced | 3 | 3 |" in text
    assert "| PGD \\| 20 steps | small | 61.0 | 60.0 [0.0, 100.0] | reproduced |" in text
    assert "| No attack | large | 75 \u00b1 1.5 | 90.0 " in text
    assert "| &lt;parameters> | large | 1235 | 1,234 | not reproduced |" in text
    assert "not run (data=oct is not in this profile)" in text
    assert "- data=xray, model=small, training=standard, split=0: not quotable. The attack is not" in text
    assert "| fail | gradients | Gradients &lt;vanish> | 1 of 5 |" in text
    assert "| 0.400 [0.300, 0.500] | < 0.001 |".replace("<", "&lt;") in text
    assert all(line.count("|") - line.count("\\|") > 2 for line in text.splitlines() if line.startswith("|"))


def test_results_are_rows_of_every_metric(tmp_path: Path) -> None:
    folder, check = checked(tmp_path / "study")
    check.write(folder)
    found = list(csv.DictReader((folder / "results.csv").read_text().splitlines()))
    # 4 outcomes of each protocol with 3 conditions (clean has 3 metrics, attacked 2 and 1), 1 with 2 of one metric.
    assert len(found) == 2 * (4 * 6 + 2)
    one = next(row for row in found if row["metric"] == "mean_average_precision" and row["protocol"] == "honest")
    assert one == {
        "data": "xray", "model": "small", "training": "standard", "split": "0", "protocol": "honest",
        "attack": "worst", "norm": "linf", "epsilon": repr(1 / 255), "metric": "mean_average_precision",
        "value": "0.25", "low": "0.15", "high": "0.35", "num_images": "20",
    }  # fmt: skip
    assert [row["protocol"] for row in found] == ["paper"] * 26 + ["honest"] * 26


def test_equal_input_gives_equal_bytes_wherever_it_lies(tmp_path: Path) -> None:
    folder, check = checked(tmp_path / "study")
    names = [path.name for path in check.write(folder)]
    first = {name: (folder / name).read_bytes() for name in names}
    shutil.copytree(folder, tmp_path / "elsewhere" / "other")
    check_study(tmp_path / "elsewhere" / "other", judged=JUDGED).write(tmp_path / "elsewhere" / "other")
    again = {name: (tmp_path / "elsewhere" / "other" / name).read_bytes() for name in names}
    assert first == again
    assert names == ["check.md", "check.html", "results.csv"]
    for content in first.values():
        assert str(tmp_path).encode() not in content
        assert b"/home/someone" not in content


def test_a_grid_with_nothing_done_has_a_page(tmp_path: Path) -> None:
    made = Folder(tmp_path / "empty", figures=FIGURES)
    made.add("data=xray model=small training=standard split=0", "paper", None)
    folder = made.write(rows())
    check = check_study(folder)
    check.write(folder)
    assert check.lines()[0].endswith("0 of 1 jobs done")
    assert {one.verdict for one in check.verdicts} == {"not run", "cannot run", ""}
    # A study of one's own has no paper.
    (folder / "expected.csv").unlink()
    own = check_study(folder)
    own.write(folder)
    assert (own.verdicts, own.tables) == ((), ())
    assert "of the paper's numbers" not in (folder / "check.html").read_text()


def test_expected_and_cells_may_lie_elsewhere(tmp_path: Path) -> None:
    folder, check = checked(tmp_path / "study")
    (folder / "cells").rename(tmp_path / "cells")
    (folder / "expected.csv").rename(tmp_path / "numbers.csv")
    assert check_study(folder, tmp_path / "cells", tmp_path / "numbers.csv").verdicts == check.verdicts


def test_wrong_folders_are_refused_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"study\.json: no such file"):
        check_study(tmp_path)
    folder, _ = checked(tmp_path / "study")
    with pytest.raises(UserError, match=r"none\.csv: no such file"):
        check_study(folder, expected=tmp_path / "none.csv")
    (folder / "study.json").write_text('{"schema": "medrobust.audit/1"}')
    with pytest.raises(UserError, match="is not a study of medrobust"):
        check_study(folder)


@pytest.mark.parametrize("key", ["conditions", "quotable", "findings", "image_ids", "num_images"])
def test_results_in_another_form_are_refused_in_one_line(tmp_path: Path, key: str) -> None:
    folder, _ = checked(tmp_path / "study")
    path = next((folder / "cells").glob("*/result.json"))
    content = json.loads(path.read_text())
    del content[key]
    path.write_text(json.dumps(content))
    with pytest.raises(UserError, match="not in the form that a check reads"):
        check_study(folder)


@pytest.mark.parametrize(("width", "dark"), [(1100, False), (360, False), (1100, True), (360, True)])
def test_page_is_silent_offline_and_fits(chromium: Page, tmp_path: Path, width: int, dark: bool) -> None:  # noqa: F811
    folder, _ = checked(tmp_path / "study")
    wide = [f"3,a row,column {i},accuracy,5{i}.25,1.5,%,data=xray model=small attack=none" for i in range(12)]
    (folder / "expected.csv").write_text("\n".join([HEADER, *rows(), *wide]) + "\n")
    check_study(folder, judged=JUDGED).write(folder)
    chromium.open(folder / "check.html", width=width, dark=dark)
    assert chromium.evaluate("document.querySelectorAll('details').forEach(d => { d.open = true; }) ?? true")
    assert chromium.evaluate("document.documentElement.scrollWidth") <= width
    inside = "[...document.querySelectorAll('main *')].filter(e => !e.closest('.scroll, .hidden, svg'))"
    assert chromium.evaluate(f"{inside}.filter(e => e.getBoundingClientRect().right > innerWidth + 1).length") == 0
    widths = "[...document.querySelectorAll('.redrawn tbody th')].map(e => e.getBoundingClientRect().width)"
    assert min(chromium.evaluate(widths)) > 90  # names of rows are not broken letter by letter
    # Words of a drawing stay inside it and off each other.
    assert (
        chromium.evaluate(
            """[...document.querySelectorAll('svg.panel')].flatMap(s => {
            const frame = s.getBoundingClientRect(), all = [...s.querySelectorAll('text')];
            const boxes = all.map(t => t.getBoundingClientRect());
            const out = boxes.filter(b => b.left < frame.left - 1 || b.right > frame.right + 1);
            const over = boxes.flatMap((a, i) => boxes.slice(i + 1).filter(b =>
                a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom));
            return [...out, ...over].map(String);
        })"""
        )
        == []
    )
    assert chromium.evaluate("document.querySelectorAll('svg.panel').length") == 4
    assert chromium.evaluate("document.querySelectorAll('.redrawn .fail').length") > 0
    assert chromium.errors == []
    assert [one for one in chromium.requests if not one.startswith(("file:", "data:"))] == []


def test_page_escapes_what_files_say(tmp_path: Path) -> None:
    folder, _ = checked(tmp_path / "study")
    study = json.loads((folder / "study.json").read_text()) | {"title": "<script>alert(1)</script>"}
    (folder / "study.json").write_text(json.dumps(study))
    check_study(folder).write(folder)
    text = (folder / "check.html").read_text()
    assert "<script" not in text
    assert "Gradients &lt;vanish&gt;" in text
    assert not re.search(r"(src|href)=.http", text)


def test_result_of_two_classes_and_more_have_one_page(tmp_path: Path) -> None:
    made = Folder(tmp_path / "many")
    more = {"classes": ["a", "b", "c"], "positive_class": None}
    found = result([condition("none", 0.0, 10, macro_f1=0.4)], "paper", **more)
    made.add("data=xray model=small training=standard split=0", "paper", found)
    folder = made.write(["1,F1,small,f1,0.41,,1,data=xray model=small attack=none"])
    assert [one.verdict for one in check_study(folder).verdicts] == ["reproduced"]
