"""How often a hypothesis is found in worlds without and with an effect, and the power that is stated."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from medrobust.records.intervals import Grouping
from medrobust.records.paired import equivalence, moments
from medrobust.study.hypotheses import HOLDS, NOT_SHOWN
from medrobust.study.hypotheses.power import mcnemar_power, smallest_margin, visible, visible_mean

from .make_outcomes import (
    BETTER,
    RANK,
    cell,
    honest,
    of,
    pair,
    referring,
)

# error rates and power


def rate_bounds(rate: float, num: int) -> tuple[float, float]:
    """Where the share of num trials lies in all but 2 of 1000 cases."""
    return stats.binom.ppf(0.001, num, rate) / num, stats.binom.ppf(0.999, num, rate) / num


def test_without_an_effect_few_studies_find_one() -> None:
    rng, wrong, num = np.random.default_rng(11), {"better": 0, "rank": 0, "equal": 0}, 300
    for _ in range(num):
        hard = rng.random(60)  # images differ in how hard they are, networks do not
        old, new = (rng.random(60) < hard for _ in range(2))
        wrong["better"] += pair(old, new).verdict != NOT_SHOWN
        wrong["rank"] += honest([cell({"model": m}, rng.random(60) < hard) for m in "abcde"], RANK).verdict == HOLDS
        # Just at the margin nothing is equal: 5 points more are right.
        a = rng.random(400) < 0.6
        b = np.where(a, rng.random(400) < 0.95, rng.random(400) < 0.2)
        wrong["equal"] += pair(a, b, BETTER | {"kind": "equal", "margin": 0.05}).verdict == HOLDS
    assert max(wrong.values()) / num <= rate_bounds(0.05, num)[1]
    assert wrong["equal"] > 0  # the test is not so strict that it never errs


def test_without_an_effect_few_referrals_find_one() -> None:
    rng, wrong, num = np.random.default_rng(12), 0, 200
    for _ in range(num):
        found = of(referring(rng.random(100) < 0.8, list(rng.random(100))))
        wrong += found.verdict != NOT_SHOWN
    assert wrong / num <= rate_bounds(0.05, num)[1]


@pytest.mark.parametrize(("n", "discordance"), [(200, 0.2), (80, 0.4)])
def test_an_effect_of_the_stated_size_is_found_in_8_of_10_studies(n: int, discordance: float) -> None:
    effect = visible(n, discordance)
    rng, num, found = np.random.default_rng(5), 400, 0
    for _ in range(num):
        u = rng.random(n)
        better, worse = u < (discordance + effect) / 2, u > 1 - (discordance - effect) / 2
        agree = rng.random(n) < 0.6
        old, new = np.where(better, False, np.where(worse, True, agree)), np.where(better, True, ~worse & agree)
        found += pair(old, new).verdict == HOLDS
    assert 0.70 <= found / num <= 0.90


def test_power_of_mcnemars_test_by_counting() -> None:
    n, discordance, effect = 30, 0.4, 0.2
    total = 0.0
    for b in range(n + 1):
        for c in range(n + 1 - b):
            if b + c and b > c and stats.binomtest(c, b + c).pvalue < 0.05:
                ways = stats.multinomial.pmf([b, c, n - b - c], n, [0.3, 0.1, 0.6])
                total += float(ways)
    assert mcnemar_power(n, discordance, effect) == pytest.approx(total)


def test_smallest_margin_shows_equality_in_8_of_10_studies() -> None:
    n, discordance = 500, 0.1
    rng, num, found = np.random.default_rng(6), 400, 0
    typical = moments(np.arange(n) < 25, (np.arange(n) >= 25) & (np.arange(n) < 50), Grouping(np.arange(n)))
    assert typical is not None
    margin = smallest_margin(typical.error)
    for _ in range(num):
        u = rng.random(n)
        a, b = u < discordance / 2, (u >= discordance / 2) & (u < discordance)
        found += equivalence(a, b, Grouping(np.arange(n)), margin)[1] < 0.05
    assert 0.70 <= found / num <= 0.90


def test_power_of_a_paired_t_test_as_in_tables() -> None:
    # Cohen: 34 pairs for an effect of half a standard deviation at 80 %.
    assert visible_mean(1.0, 34) == pytest.approx(0.495, abs=0.01)
    assert math.isnan(visible_mean(1.0, 1))
