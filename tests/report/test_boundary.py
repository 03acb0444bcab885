"""The section of the decision boundary from a file made of arithmetic: names that bite, many classes, none."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from medrobust.plane import DARK, LIGHT, Mark, Plane, colors_of, plane_svg, used
from medrobust.report import write_report
from report.browser import Page
from report.make_run import make_run
from report.reader import Document, read

HOSTILE = ("<script>alert(1)</script>", 'a "quoted" & <b>bold</b> class {{ 7 * 7 }}', "</svg>" + "x" * 60)


def make_boundary(classes: Sequence[str], num_images: int = 30) -> dict[str, Any]:
    """Images on a circle; every third moves to the middle at the second budget, and is read as the next class."""
    k, n = len(classes), num_images
    labels = [i % k for i in range(n)]
    moved = list(range(0, n, 3))
    places = [[0.1 + 0.8 * (i % 6) / 5, 0.1 + 0.8 * (i // 6) / 5] for i in range(n)]
    clean = list(range(n))
    after = [n + moved.index(i) if i in moved else i for i in range(n)]
    return {
        "norm": "linf",
        "classes": list(classes),
        "ids": [f"{classes[i % k]}/{i}.png" for i in range(n)],
        "labels": labels,
        "smallest": [(1 + i) / 255 if i in moved else None if i % 2 else 0.0 for i in range(n)],
        "num_images": n + 5,
        "method": "tsne",
        "layer": "the last linear layer, 64 features",
        "k": 11,
        "trustworthiness": 0.9,
        "neighbors_kept": 0.5,
        "fill_agrees": 0.95,
        "budgets": [1 / 255, 4 / 255, 8 / 255, 16 / 255, 40 / 255],
        "places": places + [[0.5, 0.5]] * len(moved),
        "answers": labels + [(labels[i] + 1) % k for i in moved],
        "at": [clean, clean, after, after, after, after],
        "size": 20,
        "runs": [[i % k, 40] for i in range(10)],
    }


def written(folder: Path, boundary: dict[str, Any], classes: Sequence[str]) -> Document:
    run = make_run(folder / "run", classes=tuple(classes))
    (run / "explain.json").write_text(json.dumps({"reason": "not asked", "maps": [], "boundary": boundary}))
    return read(write_report(run))


def test_pictures_count_what_moved(tmp_path: Path) -> None:
    found = make_boundary(("benign", "malignant"))
    section = written(tmp_path, found, found["classes"]).section("boundary")
    pictures = {svg.one("title").text: svg for svg in section.all("svg") if svg.all("desc")}
    assert next(iter(pictures)) == "Untouched"
    assert len(pictures) == 6
    diamonds = {name: len(svg.all("path", class_="at")) for name, svg in pictures.items()}
    assert diamonds == {"Untouched": 0, "Within 1 grey level": 0} | dict.fromkeys(
        (f"Within {e} grey levels" for e in (4, 8, 16, 40)), 10
    )
    assert "30 images, 10 changed by an attack, 10 read wrong." in section.text
    areas = {tuple(e.attributes["d"] for e in svg.one("g", class_="in").all("path")) for svg in pictures.values()}
    assert len(areas) == 1
    assert "30 images, drawn by their ids." in section.text
    for form in ("wide", "narrow"):
        strip = section.one("svg", class_=form)
        assert "benign 5 misled, 10 wrong untouched" in strip.text
        assert "malignant 5 misled, 10 never" in strip.text
        assert sum(int(dot.one("title").text.split()[0]) for dot in strip.all("circle")) == 10


def test_names_are_text_and_the_page_fits(tmp_path: Path, chromium: Page) -> None:
    made = written(tmp_path, make_boundary(HOSTILE), HOSTILE)
    assert HOSTILE[0] not in made.source
    assert HOSTILE[0] in made.section("boundary").text
    for width, dark in ((360, True), (1280, False)):
        chromium.open(made.path, width=width, dark=dark)
        assert chromium.evaluate("document.querySelectorAll('details').forEach(d => { d.open = true; }) ?? true")
        assert chromium.evaluate("document.documentElement.scrollWidth") <= width
        fill = chromium.evaluate("getComputedStyle(document.querySelector('#boundary .at.k0')).fill")
        red, green, blue = (int((DARK if dark else LIGHT)[0][i : i + 2], 16) for i in (1, 3, 5))
        assert fill == f"rgb({red}, {green}, {blue})"
        inside = "[...document.querySelectorAll('#boundary figure')]"
        assert chromium.evaluate(f"{inside}.every(e => e.getBoundingClientRect().right <= innerWidth)")
        assert chromium.errors == []


def test_without_a_map_there_is_a_reason(tmp_path: Path) -> None:
    found = make_boundary(("benign", "malignant"))
    kept = {key: found[key] for key in ("norm", "classes", "ids", "labels", "smallest", "num_images")}
    section = written(tmp_path, kept | {"reason": "5 points"}, found["classes"]).section("boundary")
    assert "There is no map of the decision boundary: 5 points." in section.text
    assert len(section.all("svg")) == 2
    run = make_run(tmp_path / "plain")
    assert "explain=on" in read(write_report(run)).section("boundary").text


@pytest.mark.parametrize("num_classes", [8, 9, 12])
def test_classes_beyond_the_colors_share_the_last(num_classes: int) -> None:
    seen = [k for k in range(num_classes) for _ in range(k + 1)]  # the last is the most frequent
    colors = colors_of(seen, num_classes)
    assert len(set(colors)) == 8
    names = [f"class {k}" for k in range(num_classes)]
    plane = Plane((0, 0, 1, 1), [list(range(num_classes))], names, colors)
    found = used(plane, [])
    if num_classes == 8:
        assert found == list(enumerate(names))
        return
    own = {name for _, name in found[:-1]}
    assert found[-1] == (7, "other classes")
    assert own == {f"class {k}" for k in range(num_classes - 7, num_classes)}
    drawn = plane_svg(plane, [Mark(0.5, 0.5, 0, False, True, "rare")], "Untouched", "")
    assert 'class="k7 at wrong"' in drawn
