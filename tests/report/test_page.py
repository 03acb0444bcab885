"""The page as a file: alone, escaped, true to the numbers, whole with and without every part of the audit."""

from __future__ import annotations

import itertools
import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from medrobust.errors import UserError
from medrobust.report import write_report
from medrobust.report.sections import SECTIONS
from report.make_keys import make_keys
from report.make_run import SEVEN, make_audit, make_run
from report.reader import Document, read

Make = Callable[..., Document]
HOSTILE = (
    "<script>alert(1)</script>",
    'a "quoted" & <b onclick="x">bold</b>\' class {{ 7 * 7 }}',
    "</script>" + "x" * 90,
)
NEW = sorted(make_keys(make_audit()))
OPTIONAL = sorted(set(make_audit()) - {"schema", "model", "data", "curve"})
SHAPES: dict[str, dict[str, Any]] = {
    "default": {},
    "seven-classes-30-budgets-two-norms": {"classes": SEVEN, "num_budgets": 30, "norms": ("linf", "l2")},
    "one-budget-one-attack-no-gallery": {"num_budgets": 1, "attacks": ("pgd",), "num_gallery": 0},
    "l2-first": {"norms": ("l2", "linf")},
    "guessing": {"clean": 0.5, "num_gallery": 1},
    "all-lost": {"fragility": 500.0},
    "nothing-lost": {"fragility": 0.0},
    "nine-attacks": {"attacks": tuple(f"attack_{i}" for i in range(9))},
    "hostile": {
        "classes": HOSTILE,
        "model": HOSTILE[0],
        "data": HOSTILE[1],
        "attacks": ("<i>a</i>", "b&lt;"),
        "severities": ("fail",) * 6,
    },
    "many-broken": {"num_broken": 40, "severities": ("not_run",)},
    "proven": {"replace": make_keys(make_audit())},
    "refused": {"replace": make_keys(make_audit(), quotable=False, reason="the network has batch normalization")},
    "bare": {"without": OPTIONAL, "num_gallery": 0},
}


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_page_is_alone_and_well_formed(page: Make, shape: str) -> None:
    made = page(**SHAPES[shape])
    root, source = made.root, made.source
    assert not root.all("link")
    assert not root.all("iframe")
    assert not root.all("object")
    for element in root.walk():
        for name in ("src", "href", "srcset", "action", "data", "xlink:href", "poster"):
            value = element.attributes.get(name, "#")
            assert value.startswith(("#", "data:image/png;base64,")), (element.tag, name, value)
        assert not any(name.startswith("on") for name in element.attributes), element.attributes
    assert "url(" not in source.replace("clip-path", "")
    assert "@import" not in source
    assert "default-src 'none'" in root.one("meta", **{"http-equiv": "Content-Security-Policy"}).attributes["content"]
    assert len(root.all("script")) == (2 if root.all("article") else 0)
    ids = [e.attributes["id"] for e in root.walk() if "id" in e.attributes]
    assert len(ids) == len(set(ids))
    assert all(e.attributes["href"][1:] in ids for e in root.all("a"))
    assert all(e.attributes.get("alt") for e in root.all("img"))
    assert len(source) < 5_000_000


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_page_has_landmarks_headings_and_names(page: Make, shape: str) -> None:
    root = page(**SHAPES[shape]).root
    assert root.one("html").attributes["lang"] == "en"
    assert [len(root.all(tag)) for tag in ("main", "nav", "footer", "h1")] == [1, 1, 1, 1]
    levels = [int(e.tag[1]) for e in root.walk() if re.fullmatch("h[1-6]", e.tag)]
    assert all(after <= before + 1 for before, after in itertools.pairwise(levels))
    ids = {e.attributes.get("id") for e in root.walk()}
    assert all(e.attributes["aria-labelledby"] in ids for e in root.walk() if "aria-labelledby" in e.attributes)
    assert all(e.attributes.get("aria-label") or e.attributes.get("aria-hidden") for e in root.all("svg"))
    assert [e.attributes["id"] for e in root.all("section")] == [section.id for section in SECTIONS]
    for table in root.all("table"):
        assert all(e.attributes.get("scope") in ("col", "row") for e in table.all("th"))


def test_hostile_names_are_text(page: Make) -> None:
    made = page(**SHAPES["hostile"])
    assert HOSTILE[0] not in made.source
    assert "<b onclick" not in made.source
    assert "49" not in made.root.one("h1").text
    assert HOSTILE[0] in made.section("direction").text
    assert "<i>a</i>" in made.section("curve").one("svg", class_="wide").text
    assert "b&lt;" in made.section("curve").one("table").text
    assert '"quoted" & <b onclick="x">bold</b>\' class {{ 7 * 7 }}' in made.section("gallery").text
    assert HOSTILE[0] in made.root.one("title").text
    frames = json.loads(made.root.one("script", type="application/json").text)
    assert frames["cases"][0]["frames"][-1]["read"] == HOSTILE[1]


