"""The choice of a network: equivalent, then robust, then simple; what cannot be told; and its page."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from medrobust.errors import UserError
from medrobust.records.intervals import Grouping
from medrobust.records.paired import equivalence
from medrobust.study.choice import BEST, NO, NOT_SHOWN, YES
from medrobust.study.choose import choose
from medrobust.study.read import Outcome, Study
from report.browser import browser, executable
from report.reader import read

from .make_outcomes import condition, first, outcome, study

N = 1000
E = 1 / 255


def cell(
    name: str, clean: np.ndarray, robust: Mapping[float, np.ndarray], num_parameters: int = 1000, split: str = "0"
) -> Outcome:
    """A network under the honest protocol."""
    found = [condition(clean), *(condition(right, "worst", e) for e, right in robust.items())]
    return outcome({"model": name, "split": split}, found, len(clean), num_parameters=num_parameters)


def world() -> Study:
    """Large and best; middle and small as good as it, and alike under attack; weak not robust; poor not good."""
    best, robust = first(950, N), first(600, N)
    return study(
        [
            cell("large", best, {E: np.roll(robust, 2)}, 9_000_000),
            cell("middle", np.roll(first(948, N), 1), {E: robust}, 500_000),
            cell("small", first(946, N), {E: np.roll(first(596, N), 3)}, 80_000),
            cell("weak", best, {E: first(300, N)}, 1_000),
            cell("poor", first(850, N), {E: first(840, N)}, 500),
        ]
    )


def test_equivalent_then_robust_then_simple() -> None:
    found = choose(world(), {})
    said = {one.name: one for one in found.candidates}
    assert found.chosen.name == "small"
    assert {name: one.equivalent for name, one in said.items()} == {
        "large": YES, "middle": YES, "small": YES, "weak": BEST, "poor": NO,
    }  # fmt: skip
    assert found.candidates[0].name == "small"
    assert found.candidates[-1].name == "poor"
    assert said["weak"].why.startswith("less robust than")
    assert said["poor"].why.startswith("not as good on unchanged images: -10.0 points")
    assert said["large"].why == "as robust as small as far as these images tell, and not simpler"
    assert "cannot be told from it with these images; of these small has the fewest parameters" in found.why
    assert said["small"].clean.value == pytest.approx(0.946)
    assert said["small"].robust.low < 0.596 < said["small"].robust.high
    assert (found.num_images, found.num_groups, found.num_networks) == (N, N, 1)


def test_equivalence_is_what_two_one_sided_tests_say() -> None:
    found = {one.name: one for one in choose(world(), {}).candidates}
    gap, p = equivalence(first(950, N), first(946, N), Grouping(np.arange(N)), 0.03)
    assert (found["small"].gap, found["small"].p) == (gap, p)
    d = first(946, N).astype(float) - first(950, N)
    z = (0.03 - abs(d.mean())) / (d.std(ddof=1) / math.sqrt(N))
    assert stats.norm.sf(z) < 0.05
    assert p < 0.05


def test_not_different_is_not_equivalent() -> None:
    # 50 images: no test finds a difference of 2 points, and none shows that it is below 3.
    few = study(
        [cell("large", first(45, 50), {E: first(10, 50)}), cell("small", np.roll(first(44, 50), 3), {E: first(40, 50)})]
    )
    found = choose(few, {})
    said = {one.name: one for one in found.candidates}
    assert said["small"].equivalent == NOT_SHOWN
    assert found.chosen.name == "large"
    assert "not shown to be as good within 3.0 points" in said["small"].why
    assert any("small may be more robust" in one for one in found.cautions)
    assert found.headline == "Take large, unless small is as good"
    wide = choose(few, {}, margin=0.25)
    assert wide.chosen.name == "small"


def test_the_most_robust_is_taken_where_images_tell() -> None:
    both = study(
        [cell("large", first(950, N), {E: first(700, N)}, 9_000), cell("small", first(950, N), {E: first(500, N)}, 10)]
    )
    found = choose(both, {})
    assert found.chosen.name == "large"
    assert "large is the most robust of them, by more than chance explains" in found.why
    behind = {one.name: one.behind for one in found.candidates}
    assert behind["small"].high < 0
    assert behind["small"].value == pytest.approx(-0.2)


def test_equal_networks_go_by_parameters_and_then_by_name() -> None:
    same = first(950, N), {E: first(500, N)}
    assert choose(study([cell("a", *same, 20), cell("b", *same, 10)]), {}).chosen.name == "b"
    assert choose(study([cell("b", *same, 10), cell("a", *same, 10)]), {}).chosen.name == "a"


def test_the_median_budget_or_the_one_given() -> None:
    grid = {k * E: first(900 - 100 * k, N) for k in (1, 2, 3, 4, 8)}
    one = study([cell("a", first(950, N), grid)])
    assert choose(one, {}).key == ("worst", "linf", pytest.approx(3 * E))
    assert choose(one, {"epsilon": "8/255"}).chosen.robust.value == pytest.approx(0.1)
    assert choose(one, {}, condition=("worst", "linf", 4 * E)).chosen.robust.value == pytest.approx(0.5)
    with pytest.raises(UserError, match=r"epsilon: the worst case at 0.0196.* Measured: linf 1/255, linf 2/255"):
        choose(one, {"epsilon": "5/255"})


def test_splits_are_pooled_and_a_place_that_one_lacks_is_left_out() -> None:
    cells = [cell("a", first(950, N), {E: first(500, N)}, 10, split) for split in "012"]
    cells += [cell("b", first(950, N), {E: first(600, N)}, 20, split) for split in "01"]
    found = choose(study(cells), {})
    assert (found.num_networks, found.num_images, found.num_groups) == (2, 2 * N, N)
    assert "trained once" not in " ".join(found.cautions)


def test_what_was_not_run_is_said() -> None:
    cells = [cell("a", first(950, N), {E: first(500, N)})]
    found = choose(
        study(cells, axes={"model": ("a", "b"), "split": ("0",)}, all_axes={"model": ("a", "b"), "split": ("0",)}), {}
    )
    assert [name for name, _ in found.left_out] == ["b"]
    assert any(one.startswith("b was not compared") for one in found.cautions)
    assert "the only one that was measured" in found.why


def test_cautions() -> None:
    low = study([cell("a", first(950, N), {E: first(20, N)}), cell("b", first(950, N), {E: first(10, N)})])
    low.outcomes[0].result["quotable"] = {"value": "no", "why": ["The active test failed."]}  # type: ignore[index]
    said = choose(low, {}).cautions
    assert any("reads 2 of 100 images correctly: none withstands it" in one for one in said)
    assert any("numbers of a may not be quoted. Of a: The active test failed." in one for one in said)
    assert any("trained once" in one for one in said)


@pytest.mark.parametrize(
    ("where", "axis", "margin", "place"),
    [
        ({}, "modle", 0.03, "axis"),
        ({"splt": "0"}, "model", 0.03, "where.splt"),
        ({"split": "9"}, "model", 0.03, "where.split"),
        ({}, "model", 0.0, "margin"),
    ],
)
def test_what_cannot_be_chosen_is_refused(where: dict[str, str], axis: str, margin: float, place: str) -> None:
    with pytest.raises(UserError) as error:
        choose(world(), where, axis, margin)
    assert str(error.value).startswith(f"{place}:")


def test_networks_of_different_images_are_refused() -> None:
    a = cell("a", first(90), {E: first(50)})
    b = outcome(
        {"model": "b", "split": "0"}, [condition(first(90)), condition(first(50), "worst", E)], 100,
        names=[f"other-{i}" for i in range(100)],
    )  # fmt: skip
    with pytest.raises(UserError, match="no images in common"):
        choose(study([a, b]), {})


def test_no_network_that_loses_too_much_is_called_equivalent() -> None:
    rng, wrong, num = np.random.default_rng(4), 0, 300
    for _ in range(num):
        best = rng.random(400) < 0.9
        other = best & (rng.random(400) < 1 - 0.05 / 0.9)  # 5 points below, the margin
        wrong += equivalence(best, other, Grouping(np.arange(400)), 0.05)[1] < 0.05
    assert wrong / num <= stats.binom.ppf(0.999, num, 0.05) / num


def test_markdown_and_html_say_the_same(tmp_path: Path) -> None:
    found = choose(world(), {"split": "0"})
    text = found.markdown()
    path = tmp_path / "choose.html"
    path.write_text(found.html(), encoding="utf-8")
    shown = read(path).root.text
    assert text.startswith("# Take small\n")
    assert "| 1 | small | 80,000 | 94.6 % [" in text
    assert "**taken**" in text
    for one in found.candidates:
        assert one.name in shown
        assert one.why in text or one.chosen
        assert one.why in shown or one.chosen
    for words in (found.why, found.power_words, *found.cautions):
        assert words in text
        assert words in shown
    assert "up to 1 grey level out of 255" in text


def test_names_are_escaped() -> None:
    html = choose(study([cell("<b>x</b>", first(950, N), {E: first(500, N)})]), {}).html()
    assert "<b>x</b>" not in html.replace("<b>&lt;b&gt;x&lt;/b&gt;</b>", "")


@pytest.mark.parametrize("width", [1100, 360])
def test_the_page_fits_and_asks_nobody(tmp_path: Path, width: int) -> None:
    if executable() is None:
        pytest.skip("no Chromium on this machine (apt-get install chromium)")
    path = tmp_path / "choose.html"
    path.write_text(choose(world(), {}).html(), encoding="utf-8")
    with browser() as tab:
        tab.open(path, width=width)
        assert tab.evaluate("document.documentElement.scrollWidth") <= width
        assert tab.errors == []
        assert [url for url in tab.requests if not url.startswith("file:")] == []
        shown = "[...document.querySelectorAll('svg.plot')].filter(s => s.getBoundingClientRect().width > 0).length"
        assert tab.evaluate(shown) == 1
