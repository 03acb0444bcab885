"""The section on everyday faults: the numbers of the audit, and the attack that is as visible."""

from __future__ import annotations

import pytest

from medrobust.report.sections.everyday import families, faults
from report.make_keys import make_keys
from report.make_run import make_audit


def test_the_attack_of_equal_visibility_is_the_largest_tested_that_is_no_more_visible() -> None:
    audit = make_audit() | make_keys(make_audit())
    first, last = faults(audit)
    assert first["attacked"] is None  # less visible than the smallest budget
    worst = [row for row in audit["worst_case"] if row["norm"] == "linf"][-1]
    assert last["attacked"]["budget"].epsilon == worst["epsilon"]
    assert last["attacked"]["accuracy"].value == worst["robust_accuracy"]["value"]
    assert last["accuracy"].value == pytest.approx(0.9 * audit["clean"]["accuracy"]["value"], abs=1e-4)
    assert list(families(audit)) == ["blur"]


def test_without_faults_or_linf_nothing_is_made_up() -> None:
    assert faults(make_audit()) == []
    assert families(make_audit()) == {}
    audit = make_audit(norms=("l2",))
    assert [row["attacked"] for row in faults(audit | make_keys(audit))] == [None, None]
