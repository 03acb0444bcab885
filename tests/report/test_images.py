"""The page of every image: its rows are those of the records; ten thousand can be sorted and filtered in a browser."""

from __future__ import annotations

import csv
import io
import time
from pathlib import Path

import pytest

from cli.run import run
from medrobust.errors import UserError
from medrobust.report.images import image_table, images_csv, write_images
from report.browser import Page
from report.make_images import change_of, make_image_records, make_image_run
from report.make_run import make_audit
from report.reader import read

MANY = 10_000
ROWS = "[...document.querySelectorAll('#all tbody tr')]"


def wanted_order(count: int) -> list[int]:
    """The most easily misled first, those never misled after them, those wrong untouched last."""
    return sorted(range(count), key=lambda i: (change_of(i) == 0, change_of(i), i))


def test_rows_are_those_of_the_records() -> None:
    audit = make_audit(attacks=("pgd",))
    rows = list(csv.DictReader(io.StringIO(images_csv(image_table(make_image_records(40), audit)))))
    ids = [int(row["image_id"][13:18]) for row in rows]
    assert ids == wanted_order(40)
    for i, row in zip(ids, rows, strict=True):
        assert float(row["change_linf"]) == pytest.approx(change_of(i), abs=1e-9)
        assert row["group_id"] == f"patient-{i // 2}"
        assert row["label"] == ("benign", "malignant")[i % 2]
        wrong, never = change_of(i) == 0, change_of(i) == float("inf")
        assert row["prediction"] == ("benign", "malignant")[1 - i % 2 if wrong else i % 2]
        assert row["outcome"] == ("untouched" if wrong else "never" if never else "misled")
        assert row["became_linf"] == ("" if wrong or never else ("malignant", "benign")[i % 2])
        assert row["attack_linf"] == ("" if wrong or never else "PGD")
        assert float(row["change_l2"]) == (0 if wrong else 0.25)
        assert row["meta_age"] == ("" if i % 7 == 0 else str(20.0 + i % 60))
        assert row["meta_site"] == ("'=A", "B")[i % 2]  # no formula in a spreadsheet
    assert float(rows[0]["confidence"]) == 0.75


def test_page_is_plain_text_without_scripts(tmp_path: Path) -> None:
    made = read(write_images(make_image_run(tmp_path, 30)))
    rows = made.root.one("tbody").all("tr")
    assert [int(row.one("th").text[13:18]) for row in rows] == wanted_order(30)
    assert "<script>0" not in made.source
    assert len(made.root.all("script")) == 1
    heads = [e.text for e in made.root.one("thead").all("th")]
    assert heads[:5] == ["Image", "Group", "Truth", "Read as", "Confidence"]
    assert heads[5:] == [
        "Smallest change, linf (grey levels)", "Attack, linf", "Became, linf",
        "Smallest change, l2 (distance)", "Attack, l2", "Became, l2", "age", "site",
    ]  # fmt: skip
    never = [row for row in rows if row.has("class", "never")]
    assert len(never) == 3
    assert all(row.all("td")[4].text == "never" for row in never)
    assert "3 wrong untouched, 24 misled, 3 never misled." in made.root.one("header").text


