"""Checks of the rows: what they see in rows that are made up, one fault each."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from medrobust.attacks import fgsm, pgd
from medrobust.auditing.again import Standing, standing
from medrobust.auditing.checks.rows import inside_budget, last_point, monotone, steps_help
from medrobust.auditing.context import Context
from medrobust.findings import Finding
from medrobust.measuring.outcome import Grid
from medrobust.quotable import DECIDING, SHOWN, quotable
from medrobust.records import Records
from medrobust.testing import small_audit
from medrobust.testing.image_sets import tiny_set

BUDGETS = (16 / 255, 64 / 255)


@pytest.fixture(scope="module")
def audit() -> tuple[Records, Context]:
    """Sixty images that all fall at the larger of two budgets, to one step and to several."""
    return small_audit(
        images=tiny_set(60), attacks={"fgsm": fgsm(), "pgd": pgd(num_steps=5)}, epsilons=BUDGETS, protocol="honest"
    )


def changed(records: Records, name: str, where: np.ndarray, value: object) -> Records:
    column = records[name].copy()
    column[where] = value
    return dataclasses.replace(records, columns={**records.columns, name: column})


def test_a_success_that_a_step_alone_has_is_a_warning(audit: tuple[Records, Context]) -> None:
    """One image of sixty is no accusation, three are a warning, six a failure: Wilson's lower ends, by hand."""
    records, context = audit
    assert steps_help(records, context).severity == "pass"
    ids = records.clean["image_id"]
    for count, severity in ((1, "pass"), (2, "warn"), (3, "warn"), (6, "fail")):
        lost = np.isin(records["image_id"], ids[:count]) & (records["attack"] == "pgd")
        said = steps_help(changed(records, "reached", lost, False), context)
        n, p, z = 60, count / 60, 1.959964
        low = (p + z * z / (2 * n) - z * np.sqrt(p * (1 - p) / n + z * z / (4 * n * n))) / (1 + z * z / n)
        assert severity == ("fail" if low > 0.03 else "warn" if low > 0.005 else "pass")
        assert said.severity == severity, (count, low)
        assert f"{count} of 60 images" in said.evidence


def test_one_attack_alone_cannot_be_compared(audit: tuple[Records, Context]) -> None:
    records, context = small_audit(attacks={"pgd": pgd(num_steps=3)})
    assert steps_help(records, context).severity == "not_run"


def test_accuracy_that_rises_with_the_budget_is_a_rebound(audit: tuple[Records, Context]) -> None:
    records, context = audit
    assert monotone(records, context).severity == "pass"
    first = (records["attack"] == "pgd") & (records["epsilon"] == BUDGETS[0])
    wrong = 1 - records["label"]
    broken = changed(records, "prediction", first, wrong[first])
    last = (records["attack"] == "pgd") & (records["epsilon"] == BUDGETS[1])
    # A third of the images is right again at the larger budget.
    again = last & np.isin(records["image_id"], records.clean["image_id"][:20])
    found = monotone(changed(broken, "prediction", again, records["label"][again]), context)
    assert found.severity == "warn"
    assert "33.3 points" in found.evidence


def test_a_change_above_its_budget_is_a_failure(audit: tuple[Records, Context]) -> None:
    records, context = audit
    assert inside_budget(records, context).severity == "pass"
    (row,) = np.flatnonzero(records["reached"] & (records["norm"] == "linf"))[:1]
    here = np.arange(len(records)) == row
    above = np.nextafter(records["epsilon"][row], np.inf)
    assert inside_budget(changed(records, "distance", here, above), context).severity == "fail"
    assert inside_budget(changed(records, "distance", here, np.nan), context).severity == "fail"


def test_a_published_protocol_keeps_the_last_point(audit: tuple[Records, Context]) -> None:
    records, context = audit
    assert last_point(records, context).severity == "pass"
    plan = dataclasses.replace(context.plan, protocol="paper")
    assert last_point(records, dataclasses.replace(context, plan=plan)).severity == "warn"


def test_who_stands_in_the_middle_of_the_curve(audit: tuple[Records, Context]) -> None:
    records, context = audit
    found = standing(records, context.plan.grids[0])
    assert found is not None
    assert found.epsilon == BUDGETS[0]
    assert len(found.positions) == int(records.worst_case("linf").counted[:, 0].sum())
    none = records.where(epsilon=BUDGETS[1])
    both = {name: np.concatenate([records.clean[name], none[name]]) for name in records.columns}
    assert standing(dataclasses.replace(records, columns=both), Grid("linf", BUDGETS[1:])) is None


def test_severity_is_of_all_images_not_of_those_asked() -> None:
    """Half of those asked fall, but few stand: that is little of the robust accuracy."""
    few = Standing(Grid("linf", BUDGETS), BUDGETS[0], tuple(range(3)), 1000)
    assert few.severity(1, 2) == "pass"
    assert dataclasses.replace(few, positions=tuple(range(900))).severity(1, 2) == "fail"
    assert few.severity(0, 0) == "pass"


@pytest.mark.parametrize("name", DECIDING)
def test_a_warning_that_decides_is_a_no(name: str) -> None:
    passed = [Finding(one, "pass", "?", "fine") for one in SHOWN if one != name]
    assert quotable([*passed, Finding(name, "pass", "Is it?", "yes")]).value == "yes"
    warned = quotable([*passed, Finding(name, "warn", "Is it?", "no")])
    assert warned.value == "no"
    assert warned.why == ("Is it? no",)


def test_a_warning_about_budgets_is_no_reason_against_it() -> None:
    passed = [Finding(one, "pass", "?", "fine") for one in SHOWN]
    assert quotable([*passed, Finding("grey-level", "warn", "?", "small")]).value == "yes"
    assert quotable([*passed, Finding("data-shortcuts", "fail", "?", "leak")]).value == "no"
    assert quotable([*passed[1:], Finding(SHOWN[0], "not_run", "?", "no layer")]).value == "no"