def test_numbers_are_those_of_the_audit(page: Make) -> None:
    made = page()
    audit = json.loads((made.path.parent / "audit.json").read_text())
    table = made.section("curve").one("table")
    names = [e.text for e in table.one("thead").all("th")][1:]
    assert names == ["Worst case", "FGSM", "BIM", "PGD", "CW (linf)", "Worst case, saved"]
    rows = table.one("tbody").all("tr")
    for row, worst, stored in zip(rows, audit["worst_case"], audit["stored"], strict=True):
        cells = row.all("td")
        assert cells[0].one("span", class_="value").text == shown(worst)
        assert cells[5].one("span", class_="value").text == shown(stored)
        same = [c for c in audit["curve"] if c["epsilon"] == worst["epsilon"]]
        assert [cell.one("span", class_="value").text for cell in cells[1:5]] == [shown(c) for c in same]
    accuracy = made.section("clean").one("tbody").all("tr")[0]
    assert accuracy.text == "Accuracy of all images, the share read correctly 91.5% 86.8% to 94.6%"
    assert "AUROC how well the score ranks malignant above benign" in made.section("clean").text
    assert made.section("groups").all("tr")[2].text == "50 and over 66 89.5% 79.8% to 94.8% 26.4% 17.2% to 38.1%"
    assert "FGSM did worse at some larger size than at a smaller one, by up to 1.3 points" in made.section("curve").text


def test_protocol_paper_says_that_accuracy_may_rise_again(page: Make) -> None:
    paper = {**make_audit()["protocol"], "name": "paper"}
    said = "Each size is counted on its own, as in the papers"
    assert said in page(replace={"protocol": paper}).section("curve").text
    assert "the lines keep the lower value" not in page(replace={"protocol": paper}).section("curve").text
    assert said not in page().section("curve").text


def test_referral_says_how_many_images_are_sent_and_how_sure_it_is(page: Make) -> None:
    row = {"fraction": 0.2, "num_referred": 2, "num_kept": 8, "accuracy": 0.75, "random": 0.7}
    row["intervals"] = {"accuracy": {"value": 0.75, "low": 0.41, "high": 0.93}}
    rows = [{"fraction": 0.0, "num_referred": 0, "num_kept": 10, "accuracy": 0.7, "random": 0.7}, row]
    text = page(replace={"referral": rows}).section("referral").text
    assert "With 20% (2 of 10 images) sent to a person" in text
    assert "easiest to mislead 75% (41.0% to 93.0%) and at random 70%" in text


def shown(row: dict[str, Any]) -> str:
    value = 100 * row["robust_accuracy"]["value"]
    return "<0.1%" if 0 < value < 0.05 else f"{value:.1f}%"


def test_curve_is_drawn_where_the_numbers_are(page: Make) -> None:
    made = page(attacks=("pgd",))
    audit = json.loads((made.path.parent / "audit.json").read_text())
    plot = made.section("curve").one("svg", class_="wide")
    rows = plot.all("line", class_="grid")
    bottom, top = float(rows[0].attributes["y1"]), float(rows[-1].attributes["y1"])
    dots = [e for e in plot.all("circle", class_="worst") if e.all("title")]
    shares = [(bottom - float(e.attributes["cy"])) / (bottom - top) for e in dots]
    assert shares == pytest.approx([row["robust_accuracy"]["value"] for row in audit["worst_case"]], abs=2e-3)
    steps = [float(b.attributes["cx"]) - float(a.attributes["cx"]) for a, b in itertools.pairwise(dots)]
    assert max(steps) - min(steps) < 0.2  # a geometric grid is even on a logarithmic axis


def test_what_was_read_is_said_with_its_source(page: Make) -> None:
    made = page()
    assert "normalization mean 0.4, std 0.2 (given; not the card: none)" in " ".join(
        made.section("read-from").text.split()
    )


def test_failures_and_warnings_of_what_was_shown_stand_before_the_verdict(tmp_path: Path) -> None:
    rows = [
        ("gradients", "fail", "Are there <any>?", "100% are zero"),
        ("sources", "warn", "Do all say the same?", "no"),
        ("enough-images", "warn", "Are there enough?", "few"),
    ]
    folder = make_run(tmp_path / "run")
    audit = json.loads((folder / "audit.json").read_text())
    names = ("id", "severity", "title", "evidence")
    audit["findings"] = [dict(zip(names, row, strict=True)) | {"advice": "x"} for row in rows]
    (folder / "audit.json").write_text(json.dumps(audit))
    made = read(write_report(folder))
    (first,) = made.root.all(class_="first")
    assert "Are there <any>? 100% are zero" in " ".join(first.text.split())
    assert "Do all say the same?" in first.text
    assert "enough" not in first.text
    assert made.source.index('class="first"') < made.source.index("<h1>")