def test_report_writes_them_when_asked(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    make_image_run(tmp_path / "run", 12)
    assert run(capsys, "report", tmp_path / "run")[0] == 0
    assert not (tmp_path / "run" / "images.html").exists()
    code, out, _ = run(capsys, "report", tmp_path / "run", "--all-images")
    assert code == 0
    assert f"Every image: {tmp_path / 'run' / 'images.html'}" in out
    assert (tmp_path / "run" / "images.csv").read_text().count("\n") == 13


def test_a_run_without_records_is_refused_in_one_line(tmp_path: Path) -> None:
    folder = make_image_run(tmp_path, 12)
    (folder / "records.parquet").unlink()
    with pytest.raises(UserError, match=r"records\.parquet"):
        write_images(folder)
    assert not (folder / "images.html").exists()


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_images(make_image_run(tmp_path_factory.mktemp("many"), MANY))


def numbers(tab: Page, column: int, most: int) -> list[str]:
    """The first cells of a column, of the rows that are shown."""
    shown = f"{ROWS}.filter(r => !r.hidden).slice(0, {most}).map(r => r.cells[{column}].textContent)"
    return list(tab.evaluate(shown))


def test_ten_thousand_rows_sort_and_filter(chromium: Page, many: Path) -> None:
    assert many.stat().st_size < 10_000_000
    chromium.open(many)
    assert chromium.evaluate(f"{ROWS}.length") == MANY
    click = "(() => { const t = performance.now(); document.querySelectorAll('#all thead button')[%d].click(); "
    click += "document.body.offsetHeight; return performance.now() - t; })()"
    took = chromium.evaluate(click % 5)
    assert numbers(chromium, 5, 3) == ["0", "0", "0"]
    assert chromium.evaluate("document.querySelectorAll('#all th')[5].getAttribute('aria-sort')") == "ascending"
    took = max(took, chromium.evaluate(click % 5))
    assert numbers(chromium, 5, 1) == ["never"]
    assert chromium.evaluate("document.querySelectorAll('#all th')[5].getAttribute('aria-sort')") == "descending"
    took = max(took, chromium.evaluate(click % 11))  # age: numbers, some missing, which stand last
    assert numbers(chromium, 11, 1) == ["20"]
    assert chromium.evaluate(f"{ROWS}.at(-1).cells[11].textContent") == ""
    assert chromium.evaluate("document.querySelectorAll('[aria-sort]').length") == 1
    assert took < 3000, "a click that sorts takes a fifth of a second on a free core"
    began = time.monotonic()
    script = "words.value = 'benign patient-77'; words.dispatchEvent(new Event('input'));"
    script += "new Promise(done => setTimeout(() => done(shown.textContent), 400))"
    count = sum("patient-77" in f"patient-{i // 2}" for i in range(MANY))
    assert chromium.evaluate(script) == f"{count} of 10,000 rows"  # every row has a benign in it: read as, or became
    assert time.monotonic() - began < 10
    chromium.evaluate("words.value = ''; outcome.value = 'never'; outcome.dispatchEvent(new Event('change'))")
    assert chromium.evaluate("shown.textContent") == "1,000 of 10,000 rows, the first 500 shown"
    assert chromium.evaluate(f"{ROWS}.filter(r => !r.hidden).length") == 500
    chromium.evaluate("more.click()")
    assert chromium.evaluate("shown.textContent") == "1,000 of 10,000 rows"
    assert chromium.evaluate(f"{ROWS}.filter(r => !r.hidden && r.className === 'never').length") == 1000
    assert chromium.evaluate("more.hidden")
    assert chromium.errors == []


@pytest.mark.parametrize(("width", "dark"), [(360, False), (1280, True)])
def test_page_fits_is_silent_and_asks_for_nothing(chromium: Page, tmp_path: Path, width: int, dark: bool) -> None:
    chromium.open(write_images(make_image_run(tmp_path, 60)), width=width, dark=dark)
    assert chromium.evaluate("document.documentElement.scrollWidth") <= width
    assert chromium.requests[1:] == []
    assert chromium.errors == []
    assert chromium.evaluate("document.querySelectorAll('td script, th script').length") == 0


def test_keyboard_reaches_and_sorts(chromium: Page, tmp_path: Path) -> None:
    chromium.open(write_images(make_image_run(tmp_path, 60)))
    order = []
    for _ in range(8):
        chromium.press("Tab")
        order.append(chromium.evaluate("document.activeElement.id || document.activeElement.textContent"))
        style = "getComputedStyle(document.activeElement)"
        assert chromium.evaluate(f"{style}.outlineStyle != 'none' && parseFloat({style}.outlineWidth) >= 2")
    assert order[:5] == [
        "Skip to the table",
        "words",
        "outcome",
        chromium.evaluate("all.parentElement.textContent"),
        "Image",
    ]
    chromium.evaluate("document.querySelectorAll('#all thead button')[1].focus()")
    chromium.press("Enter")
    assert chromium.evaluate("document.querySelectorAll('#all th')[1].getAttribute('aria-sort')") == "ascending"
    assert numbers(chromium, 1, 4) == ["patient-0", "patient-0", "patient-1", "patient-1"]


def test_without_scripts_there_are_rows_and_no_dead_controls(chromium: Page, tmp_path: Path) -> None:
    chromium.call("Emulation.setScriptExecutionDisabled", value=True)
    try:
        chromium.open(write_images(make_image_run(tmp_path, 20)))
        assert chromium.evaluate("getComputedStyle(document.querySelector('.filters')).display") == "none"
        assert chromium.evaluate(f"{ROWS}.length") == 20
    finally:
        chromium.call("Emulation.setScriptExecutionDisabled", value=False)
