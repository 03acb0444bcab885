"""Figures of a paper from a study's outcomes: which values, under which protocol, beside which printed numbers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from medrobust.errors import UserError
from medrobust.study.drawing import panel_svg
from medrobust.study.expected import read_expected
from medrobust.study.figures import Figure, figures
from medrobust.study.read import read_study
from studies.make_check import small

CURVE = {"name": "Fig. 1", "kind": "curve", "series": "model", "where": {"data": "xray", "training": "standard"}}
AT = "data=xray model={} training=standard attack={}"
ROWS = [
    f"1,clean,small,accuracy,91.0,,%,{AT.format('small', 'none')}",
    f"1,pgd,small,accuracy,61.0,,%,{AT.format('small', 'pgd')} epsilon=1/255",
    f"1,named,large,accuracy,0.3,,1,{AT.format('large', 'pgd20')}",
    f"1,fgsm,small,accuracy,70.0,,%,{AT.format('small', 'fgsm')} epsilon=1/255",
    f"1,change,small,accuracy,5.0,,points,{AT.format('small', 'pgd')} epsilon=1/255 minus=attack:none",
    f"1,f1,small,f1,0.5,,1,{AT.format('small', 'pgd')} epsilon=1/255",
    "1,other,small,accuracy,50.0,,%,data=xray model=small training=adversarial attack=pgd epsilon=1/255",
]


def drawn(folder: Path, **entry: Any) -> Figure:
    where = {**CURVE["where"], "attack": "pgd", **entry.pop("where", {})}  # type: ignore[dict-item]
    made = small(folder, figures=[{**CURVE, "where": where, **entry}]).write(ROWS)
    (one,) = figures(read_study(made), read_expected(made / "expected.csv"))
    return one


def values(figure: Figure) -> dict[str, list[tuple[str, list[tuple[float, float]], list[tuple[float, float]]]]]:
    """Protocol -> of each line its name, (epsilon in grey levels, value), and what the paper prints."""

    def grey(epsilon: float, value: float) -> tuple[float, float]:
        return round(255 * epsilon, 6), round(value, 6)

    return {
        panel.protocol: [
            (line.name, [grey(e, one.value) for e, one in line.points], [grey(*mark) for mark in line.reported])
            for line in panel.lines
        ]
        for panel in figure.panels
    }


def test_a_curve_goes_from_unchanged_images_over_every_budget(tmp_path: Path) -> None:
    found = drawn(tmp_path)
    printed = [(0, 0.91), (1, 0.61)]
    assert values(found) == {
        "paper": [
            ("small", [(0, 0.9), (1, 0.6), (2, 0.1)], printed),
            ("large", [(0, 0.9), (1, 0.2), (2, 0.1)], []),
        ],
        "honest": [
            ("small", [(0, 0.9), (1, 0.5), (2, 0.1)], printed),
            ("large", [(0, 0.9), (1, 0.1), (2, 0.1)], []),
        ],
    }
    assert (found.series, found.numbers, {panel.norm for panel in found.panels}) == (
        ("small", "large"),
        (0, 1),
        {"linf"},
    )


def test_a_label_of_an_attack_stands_for_its_budget(tmp_path: Path) -> None:
    found = values(drawn(tmp_path, where={"attack": "pgd20"}))["paper"]
    assert found[1] == ("large", [(0, 0.9), (1, 0.2), (2, 0.1)], [(1, 0.3)])
    assert found[0][2] == [(0, 0.91)]


def test_bars_stand_at_one_budget(tmp_path: Path) -> None:
    found = values(drawn(tmp_path, kind="bars", where={"epsilon": "1/255"}))
    assert found["paper"] == [("small", [(0, 0.6)], [(0, 0.61)]), ("large", [(0, 0.2)], [])]
    assert found["honest"][0] == ("small", [(0, 0.5)], [(0, 0.61)])


def test_panels_are_the_values_that_the_profile_has(tmp_path: Path) -> None:
    found = drawn(tmp_path, panels="training", where={"training": ["standard", "adversarial"]})
    titles = [(panel.title, panel.protocol) for panel in found.panels]
    assert titles == [(t, p) for t in ("standard", "adversarial") for p in ("paper", "honest")]
    adversarial = found.panels[2]
    _, one = adversarial.lines[0].points[1]
    assert (round(one.low, 6), round(one.high, 6)) == (0.65, 0.85)  # of one split the interval of its images
    assert [round(one.value, 6) for _, one in adversarial.lines[0].points] == [0.8, 0.75]
    assert adversarial.lines[0].reported == ((1 / 255, 0.5),)
    assert adversarial.lines[1].points == ()  # failed
    other = drawn(tmp_path / "oct", panels="data", where={"data": ["xray", "oct"]})
    assert {panel.title for panel in other.panels} == {"xray"}


def test_a_drawing_holds_its_numbers(tmp_path: Path) -> None:
    found = drawn(tmp_path)
    text = panel_svg(found, found.panels[0])
    assert text.count('class="hollow') == 2
    assert text.count('class="dot a0"') == text.count('class="dot a1"') == 3
    assert "small at 0.003922: 0.600 [0.500, 0.700]" in text
    assert "small in the paper: 0.61" in text
    # 0 and 100 % are 180 units apart: small is at 0.6 under PGD.
    assert f'cy="{34 + 0.4 * 180:g}"' in text
    empty = drawn(tmp_path / "empty", where={"training": "adversarial", "model": "large"})
    assert panel_svg(empty, empty.panels[0]) == ""


@pytest.mark.parametrize(
    ("entry", "problem"),
    [
        ({"kind": "pie"}, "figures.1.kind: unknown kind 'pie'"),
        ({"series": "modell"}, "figures.1.series: there is no axis 'modell'. Did you mean 'model'?"),
        ({"panels": "epoch"}, "figures.1.panels: there is no axis 'epoch'"),
        ({"colour": "red"}, "figures.1.colour: unknown key"),
    ],
)
def test_entries_that_are_wrong_are_named(tmp_path: Path, entry: dict[str, str], problem: str) -> None:
    with pytest.raises(UserError) as raised:
        drawn(tmp_path, **entry)
    assert str(raised.value).startswith(problem)