@pytest.mark.parametrize("key", [*OPTIONAL, *NEW])
def test_each_missing_key_leaves_one_sentence(page: Make, key: str) -> None:
    section = {
        "clean": "clean", "fragile": "fragile", "direction": "direction", "groups": "groups", "referral": "referral",
        "findings": "checks", "not_tested": "tested", "active_test": "proof", "sensitivity": "smallest",
        "corruptions": "everyday",
    }  # fmt: skip
    made = page(without=(key,), replace=make_keys(make_audit()))
    absent = made.root.all(class_="absent")
    expected = {section[key]} if key in section else set()
    found = {s.attributes["id"] for s in made.root.all("section") if s.all(class_="absent")}
    assert found == expected | {"boundary", "compare", "explain", "confusion"}  # made_run writes none of these
    assert all(e.text.endswith(".") for e in absent)


def test_provenance_falls_back_on_the_run_file(page: Make) -> None:
    assert "medrobust audit" in page(without=("provenance",)).section("repeat").text


def test_broken_files_and_failed_checks_are_named(page: Make) -> None:
    made = page(num_broken=3, severities=("fail", "warn", "pass"))
    assert "3 files could not be read" in made.section("data").text
    assert "scans/broken-2.png truncated after 1,024 bytes" in made.section("data").text
    checks = made.section("checks")
    assert [e.text for e in checks.all("h3") + checks.all("summary")] == ["Failed (1)", "Warning (1)", "Passed (1)"]
    assert made.root.one("p", class_="trust").has("class", "fail")


def test_undefined_numbers_are_said_to_be(page: Make) -> None:
    clean = {**make_audit()["clean"], "auroc": {"value": None, "low": None, "high": None}}
    text = page(replace={"clean": clean}).section("clean").text
    assert re.search(r"1 is perfect n/a", text)
    assert "nan" not in text.lower().split()


def test_intervals_without_width_prove_nothing(page: Make) -> None:
    rows = [
        {
            "column": "site",
            "value": name,
            "num_images": 5,
            "clean_accuracy": dict.fromkeys(("value", "low", "high"), share),
        }
        for name, share in (("A", 1.0), ("B", 0.2))
    ]
    text = page(replace={"groups": [{**row, "robust_accuracy": []} for row in rows]}).section("groups").text
    assert "overlap" not in text
    assert "100.0% n/a" in text


@pytest.mark.parametrize(
    ("audit", "problem"),
    [
        ("{", "cannot be read as JSON"),
        ("[]", "lacks schema, model, data and curve"),
        ('{"schema": "medrobust.audit/1", "model": "m", "data": {}}', "lacks curve"),
        ('{"schema": "medrobust.audit/9", "model": "m", "data": {}, "curve": []}', "schema 'medrobust.audit/9'"),
        (
            '{"schema": "medrobust.audit/1", "model": "m", "data": {}, "curve": [{"attack": "pgd"}]}',
            "not in the form",
        ),
    ],
)
def test_bad_audit_is_one_clear_line_and_nothing_written(tmp_path: Path, audit: str, problem: str) -> None:
    (tmp_path / "audit.json").write_text(audit)
    with pytest.raises(UserError, match=re.escape(problem)):
        write_report(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["audit.json"]


def test_missing_run_and_old_report_stays(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such file"):
        write_report(tmp_path / "none")
    assert not (tmp_path / "none").exists()
    (tmp_path / "report.html").write_text("old")
    with pytest.raises(UserError):
        write_report(tmp_path)
    assert (tmp_path / "report.html").read_text() == "old"


def test_least_audit_is_enough(tmp_path: Path) -> None:
    (tmp_path / "audit.json").write_text('{"schema": "medrobust.audit/1", "model": "m", "data": {}, "curve": []}')
    made = read(write_report(tmp_path))
    assert made.root.one("h1").text.startswith("No attack was measured")
    assert "No attack was measured" in made.section("curve").text


def test_heavy_libraries_wait_until_a_report_is_written() -> None:
    heavy = ("jinja2", "matplotlib", "pyarrow", "torch", "scipy")
    script = f"import sys, medrobust.report; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_same_run_gives_the_same_bytes(tmp_path: Path) -> None:
    run = make_run(tmp_path, num_gallery=2)
    first = write_report(run).read_bytes()
    assert write_report(run).read_bytes() == first


def test_the_copy_that_searched_is_said() -> None:
    from medrobust.report.sections.protocol import protocol

    audit = make_audit()
    assert "searched with" not in dict(protocol(audit))
    audit["cost"]["search"] = {"copy": "float32", "gradients_per_second": 100.0}
    assert dict(protocol(audit))["searched with"].startswith("a copy of the network, float32;")
    audit["cost"]["search"] = {"copy": "float32, unchanged", "gradients_per_second": 100.0}
    assert dict(protocol(audit))["searched with"] == "the network itself"
