"""The words of a claim with several comparisons: once what they have in common, and no number lost."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

from medrobust.study.hypotheses import HOLDS, NOT_RUN, NOT_SHOWN
from medrobust.study.hypotheses.told import Seen, Told, answers, power_words

from .make_outcomes import BETTER, RANK, both, condition, first, of, outcome, study, two

OTHERS = ("old", "mid", "same")
AGAINST: dict[str, Any] = BETTER | {"than": [{"training": name} for name in OTHERS]}
RIGHTS = {
    "new": np.roll(first(63), 20),
    "old": first(41),
    "mid": np.roll(first(50), 20),
    "same": np.roll(first(62), 20),
}


def numbers(text: str) -> set[str]:
    return set(re.findall(r"[+-]?\d+(?:\.\d+)?", text))


def told(name: str, least: float, **changes: Any) -> Told:
    """One comparison of which the sizes alone matter."""
    return Told(name, "", "", "", (), Seen("480 answers in 225 groups", least, ".05 / 3")._replace(**changes))


def test_what_comparisons_have_in_common_stands_once() -> None:
    cells = [one for name, right in RIGHTS.items() for one in both({"training": name}, right)]
    found = of(study(cells, [AGAINST]))
    assert found.words.count("Under the worst case at linf 1/255, new reads 63 of 100 images correctly.") == 1
    assert found.words.count("one training each, another may differ") == 1
    for name, part, hits in zip(OTHERS, found.parts, (41, 50, 62), strict=True):
        verdict = {HOLDS: "as claimed", NOT_SHOWN: "could not be told"}[part.verdict]
        clause = re.search(rf"Against {hits} of {name}: ([^()]*) \(([^()]*)\)\.", found.words)
        assert clause is not None
        effect, low, high = (f"{100 * value:+.1f}" for value in (part.effect, part.low, part.high))
        p = "p < 0.001" if part.p < 0.001 else f"p = {part.p:.3f}"
        assert (clause[1], clause[2]) == (f"{effect} points [{low}, {high}]; {p}", verdict)
    assert [part.verdict for part in found.parts] == [HOLDS, HOLDS, NOT_SHOWN]


def test_no_number_of_a_part_is_lost() -> None:
    cells = []
    for model, turn in (("a", 0), ("b", 9)):
        for name, right in RIGHTS.items():
            cells += both({"training": name, "model": model}, np.roll(right, turn if name == "mid" else 0))
    found = of(study(cells, [AGAINST]))
    for part in found.parts:
        assert numbers(f"{part.words} {part.power_words}") <= numbers(f"{found.words} {found.power_words}")
    assert "is right in 126 of 200 answers (100 images, 2 networks on each side)." in found.words
    assert found.words.count("better for new in 2 of 2 pairs") == 1
    assert found.parts[0].words.startswith(
        "Under the worst case at linf 1/255, new is right in 126 of 200 answers (100 images, 2 networks on each side) "
        "against 82 of old: +22.0 points ["
    )


def test_one_verdict_of_all_stands_once() -> None:
    cells = [one for name, right in RIGHTS.items() for one in both({"training": name}, right)]
    found = of(study(cells, [AGAINST | {"than": [{"training": "same"}, {"training": "same"}]}]))
    assert found.words.endswith("Each time: one training each, another may differ; could not be told.")
    assert found.words.count("could not be told") == 1


def test_sides_with_other_images_of_the_better_one_stand_apart() -> None:
    cells = []
    for split in "01":
        for name, right in RIGHTS.items():
            if (split, name) != ("1", "mid"):
                cells += both({"training": name, "split": split}, right)
    found = of(study(cells, [AGAINST]))
    assert found.words.count("new is right in 126 of 200 answers") == 1
    assert found.words.count("new reads 63 of 100 images correctly. Against 50 of mid: +13.0 points") == 1
    assert found.power_words.count("With 200 answers in 100 groups, a difference of at least ") == 1
    assert re.search(r"With 100 images, a difference of at least [\d.]+ points \(from mid\) would", found.power_words)


def test_a_comparison_that_was_not_run_is_named() -> None:
    cells = [one for name in ("new", "old") for one in both({"training": name}, RIGHTS[name])]
    found = of(study(cells, [AGAINST], all_axes={"training": ("new", *OTHERS)}))
    assert [part.verdict for part in found.parts] == [HOLDS, NOT_RUN, NOT_RUN]
    assert "Not run against mid: the profile cpu leaves out training mid." in found.words
    assert "Not run against same: the profile cpu leaves out training same." in found.words


def test_a_remark_of_some_comparisons_stays_with_them() -> None:
    rights = {"new": first(1), "old": first(30), "mid": first(0), "same": first(1)}
    cells = [one for name, right in rights.items() for one in both({"training": name}, right)]
    found = of(study(cells, [AGAINST]))
    assert found.words.count("none withstands this budget") == 2
    assert "Against 30 of old: -29.0 points" in found.words
    assert "; ;" not in found.words


def test_sides_that_met_different_conditions_say_which() -> None:
    given = BETTER | {"better": {"training": "new", "attack": "none"}, "than": [{"training": "old", "attack": "pgd"}]}
    found = of(two(first(41), first(63), given | {"where": {}}))
    assert found.words.startswith(
        "On the same images, new (unchanged) reads 100 of 100 images correctly against 41 of old (worst case at linf "
        "1/255): +59.0 points ["
    )


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [
        ((0.048, 0.04, 0.038), "a difference of at least 4.8 points (from at), 4.0 (sat) or 3.8 (amat) would"),
        ((0.026, 0.052, 0.0524), "a difference of at least 2.6 points (from at) or 5.2 (sat, amat) would"),
        ((0.05, 0.05, 0.05), "a difference of at least 5.0 points (from at, sat, amat) would"),
    ],
)
def test_sizes_stand_with_their_sides(sizes: tuple[float, ...], expected: str) -> None:
    said = power_words([told(name, size) for name, size in zip(("at", "sat", "amat"), sizes, strict=True)])
    rest = "have been found in 8 of 10 such studies (80 % power, alpha .05 / 3)."
    assert said == f"With 480 answers in 225 groups, {expected} {rest}"


def test_sizes_that_none_could_show_and_other_kinds() -> None:
    nan = float("nan")
    said = power_words([told("at", 0.048), told("sat", nan), told("amat", nan)])
    assert "at least 4.8 points (from at) would" in said
    assert (
        "With 480 answers in 225 groups, no difference from sat or amat could have been shown, however large." in said
    )
    assert power_words([told("at", nan)]).endswith("groups, no difference could have been shown, however large.")
    equal = power_words([told("at", 0.03, equal=True), told("sat", 0.041, equal=True)])
    assert "equality within at least 3.0 points (with at) or 4.1 (sat) would have been shown in 8 of 10" in equal
    plain = power_words([told("at", 0.03, share=False), told("sat", 0.041, share=False)])
    assert "a difference of at least 0.030 (from at) or 0.041 (sat) would" in plain
    apart = power_words([told("at", 0.03), told("sat", 0.03, what="90 images")])
    assert apart.count("would have been found") == 2


def test_images_that_only_some_networks_read_are_counted_once() -> None:
    cells = []
    for split, start in (("0", 0), ("1", 60)):  # 40 of 160 images are in both
        names = [f"image-{i:04d}" for i in range(start, start + 100)]
        for name in ("old", "new"):
            right = first(41 if name == "old" else 63)
            found = [condition(right, "worst", 1 / 255)]
            cells.append(outcome({"training": name, "split": split}, found, 100, names=names))
    assert (
        "200 answers (160 images, each read by at least one of the 2 networks on each side)"
        in of(study(cells, [BETTER])).words
    )
    assert answers(200, 200, 2)[1] == " (200 images, each read by one of the 2 networks on each side)"
    share = of(study(cells, [BETTER | {"metric": "sensitivity"}])).words
    assert "100 answers (80 positive images, each read by at least one of the 2 networks on each side)" in share


def test_an_order_of_several_trainings_counts_answers() -> None:
    cells = []
    for split in "01":
        for name, count in zip("abcde", (70, 60, 50, 40, 30), strict=True):
            cells += both({"model": name, "split": split}, first(count))
    assert "With 200 answers, neighbors" in of(study(cells, [RANK])).power_words
    assert "With 100 images, neighbors" in of(study(cells[:10], [RANK])).power_words


def test_equality_of_other_images_names_a_margin() -> None:
    cells = [
        outcome(
            {"data": name}, [condition(first(56, 70), "worst", 1 / 255)], 70, names=[f"{name}{i}" for i in range(70)]
        )
        for name in ("ct", "photos")
    ]
    given = BETTER | {"kind": "equal", "better": {"data": "ct"}, "than": [{"data": "photos"}]}
    assert "With 70 and 70 images, equality within " in of(study(cells, [given])).power_words
