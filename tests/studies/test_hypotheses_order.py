"""Named hypotheses of kind rank and referral."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from medrobust.study.hypotheses import CONTRADICTED, HOLDS, NOT_RUN, NOT_SHOWN
from medrobust.study.hypotheses.draws import drop, num_dropped, random_drop, weights
from medrobust.study.hypotheses.ranks import rank_p, smallest_rho, spearman

from .make_outcomes import (
    RANK,
    both,
    condition,
    first,
    ladder,
    of,
    outcome,
    referring,
    study,
)

# rank


@pytest.mark.parametrize(
    "values", [[5, 4, 3, 2, 1], [5, 4, 4, 2, 1], [1, 5, 2, 4, 3], [3, 3, 1, 1, 2], [1, 2, 3, 4, 5]]
)
def test_spearman_and_its_exact_chance_equal_scipys(values: list[float]) -> None:
    array = np.array(values, dtype=float)
    claimed = -np.arange(5.0)
    assert spearman(array) == pytest.approx(stats.spearmanr(claimed, array).statistic)
    exact = stats.permutation_test(
        (array,),
        lambda x: stats.spearmanr(claimed, x).statistic,
        permutation_type="pairings",
        alternative="greater",
        n_resamples=np.inf,
    )
    assert rank_p(array) == pytest.approx(exact.pvalue)


def test_ties_do_not_favor_the_claim() -> None:
    strict, tied = np.array([5.0, 4, 3, 2, 1]), np.array([5.0, 4, 3, 2, 2])
    assert spearman(tied) < spearman(strict) == pytest.approx(1)
    assert rank_p(tied) == pytest.approx(2 / 120)
    assert rank_p(strict) == pytest.approx(1 / 120)
    assert rank_p(np.ones(5)) == 1
    assert spearman(np.ones(5)) == 0
    ties = of(ladder(dict.fromkeys("abcde", first(50))))
    assert (ties.verdict, ties.p, ties.rho, ties.effect) == (NOT_SHOWN, 1.0, 0.0, 0.0)


def test_smallest_rho_by_hand() -> None:
    assert smallest_rho(5) == pytest.approx(0.9)  # 5 of 120 orders reach .9, 8 reach .8
    assert smallest_rho(4) == pytest.approx(1.0)  # 1 of 24
    assert smallest_rho(3) is None
    assert smallest_rho(10) == pytest.approx(0.564, abs=0.02)  # of tables of Spearman's test


def test_an_order_that_holds_and_its_reverse() -> None:
    rights = dict(zip("abcde", [first(c, 300) for c in (270, 200, 150, 80, 20)], strict=True))
    found = of(ladder(rights))
    assert found.verdict == HOLDS
    assert found.p == pytest.approx(1 / 120)
    assert found.rho == pytest.approx(1)
    assert found.effect == pytest.approx(250 / 300)
    assert "a 90.0 %, b 66.7 %" in found.words
    assert "[1.00, 1.00]" in found.words
    assert "a correlation of at least 0.90" in found.power_words
    reverse = of(ladder(dict(zip("edcba", rights.values(), strict=True))))
    assert reverse.verdict == CONTRADICTED
    assert reverse.p == pytest.approx(1.0)


def test_an_order_that_other_images_would_change_is_not_shown() -> None:
    # The means stand as claimed, by one image each.
    rights = dict(zip("abcde", [np.roll(first(54 - k), 7 * k) for k in range(5)], strict=True))
    found = of(ladder(rights))
    assert found.p == pytest.approx(1 / 120)
    assert found.verdict == NOT_SHOWN
    assert found.low < 0 < found.high


def test_three_values_cannot_show_an_order() -> None:
    rights = dict(zip("abc", [first(c, 300) for c in (270, 150, 20)], strict=True))
    axes = {"model": tuple("abcde")}
    cells = [one for name, right in rights.items() for one in both({"model": name}, right)]
    found = of(study(cells, [RANK], axes={"model": tuple("abc")}, all_axes=axes))
    assert found.verdict == NOT_SHOWN
    assert "3 of 5 values were run" in found.words
    assert "no order can reach p < .05" in found.power_words


def test_means_over_splits_of_all_values() -> None:
    cells = []
    for split, add in enumerate((0, 20)):
        for name, count in zip("abcde", (70, 60, 50, 40, 30), strict=True):
            cells += both({"model": name, "split": str(split)}, first(count - add))
    cells += both({"model": "a", "split": "2"}, first(100))  # the others lack it
    found = of(study(cells, [RANK]))
    assert found.num_pairs == 2
    assert "a 60.0 %" in found.words
    assert "means of 2 trainings each" in found.words
    assert found.effect == pytest.approx(0.4)


# referral


def test_referral_by_hand() -> None:
    wrong = np.arange(100) < 20
    flips: list[float | None] = [0.001 + i / 1000 for i in range(99)] + [None]
    found = of(referring(~wrong, flips))
    assert found.effect == pytest.approx(0.2)  # 80 of 80 kept against 80 of 100
    assert found.p == pytest.approx(2 * stats.hypergeom.pmf(80, 100, 80, 80))
    assert found.verdict == HOLDS
    assert "of the 80 kept when the most sensitive 20% are dropped, 100.0 %" in found.words
    assert "changes nothing on average" in found.words


def test_referral_of_the_wrong_images_is_contradicted_and_without_sensitivity_not_run() -> None:
    wrong = np.arange(100) >= 80
    flips: list[float | None] = [float(i) for i in range(100)]
    assert of(referring(~wrong, flips)).verdict == CONTRADICTED
    none = study([outcome({"data": "ct"}, [condition(~wrong)], 100)], referring(~wrong, flips).hypotheses)
    assert of(none).verdict == NOT_RUN


def test_equal_sensitivities_go_by_name_and_not_by_what_is_right() -> None:
    correct = np.arange(100) % 5 != 0
    a = of(referring(correct, [0.1] * 100))
    assert a.effect == pytest.approx(0.0)
    assert a.verdict == NOT_SHOWN


def test_referral_of_patients_uses_their_draws() -> None:
    wrong = np.repeat(np.arange(4) < 1, 25)
    flips: list[float | None] = [float(i) for i in range(100)]
    found = of(referring(~wrong, flips, groups=[f"patient {i // 25}" for i in range(100)], fraction=0.25))
    assert found.verdict == NOT_SHOWN  # four patients
    assert of(referring(~wrong, flips, fraction=0.25)).verdict == HOLDS


def test_random_drop_is_the_hypergeometric_distribution_convolved() -> None:
    correct = [np.arange(30) < 20, np.arange(20) < 15]
    hits, chance = random_drop(correct, 0.2)
    rng = np.random.default_rng(0)
    drawn = [sum(int(rng.permutation(c)[num_dropped(len(c), 0.2) :].sum()) for c in correct) for _ in range(4000)]
    assert chance.sum() == pytest.approx(1)
    assert (hits * chance).sum() == pytest.approx(24 * 20 / 30 + 16 * 15 / 20)
    assert np.mean(drawn) == pytest.approx((hits * chance).sum(), abs=0.1)
    assert np.var(drawn) == pytest.approx(((hits - (hits * chance).sum()) ** 2 * chance).sum(), rel=0.1)


def test_the_rule_drops_anew_in_each_draw() -> None:
    rng = np.random.default_rng(1)
    correct, keys = rng.random(40) < 0.7, rng.random(40)
    names, groups = np.array([f"{i:02d}" for i in range(40)]), np.array([f"g{i // 2}" for i in range(40)])
    found = drop([correct], [keys], [names], [groups], 0.25)
    changes = []
    for counts in weights(20).astype(int):
        images = np.concatenate([np.repeat(np.flatnonzero(np.arange(40) // 2 == g), c) for g, c in enumerate(counts)])
        images = images[np.argsort(keys[images], kind="stable")]
        changes.append(correct[images[10:]].mean() - correct[images].mean())
    assert found.change.low == pytest.approx(np.percentile(changes, 2.5), abs=1e-9)
    assert found.error == pytest.approx(np.std(changes, ddof=1))
