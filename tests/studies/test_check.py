"""A paper's numbers against a study's: values, intervals, reasons and verdicts, with numbers computed by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from medrobust.records.intervals import Grouping
from medrobust.records.paired import difference
from medrobust.study.expected import Expected, Wanted, read_expected
from medrobust.study.found import Found, find
from medrobust.study.page import check_study
from medrobust.study.read import Study, read_study
from medrobust.study.values import Estimate, kept, pooled
from medrobust.study.verdicts import counts, verdict_of, verdicts
from studies.make_check import NUM, Folder, condition, result, right, small

PGD = {"data": "xray", "model": "small", "training": "standard", "attack": "pgd", "epsilon": "1/255"}


@pytest.fixture
def study(tmp_path: Path) -> Study:
    return read_study(small(tmp_path).write())


def found(study: Study, protocol: str = "paper", metric: str = "accuracy", **where: Any) -> Found:
    extra = {name: where.pop(name) for name in ("subset", "minus") if name in where}
    return find(study, Wanted(metric, {key: str(value) for key, value in (PGD | where).items()}, **extra), protocol)


def test_value_is_the_mean_over_splits_with_a_t_interval(study: Study) -> None:
    ours = found(study).estimate
    assert ours is not None
    assert ours.value == pytest.approx(0.6)
    low, high = stats.t.interval(0.95, 1, loc=0.6, scale=stats.sem([0.5, 0.7]))
    assert (low, high) == (pytest.approx(0.6 - 1.27062, abs=1e-4), pytest.approx(0.6 + 1.27062, abs=1e-4))
    assert (ours.low, ours.high) == (0.0, 1.0)  # as far as a share can go
    free = pooled([[Estimate(0.5, 0.4, 0.6)], [Estimate(0.7, 0.6, 0.8)]], 2, (-9, 9))
    assert (free.low, free.high) == (pytest.approx(low), pytest.approx(high))


def test_interval_is_never_narrower_than_the_images_allow(study: Study) -> None:
    # Both splits are at 0.2, each with 0.1 to either side, on different images: 0.1 / sqrt(2).
    ours = found(study, model="large").estimate
    assert ours is not None
    assert (ours.low, ours.high) == (pytest.approx(0.2 - 0.1 / 2**0.5), pytest.approx(0.2 + 0.1 / 2**0.5))


def test_seeds_on_the_same_images_do_not_narrow_the_interval() -> None:
    twice = [[Estimate(0.2, 0.1, 0.4)], [Estimate(0.2, 0.1, 0.4)]]
    assert pooled(twice, 1, (0, 1)) == Estimate(0.2, pytest.approx(0.1), pytest.approx(0.4))


def test_one_outcome_has_its_own_interval(study: Study) -> None:
    one = found(study, training="adversarial", split="0")
    assert one.estimate == Estimate(0.75, pytest.approx(0.65), pytest.approx(0.85))
    # The other split is missing: the mean is over what is there, and it says so.
    both = found(study, training="adversarial")
    assert both.estimate == one.estimate
    assert (both.num_used, both.num_jobs, both.note) == (1, 2, "1 of 2 jobs")


def test_without_an_interval_none_is_made_up() -> None:
    alone = pooled([[Estimate(0.2, np.nan, np.nan)]], 1, (0, 1))
    assert (alone.value, np.isnan(alone.low), np.isnan(alone.high)) == (0.2, True, True)


def test_honest_is_the_worst_case(study: Study) -> None:
    ours = found(study, "honest").estimate
    assert ours is not None
    assert ours.value == pytest.approx(0.5)
    clean = found(study, "honest", attack="none").estimate
    assert clean is not None
    assert clean.value == pytest.approx(0.9)


def test_mean_of_several_networks(study: Study) -> None:
    ours = found(study, model="small,large").estimate
    assert ours is not None
    assert ours.value == pytest.approx((0.5 + 0.7 + 0.2 + 0.2) / 4)
    # Splits are the repetitions, networks are not: the means of the splits are 0.35 and 0.45.
    free = pooled([[Estimate(0.5, 0.4, 0.6), Estimate(0.2, 0.1, 0.3)], [Estimate(0.7, 0.6, 0.8)] * 2], 2, (-9, 9))
    assert free.high == pytest.approx(stats.t.interval(0.95, 1, loc=0.525, scale=stats.sem([0.35, 0.7]))[1])
    some = found(study, model="small,large", training="adversarial")
    assert some.estimate is None  # small is done, large failed: half a mean is not the mean
    assert some.why == "failed: .../x.png: no such file"


def test_labels_of_conditions_name_the_budget(study: Study) -> None:
    where = {key: value for key, value in PGD.items() if key != "epsilon"} | {"attack": "pgd20"}
    named = find(study, Wanted("accuracy", where), "paper")
    assert named.estimate == found(study).estimate
    unnamed = find(study, Wanted("accuracy", where | {"attack": "cw"}), "paper")
    assert (unnamed.verdict, "conditions.cw" in unnamed.why) == ("cannot run", True)


def test_difference_over_splits_is_of_pairs(study: Study) -> None:
    ours = found(study, minus=(("model", "large"),)).estimate
    assert ours is not None
    assert ours.value == pytest.approx(0.4)  # 0.3 and 0.5
    assert (ours.low, ours.high) == (pytest.approx(max(-1, 0.4 - 12.7062 * 0.1), abs=1e-4), 1.0)


def test_difference_of_one_pair_is_paired_by_image(study: Study) -> None:
    one = found(study, training="adversarial", split="0", minus=(("training", "standard"),))
    expected = difference(right(10), right(15), Grouping(np.arange(NUM)))
    assert one.estimate == Estimate(0.25, pytest.approx(expected.low), pytest.approx(expected.high))
    assert (one.num_used, one.num_jobs) == (2, 2)


def test_difference_of_other_metrics_adds_the_squares(study: Study) -> None:
    given = {"attack": "none", "split": "0", "minus": (("model", "large"),)}
    ours = found(study, metric="f1", **given).estimate
    assert ours == Estimate(0.0, pytest.approx(-0.1 * 2**0.5), pytest.approx(0.1 * 2**0.5))


def test_aware_subset_leaves_out_the_fifth_that_flips_first(study: Study) -> None:
    # Of 20 images the last four flip first and are wrong: of 16 left, the first 10 are right.
    assert kept([None, *range(19, 0, -1)]).tolist() == [True] * 16 + [False] * 4
    ours = found(study, split="0", subset="aware").estimate
    assert ours == Grouping(np.arange(16)).mean(right(10)[:16])
    change = found(study, split="0", subset="aware", minus=(("subset", "all"),)).estimate
    assert change is not None
    assert change.value == pytest.approx(10 / 16 - 10 / 20)
    # By Newcombe's method of the 16 kept and the 4 dropped, of which 0 are right, times the share dropped.
    kept_, rest = Grouping(np.arange(16)).mean(right(10)[:16]), Grouping(np.arange(4)).mean(np.zeros(4, bool))
    apart = 10 / 16
    low = apart - np.hypot(kept_.value - kept_.low, rest.high - rest.value)
    high = apart + np.hypot(kept_.high - kept_.value, rest.value - rest.low)
    assert (change.low, change.high) == (pytest.approx(0.2 * low), pytest.approx(0.2 * high))


def test_metrics_of_a_paper_are_found_under_our_names(study: Study) -> None:
    for metric, value, attack in (
        ("mean_average_robust_precision", 0.25, "pgd"),
        ("macro_sensitivity", 0.75, "none"),
        ("f1", 0.5, "none"),
        ("num_parameters", 1234, "none"),
    ):
        ours = found(study, metric=metric, attack=attack).estimate
        assert ours is not None
        assert ours.value == pytest.approx(value), metric


@pytest.mark.parametrize(
    ("where", "verdict", "why"),
    [
        ({"data": "oct"}, "not run", "data=oct is not in this profile"),
        ({"data": "mri"}, "cannot run", "data=mri is not in the study"),
        ({"layer": "conv1"}, "cannot run", "the study does not tell results apart by layer (layer=conv1)"),
        ({"epsilon": "3/255"}, "not run", "the audits have no accuracy under pgd at epsilon 0.0117647"),
        ({"metric": "macro_f1", "attack": "none"}, "not run", "the audits have no macro_f1 on unchanged images"),
        ({"training": "adversarial", "split": "1"}, "not run", "0 of 1 jobs are done"),
        ({"training": "adversarial", "model": "large", "split": "1"}, "cannot run", "needs a larger machine"),
        ({"training": "adversarial", "model": "large"}, "not run", "failed: .../x.png: no such file"),
    ],
)
def test_reasons(study: Study, where: dict[str, str], verdict: str, why: str) -> None:
    lacking = found(study, **where)
    assert (lacking.estimate, lacking.verdict, lacking.why) == (None, verdict, why)


def test_what_nobody_can_run_says_why(tmp_path: Path) -> None:
    rules = [
        {"where": {"data": ["oct", "mri"], "training": "standard"}, "why": "no public copy"},
        {"where": {"metric": "auroc"}, "why": "the paper has no scores"},
    ]
    study = read_study(small(tmp_path, cannot=rules).write())
    assert (found(study, data="oct").verdict, found(study, data="oct").why) == ("cannot run", "no public copy")
    assert found(study, data="mri").why == "no public copy"
    assert found(study, data="oct", training="adversarial").verdict == "not run"
    assert found(study, metric="auroc").why == "the paper has no scores"
    assert found(study).estimate is not None


@pytest.mark.parametrize(
    ("reported", "spread", "unit", "ours", "verdict"),
    [
        (60.0, None, "%", Estimate(0.62, 0.61, 0.63), "reproduced"),
        (60.0, None, "%", Estimate(0.6201, 0.59, 0.7), "within the interval"),
        (60.0, None, "%", Estimate(0.6201, 0.601, 0.7), "not reproduced"),
        (60.0, 5.0, "%", Estimate(0.65, 0.64, 0.66), "reproduced"),
        (60.0, 0.1, "%", Estimate(0.62, 0.61, 0.63), "reproduced"),
        (0.5, None, "1", Estimate(0.52, 0.52, 0.52), "reproduced"),
        (0.5, None, "1", Estimate(0.53, 0.5, 0.56), "within the interval"),
        (-5.0, None, "points", Estimate(-0.08, -0.09, -0.06), "not reproduced"),
        (-5.0, None, "points", Estimate(-0.08, -0.09, -0.05), "within the interval"),
        (1234.0, None, "count", Estimate(1234, 1234, 1234), "reproduced"),
        (1234.0, None, "count", Estimate(1235, 1235, 1235), "not reproduced"),
        (60.0, None, "%", Estimate(0.7, np.nan, np.nan), "not reproduced"),
        (None, None, "%", Estimate(0.7, 0.6, 0.8), ""),
    ],
)
def test_rule(reported: float | None, spread: float | None, unit: str, ours: Estimate, verdict: str) -> None:
    one = Expected("1", "a", "b", Wanted("accuracy", {}), reported, spread, unit)
    assert verdict_of(one, Found(ours)) == verdict


def test_every_number_has_a_verdict_under_each_protocol(tmp_path: Path) -> None:
    where = "data=xray model=small training=standard attack=pgd epsilon=1/255"
    rows = [f"1,PGD,small,accuracy,61.0,,%,{where}", "1,PGD,other,accuracy,-,,%,data=oct"]
    folder = small(tmp_path).write(rows)
    given = verdicts(read_study(folder), read_expected(folder / "expected.csv"))
    assert [(one.protocol, one.verdict) for one in given] == [
        ("paper", "reproduced"),
        ("honest", "within the interval"),
        ("paper", ""),
        ("honest", ""),
    ]
    assert counts(given, "paper") == {
        "reproduced": 1,
        "within the interval": 0,
        "not reproduced": 0,
        "not run": 0,
        "cannot run": 0,
    }


def test_groups_count_as_groups(tmp_path: Path) -> None:
    pairs = {"groups": [f"g{i // 2}" for i in range(NUM)]}
    made = small(tmp_path)
    made.jobs.clear()
    axes = "data=xray model=small training=standard split=0"
    made.folder = tmp_path / "pairs"
    made.add(axes, "paper", result([condition("none", 0.0, 10)], "paper", **pairs))
    ours = found(read_study(made.write()), attack="none", subset="aware").estimate
    assert ours == Grouping(np.arange(16) // 2).mean(right(10)[:16])
    assert ours != Grouping(np.arange(16)).mean(right(10)[:16])


def test_trainings_that_gave_one_network_are_named(tmp_path: Path) -> None:
    made = Folder(tmp_path / "study")
    for training, weights in (("standard", "w"), ("adversarial", "w")):
        found = result([condition("none", 0.0, 18)], "paper") | {"weights": weights}
        made.add(f"data=xray model=small training={training} split=0", "paper", found)
    found = result([condition("none", 0.0, 18)], "paper") | {"weights": "other"}
    made.add("data=xray model=large training=standard split=0", "paper", found)
    folder = made.write()
    checked = check_study(folder)
    (said,) = checked.audits[0].alike
    assert "training=standard, split=0; data=xray, model=small, training=adversarial" in said
    checked.write(folder)
    for name in ("check.html", "check.md"):
        assert (folder / name).read_text().count("One network, twice trained") == 1
