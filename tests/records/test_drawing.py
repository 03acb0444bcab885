"""The small curve of notebooks: one SVG, every attack on it, the worst case bold."""

from __future__ import annotations

from xml.etree import ElementTree

import numpy as np

from medrobust.records import Curve
from medrobust.records.drawing import BOTTOM, LEFT, RIGHT, TOP, curve_svg
from records.tables import make_records

SVG = "{http://www.w3.org/2000/svg}"


def curve(attack: str, correct: list[list[bool]], epsilons: tuple[float, ...] = (0.0, 0.01, 0.02)) -> Curve:
    return Curve(attack, "linf", np.array(epsilons), np.array(correct))


def tags(svg: str, name: str) -> list[ElementTree.Element]:
    root = ElementTree.fromstring(svg)
    return [element for element in root.iter() if element.tag.removeprefix(SVG) == name]


def test_one_line_an_attack_and_its_name() -> None:
    svg = curve_svg([curve("worst_case", [[1, 1, 0], [1, 0, 0]]), curve("pgd", [[1, 1, 1], [1, 0, 0]])])
    words = ["".join(element.itertext()) for element in tags(svg, "text")]
    assert "worst case" in words
    assert "pgd" in words
    assert "robust accuracy against epsilon (linf)" in words
    lines = [p for p in tags(svg, "path") if p.get("fill") == "none"]
    assert len(lines) == 2
    assert float(lines[0].get("stroke-width")) > float(lines[1].get("stroke-width")), "the worst case is bold"
    assert lines[0].get("stroke") != lines[1].get("stroke")


def points(element: ElementTree.Element) -> list[tuple[float, float]]:
    numbers = [float(word) for word in element.get("d").replace("M", " ").replace("L", " ").replace(",", " ").split()]
    return list(zip(numbers[::2], numbers[1::2], strict=True))


def test_points_are_where_the_axes_say() -> None:
    """Both images stand at the smallest budget, one at the largest; a budget of 0 is not on a logarithmic axis."""
    svg = curve_svg([curve("pgd", [[1, 1, 1], [1, 1, 0]])])
    line = next(p for p in tags(svg, "path") if p.get("fill") == "none")
    (x0, y0), (x1, y1) = points(line)
    assert LEFT <= x0 < x1 <= RIGHT
    assert y0 == TOP
    assert abs(y1 - (TOP + BOTTOM) / 2) < 0.1


def test_names_are_text_and_not_markup() -> None:
    svg = curve_svg([curve("<script>&", [[1, 1, 0]])])
    assert "<script>" not in svg
    assert any("<script>&" in "".join(element.itertext()) for element in tags(svg, "text"))


def test_nothing_to_draw_without_a_budget() -> None:
    assert curve_svg([curve("pgd", [[1]], (0.0,))]) == ""
    assert curve_svg([]) == ""


def test_records_draw_one_figure_a_norm() -> None:
    attacks = {("a", "linf"): {0.1: [1, 0]}, ("b", "l2"): {1.0: [1, 1], 2.0: [1, 1]}}
    html = make_records([0, 0], [0, 0], attacks)._repr_html_()
    assert html.count("<svg") == 2
    assert "(linf)" in html
    assert "(l2)" in html
    bare = make_records([0, 0], [0, 0], {})._repr_html_()
    assert "2 images, no attack" in bare
    assert "<svg" not in bare
